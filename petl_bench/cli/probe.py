"""``petl-bench probe``: which frozen layers separate a benchmark's classes, and a card that adapts the best of them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from petl_bench.cli._layout import grid, next_step, note, results_flag, say
from petl_bench.cli._options import (
    AllowPickle,
    BackboneName,
    DataDir,
    Dataset,
    Folds,
    Json,
    Limit,
    Results,
    read_numbers,
)
from petl_bench.errors import UserError


def probe(
    dataset: Dataset,
    backbone: BackboneName = None,
    data_dir: DataDir = None,
    results: Results = Path("results"),
    seeds: Annotated[str, typer.Option(help="Base seeds of the heads, as in 0,1,2 or 0-2.")] = "0-2",
    folds: Folds = None,
    layers: Annotated[int, typer.Option(min=1, help="How many layers the card adapts.", show_default=True)] = 3,
    by: Annotated[
        Literal["accuracy", "gain"],
        typer.Option(help="accuracy: layers whose outputs separate best; gain: that improve most on their inputs."),
    ] = "accuracy",
    method: Annotated[str, typer.Option(help="Method card that is confined to these layers.")] = "conformer",
    epochs: Annotated[int | None, typer.Option(help="Epochs of the heads. [default: the benchmark card's]")] = None,
    limit: Limit = None,
    allow_pickle: AllowPickle = False,
    as_json: Json = False,
) -> None:
    """Train a linear head on the frozen states behind every layer, on every fold and seed.

    Layers are chosen on validation clips. Curve, numbers, a method card and a card for a study of the choice go to
    probes/ in the results folder.
    """
    from petl_bench.lookup import find_method
    from petl_bench.plan import Request, choose, make_plan
    from petl_bench.probing.card import card_text, layer_setting

    confined = find_method(method)
    layer_setting(confined)
    request = Request(
        methods=("linear",),
        dataset=dataset,
        backbone=backbone,
        data_dir=data_dir,
        seeds=read_numbers("--seeds", seeds),
        folds=None if folds is None else read_numbers("--folds", folds),
        epochs=epochs,
        limit=limit,
        allow_pickle=allow_pickle,
    )
    choice = choose(request)

    from rich.console import Console

    from petl_bench.benchmarks.features import notes_on_clips
    from petl_bench.files import write_atomically, writing
    from petl_bench.leaderboard.figures.style import save
    from petl_bench.probing.figure import curve
    from petl_bench.probing.probe import probe as run_probe
    from petl_bench.probing.study import Subject, study_text
    from petl_bench.records import slug
    from petl_bench.workbench import Workbench, opening_of

    workbench = Workbench.open(opening_of(request, choice), "cpu")
    depth = workbench.subject.geometry.layers
    if layers > depth:
        raise UserError(f"--layers {layers}: the backbone has {depth} layers")
    plan = make_plan(request, choice, workbench.subject)
    with Console(stderr=True).status("features") as status:
        workbench.features(
            workbench.model_input, lambda done, total: status.update(f"features: {done:,} of {total:,} clips")
        )
        found = run_probe(
            plan, workbench, lambda done, total: status.update(f"heads: {done} of {total} folds and seeds")
        )
    chosen = found.most_useful(layers, by)
    rotates = choice.card.protocol.folds
    subject = Subject(method, dataset, choice.card.backbone, workbench.subject.geometry, rotates)

    name = slug(f"{found.benchmark}-{found.backbone}")
    folder = results.expanduser() / "probes" / name
    card = folder / f"{slug(confined.name)}_probed.toml"
    study = folder / "probed_layers.toml"
    with writing(f"--results {results}"):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "probe.json", (found.model_dump_json(indent=2) + "\n").encode())
        write_atomically(card, card_text(confined, found, chosen, by).encode())
        write_atomically(study, study_text(confined, subject, found, chosen, by).encode())
        figures = save(curve(found, chosen), folder, "probe")
    if as_json:
        print(found.model_dump_json(indent=2))
        return
    say(f"{found.backbone} on {found.benchmark}: what a linear head tells apart behind every frozen layer")
    print()
    rows = [
        {
            "layer": "input" if at.layer is None else f"{at.layer}{' *' if at.layer in chosen else ''}",
            "gain": gain,
            **at.model_dump(exclude={"layer"}),
        }
        for at, gain in zip(found.depths, [None, *found.gains()], strict=True)
    ]
    grid(
        rows,
        {
            "validation": lambda row: f"{100 * row['validation']:.2f}",
            "gain": lambda row: "" if row["gain"] is None else f"{100 * row['gain']:+.2f}",
            "test": lambda row: f"{100 * row['test']:.2f}",
            "95% interval": lambda row: (
                "" if row["low"] is None else f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"
            ),
        },
        lambda row: str(row["layer"]),
        "layer",
    )
    every = ", every one of which is a test clip of another fold" if rotates > 1 else ""
    headline = choice.card.metric.replace("_", " ")
    by_accuracy = f"the headline metric of {found.benchmark} is {headline}; a probe goes by accuracy"
    notes = [f"*: chosen on validation clips{every}", *([by_accuracy] if headline != "accuracy" else [])]
    about_clips = notes_on_clips(workbench.dataset, workbench.model_input)
    for line in [*notes, *choice.notes, *about_clips, *workbench.notes()]:
        note(line)
    for path in (*figures, folder / "probe.json", card, study):
        print(path)
    given = {"--data-dir": data_dir, "--folds": folds, "--epochs": epochs, "--limit": limit}
    again = "".join(f" {option} {shlex.quote(str(value))}" for option, value in given.items() if value is not None)
    again += " --allow-pickle" * allow_pickle + results_flag(results)
    on = "" if backbone is None else f" --backbone {shlex.quote(backbone)}"
    next_step(
        f"petl-bench run --methods {shlex.quote(f'{method},{card}')} --dataset {shlex.quote(dataset)}{on}{again}"
        f" --seeds {seeds}",
        f"petl-bench sweep {shlex.quote(str(study))} --plan{again}",
    )
