"""Comparisons from Python, as the verbs of the command line make them; tables are pandas DataFrames.

``from petl_bench.api import run, compare, leaderboard, predict``. Scores and probabilities are fractions. A user's
mistake raises ``UserError``, whose message is one line.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pandas as pd

from petl_bench.arguments import names, numbers, one_of, positive
from petl_bench.errors import UserError
from petl_bench.leaderboard.tables import Across
from petl_bench.plan import Request, choose
from petl_bench.results import ResultsTree
from petl_bench.runspec import Precision
from petl_bench.switches import PROFILES, Profile

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from petl_bench.executors.base import Reporter

RESULTS = "results"


def run(
    methods: Sequence[str] | str,
    dataset: str,
    backbone: str | None = None,
    *,
    data_dir: str | Path | None = None,
    results: str | Path = RESULTS,
    seeds: Iterable[int] | int = (0,),
    folds: Iterable[int] | int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    precision: Precision = "fp32",
    profile: Profile = "corrected",
    switches: Sequence[str] | str = (),
    settings: Sequence[str] | str = (),
    limit: int | None = None,
    allow_pickle: bool = False,
    device: str = "auto",
    reporter: Reporter | None = None,
    force: bool = False,
    retry_failed: bool = False,
    **execution: Any,
) -> pd.DataFrame:
    """Train every (method, fold, seed) that is not on record yet; a row per run, in the order of the plan.

    Arguments are as the options of ``petl-bench run``; ``settings`` and ``switches`` hold "NAME.KEY=VALUE" and
    "NAME=VALUE". ``execution`` are fields of ``Execution``: jobs, executor, save_adapters, ... Columns: method,
    benchmark, backbone, fold, seed, run_key, test and validation metrics, trained parameters by role, seconds. A run
    that fails is a warning and has no row.
    """
    from petl_bench.card_files import check
    from petl_bench.devices import find_devices
    from petl_bench.execution import Execution
    from petl_bench.executors.base import Unreported
    from petl_bench.leaderboard.summary import records_frame
    from petl_bench.records import read_record
    from petl_bench.runner import run_plan
    from petl_bench.workbench import open_plan

    request = Request(
        methods=names("methods", methods, some=True),
        dataset=dataset,
        backbone=backbone,
        data_dir=None if data_dir is None else Path(data_dir),
        seeds=numbers("seeds", seeds),
        folds=None if folds is None else numbers("folds", folds),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        precision=one_of("precision", precision, get_args(Precision)),
        profile=one_of("profile", profile, tuple(PROFILES)),
        switches=names("switches", switches),
        limit=positive("limit", limit),
        allow_pickle=allow_pickle,
        settings=names("settings", settings),
    )
    if "devices" in execution:
        raise UserError("run has no argument 'devices': device says where, as --device does")
    how = check(Execution, {"devices": find_devices(device), **execution}, "run")
    plan, workbench = open_plan(request, choose(request), how.devices[0])
    tree = ResultsTree(Path(results).expanduser())
    outcome = run_plan(plan, workbench, tree, reporter or Unreported(), how, force=force, retry_failed=retry_failed)
    for failed, reason in outcome.failed:
        warnings.warn(f"{failed.title}: {reason}", stacklevel=2)
    folders = tree.run_folders()
    done = [planned for planned in plan if planned.key in folders]
    frame = records_frame([read_record(folders[planned.key]) for planned in done])
    frame.insert(0, "method", [planned.method for planned in done])
    return frame


def compare(
    *methods: str,
    results: str | Path = RESULTS,
    dataset: Sequence[str] | str = (),
    backbone: str | None = None,
    profile: str | None = None,
    baseline: str | None = None,
    margin: float | None = None,
    across: Across | None = None,
) -> pd.DataFrame:
    """Differences between methods (all that equal a card, where none is named), as ``petl-bench compare`` finds them.

    A row per pair and table: ``difference`` is that of method - reference, ``low`` and ``high`` its 95% interval, ``p``
    and ``p_holm`` its p-value as it is and adjusted, ``verdict`` in words, and all else that ``--json`` has.
    ``margin`` is in points. What is left out is a warning. Raises UserError where nothing can be compared.
    """
    from petl_bench.leaderboard.comparison import compare_rows

    compared = compare_rows(
        Path(results),
        names("methods", methods),
        datasets=names("dataset", dataset),
        backbone=backbone,
        profile=profile,
        baseline=baseline,
        margin=margin,
        across=None if across is None else one_of("across", across, get_args(Across)),
    )
    _warn(compared.left_out)
    rows = [{**_place(table), **row} for table in compared.tables for row in table["comparisons"]]
    if not rows:
        raise UserError(
            f"{results}: no two methods have the runs that a comparison needs; leaderboard has what is there"
        )
    return pd.DataFrame(rows)


def leaderboard(results: str | Path = RESULTS, *, every: bool = False) -> pd.DataFrame:
    """The leaderboard of a results folder, as ``petl-bench leaderboard --format csv`` has it: a row per configuration.

    ``table`` tells apart tables whose rows do not compare. ``every``: also configurations that equal no card. What is
    left out is a warning.
    """
    from petl_bench.leaderboard.board import board
    from petl_bench.leaderboard.pages import flat_rows

    reports, problems = board(Path(results), every=every)
    _warn(problems)
    return pd.DataFrame(flat_rows(reports))


def predict(
    adapter: str | Path,
    files: Sequence[str | Path] | str | Path,
    *,
    top: int = 3,
    results: str | Path = RESULTS,
    backbone: str | None = None,
    method_code: str | None = None,
    device: str = "auto",
    allow_pickle: bool = False,
) -> pd.DataFrame:
    """The ``top`` classes of every audio file, as a trained adapter has them: file, rank, class, probability, notes.

    ``adapter`` is an exported folder, the folder of a run with a saved adapter, or the beginning of its key. A file
    that cannot be read is a warning and has no rows.
    """
    from petl_bench.adapters.find import find_adapter
    from petl_bench.adapters.model import Needs, load_model
    from petl_bench.adapters.predict import FilePrediction, predict_files
    from petl_bench.devices import find_devices

    shown = positive("top", top) or 1
    folder = find_adapter(str(adapter), Path(results))
    model = load_model(folder, Needs(backbone, method_code, allow_pickle, find_devices(device)[0]))
    rows = []
    for answer in predict_files(model, [files] if isinstance(files, str | Path) else list(files)):
        if isinstance(answer, FilePrediction):
            said = "; ".join(answer.notes)
            rows += [(answer.file, rank, *found, said) for rank, found in enumerate(answer.top(shown), 1)]
        else:
            warnings.warn(answer.reason, stacklevel=2)
    return pd.DataFrame(rows, columns=["file", "rank", "class", "probability", "notes"])


def base_model(
    adapter: str | Path, *, results: str | Path = RESULTS, backbone: str | None = None, allow_pickle: bool = False
) -> PreTrainedModel:
    """The model of transformers that an adapter was trained on, as it was before: frozen, at the run's input length.

    What peft's ``PeftModel.from_pretrained`` puts an exported LoRA on.
    """
    from petl_bench.adapters.find import find_adapter
    from petl_bench.adapters.model import Needs, backbone_source, bare_backbone
    from petl_bench.adapters.saved import read_config

    folder = find_adapter(str(adapter), Path(results))
    config = read_config(folder)
    return bare_backbone(backbone_source(config, Needs(backbone, None, allow_pickle)), config).model


def _place(table: dict[str, Any]) -> dict[str, Any]:
    """What says of a row which table it is of."""
    told = ("table", "benchmark", "backbone", "profile", "metric")
    return {**{name: table[name] for name in told}, "unlike_others": "; ".join(table["unlike_others"])}


def _warn(problems: Iterable[str]) -> None:
    for problem in problems:
        warnings.warn(f"left out: {problem}", stacklevel=3)
