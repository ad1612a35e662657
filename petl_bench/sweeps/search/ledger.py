"""The book of a search's trials, shared by any number of processes: who tries what, what is lost, what is finished.

A process that asks for a trial is alone with the book. A running trial has a claim; one whose claim is dead is lost:
it fails, and its values are tried again. Lost trials do not count; all others do, those that failed for a cause too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from petl_bench.canonical import digest
from petl_bench.claims import Claim, Claims
from petl_bench.sweeps.card import Search
from petl_bench.sweeps.search.samplers import grid_of, sampler_for
from petl_bench.sweeps.search.space import Space, Values

AGAIN, CAUSE, RUNS = "tries again", "cause", "runs"
"""Attributes of trials: the number of the lost trial that it repeats; why it failed; its runs' validation."""
NOT_ALLOWED = "not allowed: "
"""How the cause begins where the method refuses a combination."""


class TakenOverError(Exception):
    """This process was taken for dead: another one tries the trial again."""


@dataclass(frozen=True)
class Going:
    """A trial that this process conducts."""

    trial: optuna.Trial
    claim: Claim
    steps: set[int] = field(default_factory=set)
    """Those that a value was entered for."""

    @property
    def number(self) -> int:
        return int(self.trial.number)


class Ledger:
    """The book of one study. ``wanted``: trials that it is to have; ``book`` tells it from others of its name."""

    def __init__(
        self, study: optuna.Study, search: Search, space: Space, claims: Claims, wanted: int, book: str = ""
    ) -> None:
        self.study = study
        self.search = search
        self.space = space
        self.claims = claims
        self.wanted = wanted
        self._name = f"search-{digest([study.study_name, book])}"
        self._book = f"{self._name}-book"
        self._distributions = space.distributions

    def ask(self) -> Going | None:
        """The next trial; None where those finished, running and waiting are as many as are wanted."""
        with self.claims.wait(self._book):
            self._give_up_lost()
            trials = self.trials()
            waiting = any(trial.state == TrialState.WAITING for trial in trials)
            if len(trials) >= self.wanted and not waiting:
                return None
            self.study.sampler = sampler_for(self.search, self.study.study_name, len(trials))
            if self.search.sampler == "grid" and not waiting and not self._enqueue_next_combination():
                return None
            trial = self.study.ask(self._distributions)
            claim = self.claims.take(self._claim_of(trial.number))
            assert isinstance(claim, Claim)  # nobody else has the book
            return Going(trial, claim)

    def trials(self) -> list[FrozenTrial]:
        """The trials wanted, or those there are: none that is lost or tried again, in the order of their numbers."""
        every = self._all()
        again = {trial.user_attrs.get(AGAIN) for trial in every}
        return [trial for trial in every if not is_lost(trial) and trial.number not in again][: self.wanted]

    def try_failed_again(self) -> None:
        """Have the values of trials that failed for a cause tried once more, in their place."""
        with self.claims.wait(self._book):
            for trial in self.trials():
                if trial.state == TrialState.FAIL and not trial.user_attrs[CAUSE].startswith(NOT_ALLOWED):
                    self.study.enqueue_trial(values_of(trial), user_attrs={AGAIN: trial.number})

    def finished(self) -> list[FrozenTrial]:
        """Trials that are complete, pruned, or failed for a cause."""
        return [trial for trial in self.trials() if trial.state.is_finished()]

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to do, here or in another process."""
        trials = self.trials()
        return len(trials) >= self.wanted and all(trial.state.is_finished() for trial in trials)

    def report(self, going: Going, value: float, step: int) -> bool:
        """Enter a value for a step, once; whether the trial is worth going on with. Raises TakenOverError."""
        if step not in going.steps:
            with self._unless_taken_over(going):
                going.trial.report(value, step)
            going.steps.add(step)
        with self._unless_taken_over(going):
            return not going.trial.should_prune()

    def complete(self, going: Going, values: Sequence[float], runs: Sequence[Mapping[str, Any]]) -> None:
        """Enter the result of a trial, and what its runs made of their validation clips. Raises TakenOverError."""
        self._tell(going, TrialState.COMPLETE, values, {RUNS: list(runs)})

    def prune(self, going: Going, runs: Sequence[Mapping[str, Any]]) -> None:
        """Enter that a trial was stopped. Raises TakenOverError."""
        self._tell(going, TrialState.PRUNED, None, {RUNS: list(runs)})

    def fail(self, going: Going, cause: str) -> None:
        """Enter that a trial failed for a cause of its own. Raises TakenOverError."""
        self._tell(going, TrialState.FAIL, None, {CAUSE: cause})

    def _tell(
        self, going: Going, state: TrialState, values: Sequence[float] | None, attributes: Mapping[str, Any]
    ) -> None:
        with going.claim, self._unless_taken_over(going):
            for name, value in attributes.items():
                going.trial.set_user_attr(name, value)
            self.study.tell(going.trial, values, state)

    def _give_up_lost(self) -> None:
        """Fail the running trials that nobody conducts, and have their values tried again.

        What is to be tried again is entered first: should this process die between the two, nothing is lost.
        """
        running = [trial.number for trial in self._all() if trial.state == TrialState.RUNNING]
        unclaimed = [number for number in running if self.claims.owner(self._claim_of(number)) is None]
        if not unclaimed:
            return
        trials = self._all()  # read again: a trial is told before its claim is released
        tried_again = {trial.user_attrs.get(AGAIN) for trial in trials}
        for trial in (trials[number] for number in unclaimed if trials[number].state == TrialState.RUNNING):
            values, failed = values_of(trial), CAUSE in trial.user_attrs
            if trial.number not in tried_again and not failed and values.keys() == self._distributions.keys():
                self.study.enqueue_trial(values, user_attrs={AGAIN: trial.number})
            self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
        for number in unclaimed:
            self.claims.clear(self._claim_of(number))

    def _next_combination(self) -> Values | None:
        tried = [values_of(trial) for trial in self.trials()]
        every = grid_of(self.search, self.study.study_name, self.space)
        return next((values for values in every if values not in tried), None)

    def _enqueue_next_combination(self) -> bool:
        values = self._next_combination()
        if values is not None:
            self.study.enqueue_trial(values)
        return values is not None

    def _all(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _claim_of(self, number: int) -> str:
        return f"{self._name}-trial-{number}"

    @contextmanager
    def _unless_taken_over(self, going: Going) -> Iterator[None]:
        """Raise TakenOverError where a trial cannot be written to because another process has ended it."""
        try:
            yield
        except (UpdateFinishedTrialError, ValueError) as error:
            if self._all()[going.number].state.is_finished():
                raise TakenOverError from error
            raise


def is_lost(trial: FrozenTrial) -> bool:
    """Whether the process that conducted a trial was lost: its values are tried again under another number."""
    return trial.state == TrialState.FAIL and CAUSE not in trial.user_attrs


def values_of(trial: FrozenTrial) -> Values:
    """What a trial tries, or was made to try and did not come to."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}
