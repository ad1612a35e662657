"""What ``data verify`` found, in 80 columns: facts first, then what is wrong, each with a word on what to do."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from petl_bench.benchmarks.inspection import Inspection, SameRecording
from petl_bench.cards import RATE, BenchmarkCard
from petl_bench.wording import count

SHOWN = 10
"""Lines of one kind; --json has all."""


def print_findings(name: str, card: BenchmarkCard, report: Inspection) -> None:
    """Facts of a data set, then its problems."""
    print(f"{name}: {_clips(report.clips)} in {report.folder}\n")
    for head, text in _facts(card, report):
        print(f"  {head:<10}{text}")
    print("\n" + "\n".join(_problems(report) or ["no problems found"]))


def _facts(card: BenchmarkCard, report: Inspection) -> list[tuple[str, str]]:
    length = f"{card.features.frames / 100:.1f} s"
    several = sum(number for channels, number in report.channels.items() if channels > 1)
    return [
        ("classes", str(report.classes)),
        ("hours", f"{report.seconds / 3600:.2f}"),
        *_wrapped("parts", [f"{place}: {number:,}" for place, number in sorted(report.places.items(), key=_in_order)]),
        *_wrapped("rates", [_rate(rate, number) for rate, number in sorted(report.rates.items())]),
        ("channels", f"{_clips(several)} with more than one, which are averaged" if several else "one"),
        ("longer", _some(report.longer, f", cut to {length}")),
        ("shorter", _some(report.shorter, f", padded to {length}")),
        ("silent", _some(report.silent, "")),
    ]


def _problems(report: Inspection) -> list[str]:
    lines: list[str] = []
    if report.expected is not None:
        lines.append(f"the card says {_clips(report.expected)}: this is another data set, or not all of it")
    if report.missing:
        lines += [f"missing: {_clips(len(report.missing))}; get the data set again, or take the rows out of its table"]
        lines += _first(report.missing)
    if report.broken:
        lines += [f"not usable: {_clips(len(report.broken))}; replace the files, or take the rows out of the table"]
        lines += _first(list(report.broken.values()))
    if report.parted:
        lines += [f"in more than one fold or list: {count(len(report.parted), 'group')}; what is tested was trained on"]
        lines += _first(report.parted)
    if report.splits:
        lines += [f"folds: {count(len(report.splits), 'problem')}; more clips of these classes help, and"]
        lines += ["fewer folds, or another protocol.validation or held_out in the card"]
        lines += _first([row for line in report.splits for row in wrap(line, 78)])
    if report.same:
        lines += [f"one recording in two groups, or under two labels: {count(len(report.same), 'pair')}; give both one"]
        lines += ["group (the column of clips.csv), or leave one out"]
        lines += _first([_same(pair) for pair in report.same])
    return lines


def _same(pair: SameRecording) -> str:
    shift = f", {pair.seconds:+.2f} s" if abs(pair.seconds) >= 0.005 else ""
    what = "one file" if pair.copy else f"{100 * pair.similarity:.0f}% alike"
    return f"{pair.first}  {pair.second}  {what}{shift}, {pair.where}"


def _first(lines: Sequence[str]) -> list[str]:
    rest = len(lines) - SHOWN
    return [*(f"  {line}" for line in lines[:SHOWN]), *([f"  ... and {rest:,} more; --json lists all"] * (rest > 0))]


def _some(ids: Sequence[str], what: str) -> str:
    return f"{_clips(len(ids))}{what} ({', '.join(ids[:2])}{', ...' * (len(ids) > 2)})" if ids else "none"


def _clips(number: int) -> str:
    return f"{number:,} clip{'' if number == 1 else 's'}"


def _rate(rate: int, number: int) -> str:
    converted = "" if rate == RATE else f", resampled to {RATE:,} Hz"
    return f"{rate:,} Hz: {_clips(number)}{converted}"


def _in_order(place: tuple[str, int]) -> tuple[int, str]:
    """Folds by number, lists as they are used."""
    order = ("train", "validation", "test")
    return (order.index(place[0]), "") if place[0] in order else (int(place[0].rpartition(" ")[2]), "")


def _wrapped(head: str, items: Sequence[str]) -> list[tuple[str, str]]:
    """Items between commas, as many a line as fit into 80 columns."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(item) <= 64:
            lines[-1] += f", {item}"
        else:
            lines.append(item)
    return [(head if not at else "", line) for at, line in enumerate(lines)]
