"""Which method works on which family of backbones: what the contract says of every pair, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from unittest import SkipTest

from petl_bench.card_files import card_files
from petl_bench.errors import UserError
from petl_bench.testing import MethodContract
from petl_bench.testing.trials import FAMILIES

Verdict = Literal["works", "refuses", "breaks", "unknown"]


@dataclass(frozen=True)
class Capability:
    """What is known of a method on a family.

    works: it keeps the contract. refuses: its check says why not. breaks: it violates a rule. unknown: its code cannot
    be loaded here.
    """

    method: str
    family: str
    verdict: Verdict
    reason: str = ""


def capabilities(methods: Sequence[str] | None = None) -> Iterator[Capability]:
    """Try every method card, or those given, on every family."""
    for method in methods if methods is not None else sorted(card_files("methods")):
        for family in FAMILIES:
            yield of_contract(contract(method, family))


def contract(method: str, family: str, settings: Mapping[str, Any] | None = None) -> MethodContract:
    """The contract of a method on a family, with its card's settings but for those given."""
    under_test = {"method": method, "family": family, "settings": settings or {}}
    made: MethodContract = type("Contract", (MethodContract,), under_test)()
    return made


def refused(under_test: MethodContract) -> Capability | None:
    """What can be said without training: that a method refuses a family, or cannot be loaded."""
    method, family = str(under_test.method), under_test.family
    try:
        under_test.backbone()
    except SkipTest as reason:
        return Capability(method, family, "refuses", str(reason))
    except UserError as reason:
        return Capability(method, family, "unknown", str(reason))
    return None


def of_contract(under_test: MethodContract) -> Capability:
    """What the rules of the contract say."""
    if (known := refused(under_test)) is not None:
        return known
    violated = [finding for finding in under_test.findings() if finding.outcome == "violated"]
    reason = f"{under_test.title(violated[0].rule)}: {violated[0].detail}" if violated else ""
    return Capability(str(under_test.method), under_test.family, "breaks" if violated else "works", reason)


def as_markdown(found: Sequence[Capability]) -> str:
    """The page ``docs/capabilities.md``."""
    families = list(dict.fromkeys(capability.family for capability in found))
    verdicts = {(capability.method, capability.family): capability.verdict for capability in found}
    lines = [
        "# Methods on families of backbones",
        "",
        "Made by `petl-bench check --all --markdown`, which tries every method card with its own settings on small",
        "models of every family: do not edit. *works*: it keeps every rule of the [contract](add-a-method.md);",
        "*refuses*: it says why before anything is trained; *breaks*: it violates a rule; *unknown*: its code could",
        "not be loaded.",
        "",
        f"| method | {' | '.join(families)} |",
        f"|---|{'---|' * len(families)}",
    ]
    for method in dict.fromkeys(capability.method for capability in found):
        lines.append(f"| {method} | {' | '.join(verdicts[method, family] for family in families)} |")
    reasons = [f"- {of.method} on {of.family} {of.verdict}: {of.reason}" for of in found if of.reason]
    return "\n".join([*lines, *(["", *reasons] if reasons else [])]) + "\n"
