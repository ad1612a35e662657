"""A study's page: the question, the answer in words, the figure, the table, and what was published, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from tabulate import tabulate

from petl_bench.files import write_atomically
from petl_bench.index import IndexedRun
from petl_bench.leaderboard.benchmark import benchmark_card
from petl_bench.leaderboard.differences import exact
from petl_bench.leaderboard.figures.convergence import Curve, convergence
from petl_bench.leaderboard.figures.gates import gates_figure
from petl_bench.leaderboard.figures.style import file_name, save
from petl_bench.leaderboard.folds import fold_lines, mean_and_sd, read_epochs
from petl_bench.leaderboard.names import Namer
from petl_bench.leaderboard.pages import escaped, p_value, published, ranges
from petl_bench.leaderboard.report import unlike_published
from petl_bench.leaderboard.tables import make_tables
from petl_bench.leaderboard.training_notes import notes_on_training
from petl_bench.records import RunRecord
from petl_bench.runspec import WaveformFeatures
from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.describe import describe
from petl_bench.stats.estimate import Interval
from petl_bench.sweeps.answers import Answer, Cell, Difference, answer, cells_of, varying
from petl_bench.sweeps.card import Beside, SweepCard
from petl_bench.sweeps.figures import figure_of
from petl_bench.sweeps.grid import show
from petl_bench.sweeps.origin import Origin
from petl_bench.sweeps.rows import rows_csv
from petl_bench.sweeps.sentences import sentences
from petl_bench.sweeps.study import Bench, shared

Row = dict[str, str]
ONE_SEED = "one seed, seed variance not estimable; run 3 seeds or more"


def write_page(
    card: SweepCard,
    benches: Sequence[Bench],
    indexed: Mapping[str, IndexedRun],
    folders: Mapping[str, Path],
    out: Path,
    *,
    origin: Origin,
    failures: Sequence[str] = (),
) -> list[Path]:
    """Write ``README.md``, ``rows.csv`` and the figures of a study into a folder, where there are runs.

    ``failures`` are lines about failed runs.
    """
    cells: list[Cell] = []
    lacking: list[str] = []
    for bench in benches:
        found, without = cells_of(bench, indexed)
        cells += found
        lacking += without
    if not cells:
        return []
    said = answer(card, cells, lacking)
    paths = save(figure_of(card, cells), out, "figure")
    extra = {
        **(_convergence(cells, folders, out) if "convergence" in card.figures else {}),
        **(_gates(cells, out) if "gates" in card.figures else {}),
    }
    figures = {path.name: alternative for path, alternative in extra.items() if path.suffix == ".png"}
    text = _page(card, said, benches, folders, figures=figures, origin=origin, failures=failures)
    write_atomically(out / "README.md", text.encode())
    write_atomically(out / "rows.csv", rows_csv(said).encode())
    return [out / "README.md", out / "rows.csv", *paths, *extra]


def _page(
    card: SweepCard,
    said: Answer,
    benches: Sequence[Bench],
    folders: Mapping[str, Path],
    *,
    figures: Mapping[str, str],
    origin: Origin,
    failures: Sequence[str],
) -> str:
    lines = [f"# {escaped(card.title)}", "", *origin.lines("study")]
    lines += [*(f"- {escaped(sentence)}" for sentence in sentences(card.question, said)), ""]
    lines += ["![scores with 95% intervals](figure.png)", ""]
    for benchmark, cells in _by_benchmark(said.cells).items():
        lines += [f"## {escaped(benchmark)}", "", escaped(_conditions(cells)), "", _table(cells, said), ""]
        if "folds" in card.figures:
            lines += [_folds(cell, _called(cell, cells), folders) for cell in cells]
    for beside in card.beside:
        lines += _beside(beside)
    lines += [f"![{alternative}]({name})\n" for name, alternative in figures.items()]
    lines += ["## Notes", "", *(f"- {escaped(note)}" for note in _notes(card, said, benches, failures))]
    return "\n".join(lines).rstrip() + "\n"


def _conditions(cells: Sequence[Cell]) -> str:
    record = cells[0].runs[0].record
    spec = record.spec
    seeds = sorted({run.record.spec.seed for cell in cells for run in cell.runs})
    folds = sorted({run.record.spec.fold for cell in cells for run in cell.runs})
    where = f"folds {ranges(folds)} of {spec.data.protocol.folds}" if spec.data.protocol.folds > 1 else "one split"
    trained, epochs = _span(cells, "clips"), _span(cells, "epochs")
    backbones = ", ".join(sorted({str(c.runs[0].record.meta_info.model_info["name"]) for c in cells}))
    return (
        f"Backbone {backbones}; {spec.data.metric.replace('_', ' ')}, percent, of {len(cells[0].scores.clip_ids):,} "
        f"test clips of {cells[0].scores.source_count:,} sources; {where}, {trained} training clips; {epochs} epochs; "
        f"seeds {ranges(seeds)}."
    )


def _span(cells: Sequence[Cell], what: Literal["clips", "epochs"]) -> str:
    """The least and the most of training clips or epochs."""
    records = [run.record for cell in cells for run in cell.runs]
    numbers = {
        record.meta_info.dataset_info["clips"]["train"] if what == "clips" else record.spec.training.epochs
        for record in records
    }
    return f"{min(numbers):,}" if len(numbers) == 1 else f"{min(numbers):,} to {max(numbers):,}"


def _table(cells: Sequence[Cell], said: Answer) -> str:
    factors = [name for name in varying(cells) if name != "benchmark"] or ["method"]
    by_cell = {id(difference.cell): difference for difference in said.differences}
    baselines = {id(difference.baseline) for difference in said.differences}
    namer, lines = Namer(), []
    for cell in cells:
        described, difference = describe(cell.scores), by_cell.get(id(cell))
        line: Row = {name: escaped(show(cell.levels[name])) if name in cell.levels else "" for name in factors}
        line["score"] = "-" if isinstance(described.score, NotAvailable) else f"{100 * described.score:.2f}"
        line["95%"] = bounds(described.interval)
        line |= _difference(difference) if difference else {"to baseline": "baseline" * (id(cell) in baselines)}
        line["trained"] = f"{cell.runs[0].record.train_info.adapted_parameters:,}"
        line["runs"] = f"{len(cell.runs)}/{cell.due}"
        line["published"] = escaped(_published(cell.runs[0].record, namer))
        lines.append(line)
    empty = [name for name in ("published", "to baseline", "p Holm") if not any(line.get(name) for line in lines)]
    names = [name for name in dict.fromkeys(name for line in lines for name in line) if name not in empty]
    order = [*factors, *(n for n in PRINTED if n in names)]
    body = [[line.get(name, "") for name in order] for line in lines]
    return str(tabulate(body, headers=order, tablefmt="pipe", disable_numparse=True))


PRINTED = ("score", "95%", "to baseline", "95% of it", "p Holm", "verdict", "trained", "runs", "published")


def _difference(difference: Difference) -> Row:
    return {
        "to baseline": f"{100 * difference.estimate.value:+.2f}",
        "95% of it": bounds(difference.estimate.interval(), sign="+"),
        "p Holm": p_value(exact(difference.holm_p)),
        "verdict": difference.finding,
    }


def bounds(interval: Interval | NotAvailable, sign: str = "") -> str:
    """An interval in percent; a dash where there is none."""
    if isinstance(interval, NotAvailable):
        return "-"
    return f"{100 * interval.low:{sign}.2f} to {100 * interval.high:{sign}.2f}"


def _published(record: RunRecord, namer: Namer) -> str:
    """Published values of the card that a run equals, where the run has its benchmark's own recipe and protocol."""
    card, benchmark = namer.name(record).card, str(record.meta_info.dataset_info["name"])
    usual, spec = benchmark_card(benchmark), record.spec
    if card is None or usual is None:
        return ""
    ours = (spec.training.batch_size, spec.training.micro_batch_size, spec.data.protocol)
    if ours != (usual.training.batch_size, usual.training.micro_batch_size, usual.protocol):
        return ""
    backbone, waveforms = str(record.meta_info.model_info["name"]), isinstance(spec.data.features, WaveformFeatures)
    found = [reference for reference in card.reference if reference.is_of(benchmark, backbone, waveforms=waveforms)]
    return "; ".join(published(reference.model_dump()) for reference in found)


def _folds(cell: Cell, called: str, folders: Mapping[str, Path]) -> str:
    """Best validation and test per fold, seeds averaged; mean and standard deviation (ddof 0, as papers print it)."""
    lines = fold_lines(cell.runs, folders)
    parts = [mean_and_sd([getattr(line, part) for line in lines], population=True) for part in ("validation", "test")]
    body = [[str(line.fold), f"{100 * line.validation:.2f}", f"{100 * line.test:.2f}"] for line in lines]
    body.append(["mean ± sd", *(f"{100 * mean:.2f} ± {100 * (sd or 0):.2f}" for mean, sd in parts)])
    return f"### {escaped(called)}\n\n" + str(
        tabulate(body, headers=["fold", "best validation", "test"], tablefmt="pipe", disable_numparse=True)
    ) + "\n"  # fmt: skip


def _beside(beside: Beside) -> list[str]:
    body = [[escaped(show(value)) for value in row] for row in beside.rows]
    table = tabulate(body, headers=[escaped(name) for name in beside.columns], tablefmt="pipe", disable_numparse=True)
    lines = [f"## Published: {escaped(beside.title)}", "", str(table), "", f"{escaped(beside.source)}."]
    return [*lines, *([escaped(beside.note)] if beside.note else []), ""]


def _convergence(cells: Sequence[Cell], folders: Mapping[str, Path], out: Path) -> dict[Path, str]:
    """A figure of losses and accuracies by epoch and fold, per benchmark; its files, and what they show."""
    paths: list[Path] = []
    for benchmark, its in _by_benchmark(cells).items():
        curves = [
            Curve(
                _called(cell, cells),
                run.record.spec.fold,
                run.record.spec.seed,
                read_epochs(folders[run.record.run_info.run_key]),
            )
            for cell in its
            for run in cell.runs
        ]
        paths += save(convergence(curves, benchmark), out, f"convergence-{Path(benchmark).stem}")
    return dict.fromkeys(paths, "training loss and validation accuracy by epoch")


def _gates(cells: Sequence[Cell], out: Path) -> dict[Path, str]:
    """A figure of mean gates by layer and class, per combination that recorded any; its files, and what they show."""
    shown: dict[Path, str] = {}
    for benchmark, its in _by_benchmark(cells).items():
        for cell in its:
            called = _called(cell, cells)
            if (figure := gates_figure(cell.runs, f"{called}, on {benchmark}")) is not None:
                paths = save(figure, out, file_name(["gates", Path(benchmark).stem, called]))
                shown |= dict.fromkeys(paths, escaped(f"mean gates of {called} by layer and class"))
    return shown


def _by_benchmark(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    names = dict.fromkeys(str(cell.levels["benchmark"]) for cell in cells)
    return {name: [cell for cell in cells if cell.levels["benchmark"] == name] for name in names}


def _called(cell: Cell, cells: Sequence[Cell]) -> str:
    """What tells a combination from the others; its method where it is the only one."""
    factors = varying(cells) or ["method"]
    return ", ".join(f"{name} {show(cell.levels[name])}" for name in factors if name in cell.levels)


def _notes(card: SweepCard, said: Answer, benches: Sequence[Bench], failures: Sequence[str]) -> list[str]:
    notes = [*card.notes, *said.lacking]
    notes += [f"{bench.name}: not run here, {bench.lacking}" for bench in benches if bench.lacking]
    notes += [f"failed: {failure}" for failure in failures]
    missing = sum(cell.due - len(cell.runs) for cell in said.cells)
    if missing:
        again = " (--retry-failed tries those that failed again)" if failures else ""
        notes.append(f"{missing} runs are missing: the same command goes on with them{again}")
    if number := sum(map(shared, benches)):
        notes.append(f"{number} runs serve more than one combination, which are the same experiment")
    for bench in benches:
        if bench.workbench is not None:
            notes += bench.workbench.notes()
    for cells in _by_benchmark(said.cells).values():
        notes += notes_on_training({_called(cell, cells): [run.record for run in cell.runs] for cell in cells})
    if card.question.margin:
        notes.append(f"margin: {card.question.margin:g} points, declared in the card")
    if said.differences:
        notes.append(
            "intervals of single scores hold the clips' own spread, which pairs share: read differences off the table"
        )
        notes.append("intervals are not adjusted for other comparisons; p Holm is, over all on a benchmark")
    notes += _unlike_published(card, said)
    of_tests = [note for difference in said.differences for note in difference.estimate.notes]
    notes += [ONE_SEED if note.endswith(ONE_SEED) else note for note in of_tests]
    questions = dict.fromkeys(difference.estimate.estimand for difference in said.differences)
    notes += [f"p answers: {question}" for question in questions]
    if card.profile == "published" or any("profile" in cell.levels for cell in said.cells):
        notes.append("profile published: as the code behind the literature, defects included")
    return list(dict.fromkeys(notes))


def _unlike_published(card: SweepCard, said: Answer) -> list[str]:
    """In what the runs differ from the protocol that published values were made with, where some stand on the page."""
    namer, lines = Namer(), []
    if not card.beside and not any(_published(cell.runs[0].record, namer) for cell in said.cells):
        return []
    by_benchmark: dict[str, list[list[str]]] = {}
    for table in make_tables([run for cell in said.cells for run in cell.runs], namer)[0]:
        by_benchmark.setdefault(table.benchmark, []).append(unlike_published(table))
    for benchmark, found in by_benchmark.items():
        every = dict.fromkeys(phrase for phrases in found for phrase in phrases)
        words = [
            phrase if all(phrase in phrases for phrases in found) else f"{phrase} (in some rows)" for phrase in every
        ]
        if words:
            lines.append(f"{benchmark}, not as the published values were made: {'; '.join(words)}")
    return lines
