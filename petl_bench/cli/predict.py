"""``petl-bench predict``: what a trained adapter says of audio files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from petl_bench.cli._layout import Columns, grid, note
from petl_bench.cli._options import AllowPickle, Json, MethodCode, Results, TrainedOn

if TYPE_CHECKING:
    from petl_bench.adapters.predict import FilePrediction


def predict(
    adapter: Annotated[str, typer.Argument(help="An exported folder, a run's folder, or the beginning of a run key.")],
    files: Annotated[list[str], typer.Argument(help="Audio files of any format, rate and channels that run reads.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to show of each file.")] = 3,
    results: Results = Path("results"),
    backbone: TrainedOn = None,
    method_code: MethodCode = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or auto.")] = "auto",
    allow_pickle: AllowPickle = False,
    as_json: Json = False,
) -> None:
    """Classify audio files with a trained adapter.

    A file that cannot be read is named, the others are classified; exit code 2.
    """
    from petl_bench.adapters.find import find_adapter

    folder = find_adapter(adapter, results)

    from petl_bench.adapters.model import Needs, load_model
    from petl_bench.adapters.predict import FilePrediction, predict_files
    from petl_bench.devices import find_devices

    model = load_model(folder, Needs(backbone, method_code, allow_pickle, find_devices(device)[0]))
    answers = list(predict_files(model, files))
    heard = [answer for answer in answers if isinstance(answer, FilePrediction)]
    unread = [answer for answer in answers if not isinstance(answer, FilePrediction)]
    if as_json:
        print(json.dumps([_as_data(answer, top) for answer in heard], indent=1, ensure_ascii=False))
    elif heard:
        grid([row for answer in heard for row in _rows(answer, top)], COLUMNS, lambda row: row["file"], "file")
        for answer in heard:
            for text in answer.notes:
                note(f"{answer.file}: {text}")
    for missing in unread:
        typer.echo(f"petl-bench: {missing.reason}", err=True)
    if unread:
        raise typer.Exit(2)


COLUMNS: Columns = {"class": lambda row: row["class"], "percent": lambda row: f"{100 * row['probability']:.2f}"}


def _rows(answer: FilePrediction, top: int) -> list[dict[str, object]]:
    """A row per class, the file's name in the first."""
    return [
        {"file": answer.file if rank == 0 else "", "class": name, "probability": probability}
        for rank, (name, probability) in enumerate(answer.top(top))
    ]


def _as_data(answer: FilePrediction, top: int) -> dict[str, object]:
    classes = [{"class": name, "probability": probability} for name, probability in answer.top(top)]
    return {"file": answer.file, "classes": classes, "notes": list(answer.notes)}
