"""A search's page: the answer in words, the budget of every method, scores, settings, figures and all trials."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from petl_bench.canonical import flat
from petl_bench.files import write_atomically
from petl_bench.index import IndexedRun
from petl_bench.leaderboard.figures.style import save
from petl_bench.leaderboard.pages import escaped, percent, ranges
from petl_bench.leaderboard.report import number
from petl_bench.leaderboard.training_notes import notes_on_training
from petl_bench.records import slug
from petl_bench.settings import resolve_settings
from petl_bench.stats.availability import NotAvailable
from petl_bench.stats.describe import describe
from petl_bench.sweeps.card import SweepCard
from petl_bench.sweeps.grid import brief, show
from petl_bench.sweeps.origin import Origin
from petl_bench.sweeps.page import ONE_SEED, bounds
from petl_bench.sweeps.search.ledger import CAUSE, RUNS, values_of
from petl_bench.sweeps.search.space import show_dimension
from petl_bench.sweeps.search.study import Searched
from petl_bench.sweeps.tuned.answers import BY_FOLD, POOLED, Evaluation, Outcome, between_methods, outcomes
from petl_bench.sweeps.tuned.figures import budget_curve, history, importance_bars, importances_of
from petl_bench.sweeps.tuned.sentences import STATES, WILCOXON, between, is_nested, sentences

FEW_TRIALS = 50
"""Below these, importances are noise for the most part."""


def write_page(
    card: SweepCard,
    found: Sequence[tuple[Searched, Evaluation]],
    indexed: Mapping[str, IndexedRun],
    folders: Mapping[str, Path],
    out: Path,
    *,
    origin: Origin,
    lines: Sequence[str] = (),
) -> list[Path]:
    """Write ``README.md``, ``trials.csv`` and the figures of a search into a folder.

    ``lines`` are notes on runs that failed and data not here.
    """
    said = outcomes(found, indexed, folders)
    paths: list[Path] = []
    important = False
    text = [f"# {escaped(card.title)}", "", *origin.lines("search")]
    text += ["## Budget", "", _budgets([outcome.searched for outcome in said]), ""]
    for benchmark in dict.fromkeys(outcome.searched.target.benchmark for outcome in said):
        its = [outcome for outcome in said if outcome.searched.target.benchmark == benchmark]
        text += [f"## {escaped(benchmark)}", "", _conditions(its), ""]
        if len(its) > 1:
            text += [*(f"- {escaped(sentence)}" for sentence in between(between_methods(its))), ""]
        for outcome in its:
            found_important = importances_of(outcome.searched)
            important = important or bool(found_important)
            text += _section(outcome, found_important, out, paths)
        text += _curve(its, out, paths)
    text += ["## Notes", "", *(f"- {escaped(note)}" for note in _notes(card, said, lines, important))]
    write_atomically(out / "README.md", ("\n".join(text).rstrip() + "\n").encode())
    write_atomically(out / "trials.csv", _csv([outcome.searched for outcome in said]).encode())
    return [out / "README.md", out / "trials.csv", *paths]


def _budgets(every: Sequence[Searched]) -> str:
    """What every method was given, and what came of it."""
    rows = []
    for searched in every:
        names = [STATES.get(trial.state, "under way") for trial in searched.trials]
        runs = {
            (run["fold"], run["seed"], run["seconds"])
            for trial in searched.trials
            for run in trial.user_attrs.get(RUNS, ())
        }
        row = [searched.target.method, searched.target.benchmark, searched.target.search.sampler, str(len(names))]
        row += [str(names.count(state)) for state in STATES.values()]
        row += [str(searched.target.runs_per_trial), _hours(sum(seconds for *_, seconds in runs))]
        rows.append([escaped(cell) for cell in row])
    heads = ["method", "benchmark", "sampler", "trials", *STATES.values(), "runs each", "in finished runs"]
    return str(tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True))


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{seconds / 60:.1f} min"


def _conditions(its: Sequence[Outcome]) -> str:
    target = its[0].searched.target
    card, folds = target.default.choice.card, target.folds
    where = f"folds {ranges(list(folds))} of {card.protocol.folds}" if card.protocol.folds > 1 else "one split"
    return escaped(
        f"Backbone {card.backbone}; {where}; {card.training.epochs} epochs unless they are searched; trials under "
        f"seeds {ranges(list(target.search.tuning_seeds))}, all that follows under seeds {ranges(list(target.seeds))}; "
        f"objective: validation {target.search.objective.replace('_', ' ')}; pruner {target.search.pruner}."
    )


def _section(outcome: Outcome, importances: dict[str, float], out: Path, paths: list[Path]) -> list[str]:
    """One method: sentences, scores, settings and figures."""
    searched = outcome.searched
    name = slug(f"{searched.target.benchmark}-{searched.target.method}")
    text = [f"### {escaped(searched.target.method)}", "", *(f"- {escaped(line)}" for line in sentences(outcome)), ""]
    text += [_scores(outcome), "", "Settings:", "", _settings(searched), ""]
    paths += save(history(searched), out, f"history-{name}")
    text += [f"![the objective of every trial](history-{name}.png)", ""]
    if importances:
        paths += save(importance_bars(importances, searched.target.title), out, f"importances-{name}")
        text += [f"![descriptive importances of the dimensions](importances-{name}.png)", ""]
    return text


def _scores(outcome: Outcome) -> str:
    rows = []
    for name, scores in outcome.test.items():
        if name == POOLED and not is_nested(outcome):
            continue
        described, validated = describe(scores), describe(outcome.validation[name])
        head = "tuned" if name == BY_FOLD and not is_nested(outcome) else name
        score, of_validation = (percent(number(part.score)) for part in (described, validated))
        rows.append([head, score, bounds(described.interval), of_validation])
    heads = ["", "test", "95%", "validation"]
    return str(tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True))


def _settings(searched: Searched) -> str:
    """Every dimension: what was searched, what the card has, what won."""
    target = searched.target
    card = _of_card(searched)
    winners = [(f"fold {winner.fold}", winner) for winner in searched.by_fold if len(target.folds) > 1]
    if searched.pooled is not None:
        winners.append(("all folds" if len(target.folds) > 1 else "winner", searched.pooled))
    rows = [
        [name, show_dimension(dimension), brief(card[name]) if name in card else "",
         *(brief(winner.levels[name]) for _, winner in winners)]
        for name, dimension in target.space.dimensions.items()
    ]  # fmt: skip
    rows.append(["trial", "", "", *(str(winner.number) for _, winner in winners)])
    heads = ["", "searched", "card", *(name for name, _ in winners)]
    cells = [[escaped(cell) for cell in row] for row in rows]
    return str(tabulate(cells, headers=heads, tablefmt="pipe", disable_numparse=True))


def _of_card(searched: Searched) -> dict[str, object]:
    """What the method has without a search, by factor."""
    choice = searched.target.default.choice
    config, optimizer = resolve_settings(choice.methods[0], choice.benchmark, choice.card.backbone, {})
    of_benchmark = choice.card.model_dump(mode="json", include={"training", "protocol", "features", "augment"})
    of_method = {**flat(config.model_dump(mode="json")), **optimizer.model_dump(mode="json")}
    return {**flat(of_benchmark), **of_benchmark["training"], **of_benchmark["protocol"], **of_method}


def _curve(its: Sequence[Outcome], out: Path, paths: list[Path]) -> list[str]:
    """Expected validation performance against budget, where trials are independent: random search without a pruner."""
    search = its[0].searched.target.search
    usable = [o.searched for o in its if o.searched.pooled is not None]
    if search.sampler != "random" or search.pruner != "none" or not usable:
        return []
    name = slug(f"budget-{usable[0].target.benchmark}")
    paths += save(budget_curve(usable), out, name)
    return [f"![expected best validation against the number of trials]({name}.png)", ""]


def _notes(card: SweepCard, said: Sequence[Outcome], lines: Sequence[str], important: bool) -> list[str]:
    notes, search = [*card.notes, *lines], card.search
    assert search is not None
    nested = any(map(is_nested, said))
    if nested and search.sampler in ("tpe", "nsga2"):
        notes.append(
            f"{search.sampler} proposes by the mean over all folds, so proposals have seen every clip as validation, "
            "though the choice among them for a fold has not; random and grid searches without a pruner keep them apart"
        )
    if nested and search.pruner != "none":
        notes.append(
            f"{search.pruner} stops trials by what other folds' validation says, and a trial that was stopped wins no "
            "fold: the choice for a fold is among trials that other folds have let through"
        )
    if len(said) > 1:
        budgets = {outcome.searched.target.method: outcome.searched.target.trials for outcome in said}
        if len({*budgets.values()}) == 1:
            notes.append(f"every method has the same budget: {next(iter(budgets.values()))} trials")
        else:
            listed = ", ".join(f"{method} {trials}" for method, trials in budgets.items())
            notes.append(f"budgets differ, as the grids have so many combinations: {listed}")
    if important:
        few = f"; with fewer than {FEW_TRIALS} trials they are noise for the most part"
        fewer = any(len(outcome.searched.trials) < FEW_TRIALS for outcome in said)
        notes.append(
            "importances describe these trials (PED-ANOVA: being among the best of them); they have no interval and "
            f"test nothing{few if fewer else ''}"
        )
    if search.sampler == "random" and search.pruner == "none":
        notes.append("expected best of n of B trials: Tang et al., arXiv 2004.13705, unbiased, never beyond B")
    else:
        notes.append("expected validation performance against budget is for random search without a pruner alone")
    if search.pruner == "fold:wilcoxon":
        notes.append(WILCOXON)
    for outcome in said:
        missing = outcome.due - len(outcome.runs)
        if missing:
            notes.append(
                f"{outcome.searched.target.title}: {missing} of {outcome.due} runs under new seeds are missing"
            )
        if repeated := len(outcome.searched.trials) - len({str(values_of(t)) for t in outcome.searched.trials}):
            notes.append(f"{repeated} trials of {outcome.searched.target.method} proposed what had been tried before")
        notes += [f"trial {t.number} of {outcome.searched.target.method} failed: {t.user_attrs[CAUSE]}"
                  for t in outcome.searched.trials if CAUSE in t.user_attrs][:5]  # fmt: skip
        if outcome.searched.target.workbench is not None:
            notes += outcome.searched.target.workbench.notes()
        notes += notes_on_training({outcome.searched.target.method: [run.record for run in outcome.runs]})
        for versus in (outcome.by_fold, outcome.pooled):
            if not isinstance(versus.estimate, NotAvailable):
                notes += [ONE_SEED if note.endswith(ONE_SEED) else note for note in versus.estimate.notes]
                notes.append(f"p answers: {versus.estimate.estimand}")
    notes.append("intervals are not adjusted for other comparisons; p Holm is, over the methods of a benchmark")
    return list(dict.fromkeys(notes))


def _csv(every: Sequence[Searched]) -> str:
    """One line per trial: state, objective, parameters, values, and validation by run; metrics are fractions."""
    factors = list(dict.fromkeys(name for searched in every for name in searched.target.space.dimensions))
    head = ["benchmark", "method", "trial", "state", "objective", "parameters", *factors, "by_run", "cause"]
    text = io.StringIO()
    writer = csv.DictWriter(text, head, lineterminator="\n", restval="")
    writer.writeheader()
    for searched in every:
        target = searched.target
        for trial in searched.trials:
            runs = trial.user_attrs.get(RUNS, ())
            levels = target.space.levels(values_of(trial))
            complete = trial.values is not None and STATES.get(trial.state) == "complete"
            row = {name: show(level) for name, level in levels.items() if name in factors}
            row |= {
                "benchmark": target.benchmark,
                "method": target.method,
                "trial": str(trial.number),
                "state": STATES.get(trial.state, "under way"),
                "objective": f"{trial.values[0]:.9g}" if complete else "",
                "parameters": str(runs[0]["parameters"]) if runs else "",
                "by_run": " ".join(
                    f"{run['fold']}/{run['seed']}:{run['metrics'][target.search.objective]:.6g}" for run in runs
                ),
                "cause": str(trial.user_attrs.get(CAUSE, "")),
            }
            writer.writerow(row)
    return text.getvalue()
