"""Where a trained adapter is: a run by its folder or key, or the folder of an exported one. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from petl_bench.adapters.saved import is_adapter
from petl_bench.errors import UserError
from petl_bench.results import ADAPTER, ResultsTree, match_key


def find_run(given: str, results: Path) -> Path:
    """Folder of the run that a folder or the beginning of a key names. Raises UserError."""
    folder = Path(given).expanduser()
    if (folder / "run.json").is_file():
        return folder
    runs = ResultsTree(results.expanduser()).run_folders()
    key = match_key(given, runs)
    if key is None:
        raise UserError(
            f"{given}: no folder of a run, and no run key in {results} begins so; four digits are the least "
            "(petl-bench ls runs)"
        )
    return runs[key]


def adapter_of_run(run: Path) -> Path:
    """Folder of a run's adapter. Raises UserError where it was not saved."""
    if not is_adapter(run / ADAPTER):
        raise UserError(
            f"{run}: its adapter was not saved; train the run again with petl-bench run --save-adapters --force"
        )
    return run / ADAPTER


def find_adapter(given: str, results: Path) -> Path:
    """Folder of the adapter of a run (its folder, or the beginning of its key), or of an exported one.

    Raises UserError where there is none.
    """
    folder = Path(given).expanduser()
    return folder if is_adapter(folder) else adapter_of_run(find_run(given, results))


def note_on_missing(keys: Iterable[str], tree: ResultsTree) -> list[str]:
    """A line on those of the runs on record whose adapter was not saved, where there are any."""
    runs = tree.run_folders()
    missing = sum(key in runs and not is_adapter(runs[key] / ADAPTER) for key in dict.fromkeys(keys))
    if not missing:
        return []
    what = "1 run was" if missing == 1 else f"{missing} runs were"
    return [f"{what} on record without an adapter: run --force --save-adapters trains such runs again"]
