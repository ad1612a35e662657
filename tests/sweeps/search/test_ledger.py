"""The book of trials, whoever writes in it and whoever dies."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from petl_bench.cards import SearchDimension
from petl_bench.claims import Claims
from petl_bench.sweeps.card import Search
from petl_bench.sweeps.search.ledger import AGAIN, Going, Ledger, TakenOverError, is_lost
from petl_bench.sweeps.search.space import Space
from petl_bench.sweeps.search.storage import open_journal, open_study

SPACE = Space({"x": SearchDimension(low=0, high=1), "kind": SearchDimension(choices=("a", "b"))})
GRID = Space({"x": SearchDimension(choices=(1, 2, 3)), "kind": SearchDimension(choices=("a", "b"))})


def book(folder: Path, wanted: int = 5, space: Space = SPACE, **search: Any) -> Ledger:
    study = open_study(open_journal(folder / "a.journal"), "s", ["maximize"])
    return Ledger(study, Search(**search), space, Claims(folder / ".claims"), wanted)


def finish(ledger: Ledger, going: Going) -> None:
    ledger.complete(going, [going.trial.params["x"]], [])


def die(going: Going) -> None:
    """Leave what a killed process leaves: a claim whose owner is no more."""
    going.claim._released.set()
    path = going.claim._path
    path.write_text(json.dumps({**json.loads(path.read_text()), "pid": 2**22 + 1, "began": "1"}))


def test_exactly_as_many_trials_as_are_wanted(tmp_path: Path) -> None:
    ledger = book(tmp_path)
    while (going := ledger.ask()) is not None:
        assert not ledger.is_complete
        finish(ledger, going)
    assert ledger.is_complete
    assert len(ledger.finished()) == 5
    assert book(tmp_path).ask() is None
    assert [going.number for going in [book(tmp_path, wanted=6).ask()] if going] == [5]


def test_trials_under_way_count_wherever_they_are(tmp_path: Path) -> None:
    first, second = book(tmp_path, wanted=2), book(tmp_path, wanted=2)
    one, two = first.ask(), second.ask()
    assert one
    assert two
    assert first.ask() is None
    assert second.ask() is None
    assert not first.is_complete
    finish(first, one)
    finish(second, two)
    assert first.is_complete


def test_a_trial_whose_process_died_is_tried_again_and_does_not_count(tmp_path: Path) -> None:
    ledger = book(tmp_path, wanted=3)
    lost = ledger.ask()
    assert lost
    values = lost.trial.params
    die(lost)
    again = ledger.ask()
    assert again
    assert again.trial.params == values
    assert again.trial.user_attrs[AGAIN] == lost.number
    finish(ledger, again)
    while (going := ledger.ask()) is not None:
        finish(ledger, going)
    assert len(ledger.finished()) == 3
    trials = ledger.study.get_trials()
    assert [trial.number for trial in trials if is_lost(trial)] == [lost.number]
    assert len({str(trial.params) for trial in ledger.finished()}) == 3


def test_a_trial_lost_again_and_again_is_tried_until_it_ends(tmp_path: Path) -> None:
    ledger = book(tmp_path, wanted=1)
    first = ledger.ask()
    assert first
    values, going = first.trial.params, first
    for _ in range(3):
        die(going)
        again = book(tmp_path, wanted=1).ask()
        assert again
        assert again.trial.params == values
        going = again
    finish(ledger, going)
    assert ledger.is_complete
    assert len(ledger.study.get_trials()) == 4


def test_nothing_is_lost_where_a_process_dies_between_entering_and_failing(tmp_path: Path) -> None:
    ledger = book(tmp_path, wanted=1)
    lost = ledger.ask()
    assert lost
    die(lost)
    ledger.study.enqueue_trial(lost.trial.params, user_attrs={AGAIN: lost.number})  # and here the process died
    again = ledger.ask()
    assert again
    assert again.trial.params == lost.trial.params
    finish(ledger, again)
    assert ledger.is_complete
    assert ledger.ask() is None


def test_a_trial_that_died_before_it_had_values_is_replaced(tmp_path: Path) -> None:
    ledger = book(tmp_path, wanted=2)
    ledger.study.ask()  # no claim, no values: killed between the two
    while (going := ledger.ask()) is not None:
        finish(ledger, going)
    assert len(ledger.finished()) == 2


def test_a_failed_trial_counts_and_is_not_tried_again(tmp_path: Path) -> None:
    ledger = book(tmp_path, wanted=2)
    going = ledger.ask()
    assert going
    ledger.fail(going, "loss is not finite")
    other = ledger.ask()
    assert other
    assert other.trial.params != going.trial.params
    finish(ledger, other)
    assert [trial.state for trial in ledger.finished()] == [TrialState.FAIL, TrialState.COMPLETE]


def test_a_process_that_was_taken_for_dead_cannot_enter_its_trial_any_more(tmp_path: Path) -> None:
    ledger = book(tmp_path, wanted=1)
    slept = ledger.ask()
    assert slept
    die(slept)
    again = book(tmp_path, wanted=1).ask()
    assert again
    with pytest.raises(TakenOverError):
        ledger.report(slept, 0.5, 0)
    for enter in (lambda: finish(ledger, slept), lambda: ledger.fail(slept, "x"), lambda: ledger.prune(slept, [])):
        with pytest.raises(TakenOverError):
            enter()
    finish(ledger, again)
    assert [trial.number for trial in ledger.finished()] == [again.number]


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2"])
def test_a_search_that_goes_on_proposes_what_it_would_have_proposed(tmp_path: Path, sampler: str) -> None:
    """Stopped after every trial or never: the same proposals, none twice (children of nsga2 may be like a parent)."""

    def proposals(folder: Path, *, restarts: bool) -> list[dict[str, Any]]:
        directions = ["maximize", "minimize"] if sampler == "nsga2" else ["maximize"]
        found = []
        ledger = None
        while True:
            if ledger is None or restarts:
                study = open_study(open_journal(folder / "a.journal"), "s", directions)
                search = Search(sampler=sampler, population=4)
                ledger = Ledger(study, search, SPACE, Claims(folder / ".claims"), 14)
            if (going := ledger.ask()) is None:
                return found
            found.append(going.trial.params)
            ledger.complete(going, [going.trial.params["x"], 1.0][: len(directions)], [])

    whole, stopped = proposals(tmp_path / "whole", restarts=False), proposals(tmp_path / "stopped", restarts=True)
    assert whole == stopped
    assert len({values["x"] for values in whole}) == 14 or sampler == "nsga2"


def test_another_seed_proposes_something_else(tmp_path: Path) -> None:
    first, second = book(tmp_path / "a", seed=0).ask(), book(tmp_path / "b", seed=1).ask()
    assert first
    assert second
    assert first.trial.params != second.trial.params


def test_a_grid_is_tried_whole_once_however_often_it_is_stopped(tmp_path: Path) -> None:
    """Every other trial is lost: still every combination once, and then nothing is left."""
    tried = []
    for number in range(100):
        ledger = book(tmp_path, wanted=6, space=GRID, sampler="grid")
        going = ledger.ask()
        if going is None:
            break
        if number % 2:
            die(going)
        else:
            tried.append(tuple(going.trial.params.values()))
            finish(ledger, going)
    assert sorted(tried) == [(x, kind) for x in (1, 2, 3) for kind in ("a", "b")]
    assert ledger.is_complete


def _work(folder: Path, wanted: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    ledger = book(folder, wanted=wanted, sampler="random")
    while (going := ledger.ask()) is not None:
        finish(ledger, going)


def test_processes_that_share_a_book_fill_it_exactly(tmp_path: Path) -> None:
    book(tmp_path)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_work, args=(tmp_path, 12)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    trials = book(tmp_path).study.get_trials()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 12
    assert len({trial.params["x"] for trial in trials}) == 12
