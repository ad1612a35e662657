"""What a search found, in sentences that keep apart what was chosen on which clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from optuna.trial import TrialState

from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.comparisons import verdict
from petl_bench.sweeps.search.study import Searched
from petl_bench.sweeps.sentences import interval, p_value, points, said_power
from petl_bench.sweeps.tuned.answers import DEFAULT, Outcome, Versus

STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
WILCOXON = (
    "fold:wilcoxon tests run by run whether a trial is worse than the best one: with 5 runs the least one-sided p "
    "after 2, 3, 4, 5 of them is .25, .125, .0625, .031, so with its threshold of .13 it stops a trial after the third "
    "run at the earliest and saves 2 runs of 5 at most; in simulations it stops 18 of 100 trials that are as good as "
    "the best, 77 that are one standard deviation over folds worse and 99 that are two (runs saved: 0.3, 1.4, 1.9 of 5)"
)


def sentences(outcome: Outcome) -> list[str]:
    """The answer, most pointed first: test, validation, what the search did."""
    searched = outcome.searched
    lines = [_test(outcome), _pooled(outcome), _validation(outcome), _budget(searched)]
    return [line for line in lines if line]


def between(method_pairs: Sequence[Versus]) -> list[str]:
    """Tuned methods against each other."""
    return [f"Tuned alike, on test: {versus.what} {_said(versus, against='')}" for versus in method_pairs]


def states(searched: Searched) -> str:
    """``27 complete, 2 pruned, 1 failed``."""
    counts = Counter(STATES.get(trial.state, "under way") for trial in searched.trials)
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def is_nested(outcome: Outcome) -> bool:
    """Whether there are outer folds: with one split, no test clip is a validation clip of another fold."""
    return len(outcome.searched.target.folds) > 1


def _test(outcome: Outcome) -> str:
    among = "" if outcome.searched.target.search.pruner == "none" else ", among trials that were not pruned"
    per_fold = f"one winner per fold, each chosen on that fold's validation alone{among}"
    what = per_fold if is_nested(outcome) else "the winner"
    return f"On test, with new seeds, {what}: {_said(outcome.by_fold)}"


def _pooled(outcome: Outcome) -> str:
    """With one split there is one winner, of which the test sentence says all."""
    if not is_nested(outcome):
        return ""
    protocol, folds = outcome.searched.target.default.choice.card.protocol, outcome.searched.target.folds
    if protocol.validation == "previous_fold" and len(folds) == protocol.folds:
        seen = "has seen every clip as validation of some fold and is flattered by that"
    else:
        seen = (
            "rests on the validation clips of all these folds, which may be test clips of others, and may be flattered"
        )
    return f"On test, with new seeds, one winner for all folds, whose choice {seen}: {_said(outcome.pooled)}"


def _validation(outcome: Outcome) -> str:
    which = " for all folds" if is_nested(outcome) else ""
    return (
        f"On validation, with new seeds, the winner{which} (these are the clips it was chosen on): "
        f"{_said(outcome.on_validation)}"
    )


def _said(versus: Versus, against: str = f" to {DEFAULT}") -> str:
    estimate = versus.estimate
    if isinstance(estimate, NotAvailable):
        return f"no comparison ({estimate.reason})."
    if estimate.value == 0 and not isinstance(estimate.standard_error, NotAvailable) and estimate.standard_error == 0:
        return "the same predictions."
    found = verdict(estimate, versus.holm_p)
    finding = f"no test ({found.reason})" if isinstance(found, NotAvailable) else str(found)
    return (
        f"{points(estimate.value)} points{against} ({interval(estimate)}; {estimate.procedure}, "
        f"{p_value(versus.holm_p)} after Holm): {finding}.{said_power(estimate)}"
    )


def _budget(searched: Searched) -> str:
    target, pooled = searched.target, searched.pooled
    if pooled is None:
        best = "none is complete"
    elif target.search.objective == "loss":
        best = f"the best validation loss is {pooled.score:.4f} (trial {pooled.number})"
    else:
        best = (
            f"the best validation {target.search.objective.replace('_', ' ')} is {100 * pooled.score:.2f} (trial "
            f"{pooled.number})"
        )
    return f"The search: {len(searched.trials)} trials ({states(searched)}) of {target.runs_per_trial} runs; {best}."
