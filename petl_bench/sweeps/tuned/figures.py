"""A search in pictures: its history, what its dimensions seem to matter, and what a smaller budget would have found."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial, TrialState

from petl_bench.leaderboard.figures.style import COLOURS, STYLE
from petl_bench.stats.validation_curve import expected_best
from petl_bench.sweeps.search.study import Searched, directions_of

LEAST_TRIALS = 10
"""Complete trials below which nothing is said of importances."""


def history(searched: Searched) -> Figure:
    """The objective of every trial in the order they ended, the best so far, and what was pruned or failed.

    With two objectives, the objective against trained parameters, and the front.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        panel = figure.subplots()
        if searched.target.search.sampler == "nsga2":
            _front(panel, searched)
        else:
            _by_number(panel, searched)
        panel.set_title(searched.target.title, loc="left", fontsize=9)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(fontsize=8)
    return figure


def importance_bars(importances: dict[str, float], title: str) -> Figure:
    """One bar per dimension."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 0.9 + 0.3 * len(importances)), layout="constrained")
        panel = figure.subplots()
        names = list(importances)[::-1]
        panel.barh(names, [importances[name] for name in names], color=COLOURS[0], height=0.6)
        panel.set_xlabel("importance for being among the best trials (descriptive)")
        panel.set_xlim(0, 1)
        panel.grid(axis="y", visible=False)
        panel.set_title(title, loc="left", fontsize=9)
    return figure


def budget_curve(every: Sequence[Searched]) -> Figure:
    """Expected best validation objective against the number of trials (random search), a line per method."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        panel = figure.subplots()
        for colour, searched in zip(COLOURS * len(every), every, strict=False):
            loss, values = _is_loss(searched), _values(searched)
            curve = -expected_best([-value for value in values]) if loss else 100 * expected_best(values)
            label = f"{searched.target.method}, B = {len(values)}"
            panel.plot(range(1, len(values) + 1), curve, color=colour, lw=1.5, label=label)
        panel.set_xlabel("trials")
        panel.set_ylabel(f"expected best, {_unit(every[0])}")
        panel.legend(fontsize=8)
    return figure


def importances_of(searched: Searched) -> dict[str, float]:
    """Optuna's importances (PED-ANOVA), highest first; none where trials are few or all alike."""
    complete = _complete(searched.trials)
    if len(complete) < LEAST_TRIALS or len(searched.target.space.dimensions) < 2:
        return {}
    sign = 1 if _is_loss(searched) else -1  # with a target of its own Optuna takes low for good
    two = searched.target.search.sampler == "nsga2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = optuna.importance.get_param_importances(
                _study_of(searched), target=(lambda trial: sign * trial.values[0]) if two else None
            )
        except (ValueError, RuntimeError):
            return {}
    return {name: value for name, value in found.items() if np.isfinite(value)}


def _by_number(panel: Axes, searched: Searched) -> None:
    loss = _is_loss(searched)
    complete = _complete(searched.trials)
    numbers, values = [trial.number for trial in complete], _values(searched)
    scaled = [value if loss else 100 * value for value in values]
    if scaled:
        panel.plot(numbers, scaled, "o", ms=4, color=COLOURS[0], label="complete")
        best = np.minimum.accumulate(scaled) if loss else np.maximum.accumulate(scaled)
        panel.step(numbers, best, where="post", color=COLOURS[1], lw=1.3, label="best so far")
    floor = max(scaled, default=1.0) if loss else min(scaled, default=0.0)
    for state, marker, label in ((TrialState.PRUNED, "x", "pruned"), (TrialState.FAIL, "^", "failed")):
        at = [trial.number for trial in searched.trials if trial.state == state]
        if at:
            panel.plot(at, [floor] * len(at), marker, ms=5, color="0.5", ls="", label=f"{label} (at the edge)")
    panel.set_xlabel("trial")
    panel.set_ylabel(_unit(searched))


def _front(panel: Axes, searched: Searched) -> None:
    complete = _complete(searched.trials)
    best = {tuple(trial.values) for trial in _study_of(searched).best_trials}
    loss = _is_loss(searched)
    points = [(t.values[1], t.values[0] if loss else 100 * t.values[0], tuple(t.values) in best) for t in complete]
    panel.plot([p[0] for p in points], [p[1] for p in points], "o", ms=4, color="0.6", label="complete")
    front = sorted(p[:2] for p in points if p[2])
    panel.plot([p[0] for p in front], [p[1] for p in front], "o-", ms=5, lw=1.2, color=COLOURS[1], label="front")
    panel.set_xscale("log")
    panel.set_xlabel("trained parameters, without the head")
    panel.set_ylabel(_unit(searched))


def _study_of(searched: Searched) -> optuna.Study:
    """The trials of a search's budget alone, in memory."""
    study = optuna.create_study(directions=list(directions_of(searched.target.search)))
    study.add_trials(searched.trials)
    return study


def _complete(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    return [trial for trial in trials if trial.state == TrialState.COMPLETE]


def _values(searched: Searched) -> list[float]:
    return [trial.values[0] for trial in _complete(searched.trials)]


def _is_loss(searched: Searched) -> bool:
    return searched.target.search.objective == "loss"


def _unit(searched: Searched) -> str:
    objective = searched.target.search.objective.replace("_", " ")
    return f"validation {objective}{'' if _is_loss(searched) else ', percent'}"
