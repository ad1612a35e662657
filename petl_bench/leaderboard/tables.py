"""Runs sorted into tables that may be read as one: same clips, protocol, backbone, recipe and switches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from petl_bench.canonical import canonical, digest, flat
from petl_bench.errors import UserError
from petl_bench.index import NOT_FINITE, Clips, IndexedRun
from petl_bench.leaderboard.names import Name, Namer, visible
from petl_bench.metrics import recall_and_f1
from petl_bench.profiling.profiles import Profile
from petl_bench.runspec import RunSpec
from petl_bench.stats.outcomes import pseudo_values
from petl_bench.stats.scores import RunScores, Scores, collect
from petl_bench.switches import describe_switches, profile_of

Across = Literal["backbone", "switches"]


@dataclass(frozen=True)
class Row:
    """One configuration: its name, its runs, one score per test clip and run, and its profile where there is one."""

    name: Name
    runs: tuple[IndexedRun, ...]
    scores: Scores
    profile: Profile | None = None


@dataclass(frozen=True)
class Table:
    """Configurations that were run under the same conditions. ``problems`` are lines about rows left out."""

    rows: tuple[Row, ...]
    problems: tuple[str, ...]

    @property
    def first(self) -> IndexedRun:
        return self.rows[0].runs[0]

    @property
    def spec(self) -> RunSpec:
        """The first run's: all but method, optimizer, fold and seed holds for the table."""
        return self.first.record.spec

    @property
    def benchmark(self) -> str:
        return visible(str(self.first.record.meta_info.dataset_info["name"]))

    @property
    def backbone(self) -> str:
        names = {visible(str(run.record.meta_info.model_info["name"])) for run in self.runs}
        return ", ".join(sorted(names))

    @property
    def runs(self) -> list[IndexedRun]:
        return [run for row in self.rows for run in row.runs]

    @property
    def clips(self) -> tuple[int, int]:
        """Test clips and their sources, over all folds that were run."""
        by_fold = {run.record.spec.fold: run.clips for run in self.runs}
        pairs = [pair for its in by_fold.values() for pair in zip(its.ids, its.sources, strict=True)]
        return len(pairs), len({source or f"clip {clip}" for clip, source in pairs})

    @property
    def fold_sizes(self) -> tuple[dict[str, int], ...]:
        """Clips by part of every fold that was run, the folds in order."""
        sizes = {run.record.spec.fold: run.record.meta_info.dataset_info["clips"] for run in self.runs}
        return tuple(sizes[fold] for fold in sorted(sizes))

    @property
    def conditions(self) -> dict[str, Any]:
        """All that the runs of a table have in common and may differ between tables, by dotted key."""
        spec = self.spec
        shared = {"data": canonical(spec.data), "training": canonical(spec.training)}
        del shared["training"]["optimizer"]
        return flat({**shared, "switches": spec.switches.model_dump(), "backbone": spec.backbone})

    @property
    def profile(self) -> str:
        profiles = {profile_of(run.record.spec.switches) for run in self.runs}
        return ", ".join(sorted(profiles))

    @property
    def backbone_notes(self) -> tuple[str, ...]:
        """What is to be known of the backbones, "mini: random weights"."""
        infos = [run.record.meta_info.model_info for run in self.runs]
        return tuple(dict.fromkeys(f"{info['name']}: {info['note']}" for info in infos if info.get("note")))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Every seed that some row was run with."""
        return tuple(sorted({run.record.spec.seed for run in self.runs}))

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds of the protocol."""
        return tuple(range(1, self.spec.data.protocol.folds + 1))


def make_tables(
    runs: Iterable[IndexedRun],
    namer: Namer,
    across: Across | None = None,
    profiles: Mapping[str, Profile] | None = None,
) -> tuple[list[Table], list[str]]:
    """All tables of a set of runs, by benchmark, backbone and conditions; and a line for every one without rows.

    ``across`` a condition, rows that differ in it share a table, and their names say which they have. ``profiles`` are
    given by cost key.
    """
    by_conditions: dict[tuple[str, str, str], list[IndexedRun]] = defaultdict(list)
    for run in runs:
        by_conditions[_conditions(run, across)].append(run)
    tables = [_table(group, namer, across, profiles or {}) for _, group in sorted(by_conditions.items())]
    empty = [problem for table in tables if not table.rows for problem in table.problems]
    return [table for table in tables if table.rows], empty


def _conditions(run: IndexedRun, across: Across | None) -> tuple[str, str, str]:
    """What must be equal within a table; names first, for the order."""
    record = run.record
    spec = record.spec
    training = spec.training.model_dump(exclude={"optimizer"})
    benchmark, backbone = record.meta_info.dataset_info["name"], record.meta_info.model_info["name"]
    shared: list[object] = [spec.data, training]
    if across != "backbone":
        shared.append(spec.backbone)
    if across != "switches":
        shared.append(spec.switches)
    return str(benchmark), "" if across == "backbone" else str(backbone), digest(shared)


def _suffix(run: IndexedRun, across: Across | None) -> str:
    """What a row's name adds about the condition that its table does not share."""
    if across == "backbone":
        return f" on {run.record.meta_info.model_info['name']}"
    if across == "switches":
        profile = profile_of(run.record.spec.switches)
        return f", {describe_switches(run.record.spec.switches) if profile == 'custom' else profile}"
    return ""


def _table(runs: Sequence[IndexedRun], namer: Namer, across: Across | None, profiles: Mapping[str, Profile]) -> Table:
    by_config: dict[str, list[IndexedRun]] = defaultdict(list)
    for run in runs:
        by_config[run.record.run_info.config_key].append(run)
    newest_first = sorted(by_config.items(), key=lambda item: max(r.record.run_info.created_at for r in item[1]))[::-1]
    rows, problems, taken = [], [], set()
    for key, its in newest_first:
        name = namer.name(its[0].record)
        name = replace(name, text=name.text + _suffix(its[0], across))
        if name.text in taken:
            name = Name(f"{name.text} [{key[:6]}]", True)
        taken.add(name.text)
        try:
            profile = profiles.get(its[0].record.spec.cost_key())
            rows.append(Row(name, tuple(its), scores_of(name.text, its), profile))
        except (UserError, ValueError) as error:
            problems.append(f"{name.text} is left out: {error}")
    return Table(tuple(sorted(rows, key=lambda row: row.name.text)), tuple(problems))


def scores_of(name: str, runs: Sequence[IndexedRun], folds: Sequence[int] = ()) -> Scores:
    """One score per test clip and run: right or wrong for accuracy, else jackknife pseudo-values by source, centred at
    the run's metric.

    ``folds`` are those there should be, all of the protocol unless said. Raises UserError where runs of a fold were
    tested on different clips.
    """
    folds = folds or range(1, runs[0].record.spec.data.protocol.folds + 1)
    return collect(name, [_run_scores(run) for run in runs], folds)


def _run_scores(run: IndexedRun) -> RunScores:
    record, clips = run.record, run.clips
    sizes = record.meta_info.dataset_info["clips"]
    ids, sources = clips.ids, clips.sources
    values = (run.predicted == clips.targets).astype(np.float64)
    finite = not (run.predicted == NOT_FINITE).any()
    if (metric := record.spec.data.metric) != "accuracy":
        own = np.where(sources == "", np.char.add("clip ", ids), sources)
        fold_sources = np.char.add(f"fold {record.spec.fold} ", own)
        ids = sources = np.unique(fold_sources)
        values = np.zeros(len(ids))
        if finite:
            _, values = pseudo_values(fold_sources, lambda kept: _metric(metric, clips, run.predicted, kept))
            whole = _metric(metric, clips, run.predicted, np.ones(len(clips.ids), dtype=np.bool_))
            values += whole - values.mean()  # their spread, around the metric itself
    if not finite:
        values = np.full(len(ids), np.nan)
    return RunScores(record.spec.fold, record.spec.seed, ids, values, sources, sizes["test"] / sizes["train"])


def _metric(name: str, clips: Clips, predicted: npt.NDArray[np.int64], kept: npt.NDArray[np.bool_]) -> float:
    """``balanced_accuracy`` or ``macro_f1`` of the clips kept."""
    targets, predicted = clips.targets[kept], predicted[kept]
    classes = int(max(clips.targets.max(), predicted.max(initial=0))) + 1
    recall, f1 = recall_and_f1(predicted, targets, classes)
    by_class = recall if name == "balanced_accuracy" else f1
    return float(by_class[~np.isnan(by_class)].mean())
