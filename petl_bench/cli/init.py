"""``petl-bench init``: a folder for a study of your own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from petl_bench.cli._layout import next_step, note


def init(
    folder: Annotated[Path, typer.Argument(help="New folder; its name is the benchmark's.")],
    clips: Annotated[
        Path | None, typer.Option(help="Your audio files, a folder per label, from which clips.csv is made.")
    ] = None,
) -> None:
    """Make a study's folder: cards, a method of your own, a question, and the table of your clips."""
    from petl_bench.files import writing
    from petl_bench.scaffold.make import make_study, study_name

    with writing(f"init {folder}"):
        written = make_study(folder.expanduser(), None if clips is None else clips.expanduser())
    for path in written:
        print(path)
    name = study_name(folder)
    if clips is None:
        note(f"put your clips into {folder / 'data' / name} and a line for each into its clips.csv")
    else:
        note("clips of one recording or speaker: give them one name in a column 'group' of clips.csv")
    next_step(f"cd {shlex.quote(str(folder))}; petl-bench data verify {name}")
