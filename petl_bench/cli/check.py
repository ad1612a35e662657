"""``petl-bench check``: does a method keep the contract that fair comparisons rest on?"""

from __future__ import annotations

import json
import shlex
from typing import Annotated, Literal

import typer

from petl_bench.cli._layout import next_step
from petl_bench.cli._options import Json


def check(
    method: Annotated[str, typer.Argument(help="Method card, its path, path.py or path.py:Class, or an entry point.")],
    dataset: Annotated[str, typer.Option(help="Benchmark whose [for.NAME] settings of the card apply.")] = "synthetic",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME.KEY=VALUE", help="Override a card's value.")
    ] = None,
    profile: Annotated[Literal["corrected", "published"], typer.Option(help="All switches at once.")] = "corrected",
    switches: Annotated[list[str] | None, typer.Option("--switch", metavar="NAME=VALUE", help="One switch.")] = None,
    as_json: Json = False,
) -> None:
    """Try a method against every rule of the contract.

    Exit code 1 where one is violated.
    """
    from petl_bench.plan import Request, choose, given_settings

    request = Request(
        (method,), dataset, profile=profile, switches=tuple(switches or ()), settings=tuple(settings or ())
    )
    choice = choose(request)

    from petl_bench.testing import MethodContract

    under_test = {
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


def _line(outcome: str, title: str, detail: str) -> str:
    mark = {"ok": "ok       ", "violated": "VIOLATED ", "not applicable": "-        "}[outcome]
    return mark + title + (f"\n         {detail}" if detail else "")
