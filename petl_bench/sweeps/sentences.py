"""Answers in words: what the data support, with test, interval and the difference that they could have shown."""

from __future__ import annotations

from collections.abc import Sequence

from petl_bench.stats.availability import NotAvailable, Quantity
from petl_bench.stats.estimate import Estimate
from petl_bench.stats.planning import detectable_now, seed_plan
from petl_bench.sweeps.answers import Answer, Difference, Interaction, Trend
from petl_bench.sweeps.card import Claim, Question
from petl_bench.sweeps.grid import show

LISTED = 6


def sentences(question: Question, answer: Answer) -> list[str]:
    """The answer, most pointed first: the claim, the interaction, the trend, then all differences together."""
    lines = []
    if question.claim is not None:
        lines += [_claim(question.claim, difference) for difference in _claimed(question.claim, answer)]
    lines += [_single(difference) for difference in answer.differences if _is_single(question, difference)]
    lines += [_interaction(interaction) for interaction in _worth_saying(question, answer)]
    lines += [_trend(trend) for trend in answer.trends]
    for benchmark in dict.fromkeys(difference.cell.levels["benchmark"] for difference in answer.differences):
        its = [difference for difference in answer.differences if difference.cell.levels["benchmark"] == benchmark]
        lines += _differences(its)
    return lines or ["These runs allow no test; more folds or seeds do."]


def changed(compared: Difference | Interaction) -> str:
    """What a cell has in place of its baseline's, in words: "batch_size 16 instead of 32"."""
    ours, theirs = compared.cell.levels, compared.baseline.levels
    words = []
    for name in _unlike(compared):
        if name not in theirs:
            words.append(f"{name} {show(ours[name])}")
        else:
            here = show(ours[name]) if name in ours else "nothing said"
            words.append(f"{name} {here} instead of {show(theirs[name])}")
    return ", ".join(words)


def _unlike(compared: Difference | Interaction) -> list[str]:
    ours, theirs = compared.cell.levels, compared.baseline.levels
    return [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]


def points(value: float) -> str:
    return f"{100 * value:+.2f}"


def interval(estimate: Estimate) -> str:
    """``95% -2.10 to +1.30``, or why there is none."""
    bounds = estimate.interval()
    if isinstance(bounds, NotAvailable):
        return f"no interval: {bounds.reason}"
    return f"95% {points(bounds.low)} to {points(bounds.high)}"


def p_value(value: Quantity) -> str:
    if isinstance(value, NotAvailable):
        return "no p"
    return "p < 0.0001" if value < 1e-4 else f"p = {value:.4f}"


def detectable(estimate: Estimate) -> float | None:
    """The true difference that one unadjusted test finds with 80% power, as a fraction."""
    found = detectable_now(estimate)
    return None if isinstance(found, NotAvailable) else found


def _floor(estimates: Sequence[Estimate]) -> str:
    """What no number of seeds finds on the same clips; empty where seeds are the limit, or too few."""
    plans = [plan for estimate in estimates if not isinstance(plan := seed_plan(estimate), NotAvailable)]
    if not (floors := sorted(100 * plan.floor() for plan in plans if plan.irreducible)):
        return ""
    least = " to ".join(dict.fromkeys(f"{size:.2f}" for size in (floors[0], floors[-1])))
    return f" More seeds alone would not find less than {least} points: these clips are too few."


def _clear(holm_p: Quantity) -> bool:
    return not isinstance(holm_p, NotAvailable) and holm_p < 0.05


def _on(compared: Difference | Interaction | Trend) -> str:
    benchmark = compared.benchmark if isinstance(compared, Trend) else compared.cell.levels["benchmark"]
    return f"On {benchmark}{f' with {compared.where}' if compared.where else ''}: "


def _test(estimate: Estimate, holm_p: Quantity) -> str:
    return f"{interval(estimate)}; {estimate.procedure}, {p_value(holm_p)} after Holm"


def said_power(estimate: Estimate) -> str:
    """What could have been found, as a sentence after another; empty where that is not available."""
    least = detectable(estimate)
    return "" if least is None else f" Unadjusted, a true one of {100 * least:.2f} is found with 80% power."


def _claimed(claim: Claim, answer: Answer) -> list[Difference]:
    """The differences in exactly the levels of a claim."""
    return [
        difference
        for difference in answer.differences
        if set(_unlike(difference)) == set(claim.levels)
        and all(difference.cell.levels.get(name) == level for name, level in {**claim.levels, **claim.where}.items())
    ]


def _claim(claim: Claim, difference: Difference) -> str:
    bounds = difference.estimate.interval()
    said = f"{claim.points:+.2f} points were claimed ({claim.source})"
    if isinstance(bounds, NotAvailable):
        weighed = f"{said}; these runs have no interval to weigh that with."
    elif bounds.low <= claim.points / 100 <= bounds.high:
        neither = ", nor that there is none" if bounds.low <= 0 <= bounds.high else ""
        weighed = f"{said}, which these runs cannot rule out{neither}."
    else:
        side = "below" if claim.points / 100 < bounds.low else "above"
        less = (side == "below") == (claim.points < 0)
        weighed = (
            f"{said}, which is {side} the unadjusted interval: on these clips with this backbone the effect is "
            f"{'smaller than claimed, or the opposite' if less else 'larger than claimed'}."
        )
    return f"{_single(difference)} {weighed}"


def _is_single(question: Question, difference: Difference) -> bool:
    """Whether a cell differs from its baseline in a factor that single points add to the grid."""
    return any(name not in question.baseline for name in _unlike(difference))


def _single(difference: Difference) -> str:
    estimate = difference.estimate
    if difference.identical:
        return f"{_on(difference)}{changed(difference)} changes no prediction."
    return (
        f"{_on(difference)}{changed(difference)} makes {points(estimate.value)} points "
        f"({_test(estimate, difference.holm_p)}): {_verdict(difference)}.{said_power(estimate)}"
    )


def _verdict(difference: Difference) -> str:
    if isinstance(difference.verdict, NotAvailable):
        return f"no test ({difference.verdict.reason})"
    return str(difference.verdict)


def _worth_saying(question: Question, answer: Answer) -> list[Interaction]:
    """Those of the claim, else those that are significant, else the first few."""
    if question.claim is not None:
        wanted = question.claim.levels
        return [
            interaction
            for interaction in answer.interactions
            if all(interaction.cell.levels.get(name) == level for name, level in wanted.items())
        ]
    clear = [i for i in answer.interactions if _clear(i.holm_p)]
    return (clear or list(answer.interactions))[:LISTED]


def _interaction(interaction: Interaction) -> str:
    clear = _clear(interaction.holm_p)
    finding = "the effect differs" if clear else "no difference of the effect is shown"
    return (
        f"{_on(interaction)}what {changed(interaction)} makes is {points(interaction.estimate.value)} points "
        f"more with {interaction.factor} {show(interaction.first)} than with {interaction.factor} "
        f"{show(interaction.second)} ({_test(interaction.estimate, interaction.holm_p)}): {finding}."
        f"{said_power(interaction.estimate)}"
    )


def _trend(trend: Trend) -> str:
    clear = _clear(trend.holm_p)
    finding = ("a rise" if trend.slope.value > 0 else "a fall") if clear else "no trend is shown"
    turn = ""
    for name, holm_p in (("an optimum", trend.optimum_p), ("a dip", trend.dip_p)):
        if _clear(holm_p):
            turn = f" There is {name} between the levels ({p_value(holm_p)} after Holm)."
    if not turn and not isinstance(trend.optimum_p, NotAvailable):
        turn = " No optimum between the levels is shown."
    return (
        f"{_on(trend)}{points(trend.slope.value)} points per {trend.unit} "
        f"({_test(trend.slope, trend.holm_p)}): {finding}.{said_power(trend.slope)}{turn}"
    )


def _differences(differences: Sequence[Difference]) -> list[str]:
    """All differences to the baseline in one or two sentences."""
    clear = [d for d in differences if not isinstance(d.verdict, NotAvailable) and d.verdict.direction]
    clear.sort(key=lambda d: -abs(d.estimate.value))
    tested = [d for d in differences if not isinstance(d.holm_p, NotAvailable)]
    benchmark = differences[0].cell.levels["benchmark"]
    if not tested:
        why = _reasons(differences)
        return [f"On {benchmark} none of {len(differences)} differences to the baseline has a test: {why}."]
    least = sorted(size for d in tested if (size := detectable(d.estimate)) is not None)
    power = ""
    if least:
        power = f" Unadjusted, 80% power finds {100 * least[0]:.2f} to {100 * least[-1]:.2f} points."
    if not clear:
        return [
            f"On {benchmark} none of {len(tested)} differences to the baseline is significant after Holm: "
            f"inconclusive, not equal.{power}{_floor([d.estimate for d in tested])}"
        ]
    listed = [
        f"{f'with {d.where} ' if d.where else ''}{changed(d)} {points(d.estimate.value)} ({interval(d.estimate)})"
        for d in clear[:LISTED]
    ]
    more = f" and {len(clear) - LISTED} more" if len(clear) > LISTED else ""
    return [
        f"On {benchmark} {len(clear)} of {len(tested)} differences to the baseline are significant after Holm: "
        f"{'; '.join(listed)}{more}.{power}"
    ]


def _reasons(differences: Sequence[Difference]) -> str:
    """Why differences have no test."""
    return "; ".join(dict.fromkeys(d.verdict.reason for d in differences if isinstance(d.verdict, NotAvailable)))
