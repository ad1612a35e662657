"""``petl-bench check``: does a method keep the contract that fair comparisons rest on?"""

from __future__ import annotations

import json
import shlex
from typing import Annotated, Literal

import typer

from petl_bench.cli._layout import next_step
from petl_bench.cli._options import Json
from petl_bench.errors import UserError, nearest


def check(
    method: Annotated[
        str | None, typer.Argument(help="Method card, its path, path.py or path.py:Class, or an entry point.")
    ] = None,
    dataset: Annotated[str, typer.Option(help="Benchmark whose [for.NAME] settings of the card apply.")] = "synthetic",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME.KEY=VALUE", help="Override a card's value.")
    ] = None,
    profile: Annotated[Literal["corrected", "published"], typer.Option(help="All switches at once.")] = "corrected",
    switches: Annotated[list[str] | None, typer.Option("--switch", metavar="NAME=VALUE", help="One switch.")] = None,
    family: Annotated[str, typer.Option(help="Family of backbones to try it on, as ls names them.")] = "ast",
    every: Annotated[bool, typer.Option("--all", help="Every method card on every family of backbones.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="With --all: print docs/capabilities.md.")] = False,
    as_json: Json = False,
) -> None:
    """Try a method against every rule of the contract, or all methods on all families of backbones.

    Exit code 1 where one is violated.
    """
    if every:
        if method is not None:
            raise UserError(f"--all tries every method: leave {method} out")
        _check_all(markdown=markdown, as_json=as_json)
        return
    if method is None or markdown:
        raise UserError("--markdown goes with --all" if markdown else "give a method, or --all")

    from petl_bench.plan import Request, choose, given_settings

    request = Request(
        (method,), dataset, profile=profile, switches=tuple(switches or ()), settings=tuple(settings or ())
    )
    choice = choose(request)

    from petl_bench.testing import MethodContract
    from petl_bench.testing.trials import FAMILIES

    if family not in FAMILIES:
        raise UserError(f"--family {family}{nearest(family, FAMILIES)}: give one of {', '.join(FAMILIES)}")
    under_test = {
        "family": family,
        "method": method,
        "benchmark": choice.benchmark,
        "settings": given_settings(request, choice.methods[0]),
        "switches": choice.switches,
    }
    contract: MethodContract = type("Contract", (MethodContract,), under_test)()
    findings = []
    for finding in contract.findings():
        findings.append(finding)
        if not as_json:
            print(_line(finding.outcome, contract.title(finding.rule), finding.detail), flush=True)
    violated = sum(finding.outcome == "violated" for finding in findings)
    name = choice.methods[0].name
    if as_json:
        rules = [{**vars(finding), "title": contract.title(finding.rule)} for finding in findings]
        print(json.dumps({"method": name, "violated": violated, "rules": rules}, indent=2))
    else:
        if not violated:
            counts = ", ".join(f"{count:,} {role}" for role, count in contract.trained().items() if count)
            print(f"\nparameters that train: {counts}")
        print(f"\n{name}: {f'{violated} of {len(findings)} rules violated' if violated else 'keeps the contract'}")
        if not violated:
            next_step(f"petl-bench run --methods linear,{shlex.quote(method)} --dataset synthetic")
    if violated:
        raise typer.Exit(1)


def _check_all(*, markdown: bool, as_json: bool) -> None:
    """Print what is known of every method on every family."""
    from petl_bench.testing.capabilities import as_markdown, capabilities

    found = []
    for capability in capabilities():
        found.append(capability)
        if not (markdown or as_json):
            reason = f": {capability.reason}" if capability.reason else ""
            print(f"{capability.method:20} {capability.family:10} {capability.verdict}{reason}", flush=True)
    if markdown:
        print(as_markdown(found), end="")
    elif as_json:
        print(json.dumps([vars(capability) for capability in found], indent=2))
    if any(capability.verdict == "breaks" for capability in found):
        raise typer.Exit(1)


def _line(outcome: str, title: str, detail: str) -> str:
    mark = {"ok": "ok       ", "violated": "VIOLATED ", "not applicable": "-        "}[outcome]
    return mark + title + (f"\n         {detail}" if detail else "")
