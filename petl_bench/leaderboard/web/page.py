"""The leaderboard as a page: plain tables that any browser shows, and a script that sorts, filters and draws."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

import petl_bench
from petl_bench.leaderboard.pages import (
    ROLES,
    conditions,
    notes,
    percent,
    plus_minus,
    profile,
    published,
    ranges,
    thousands,
)
from petl_bench.leaderboard.report import Data


def html_text(reports: Sequence[Data], details: Mapping[str, Data], problems: Sequence[str] = ()) -> str:
    """The whole page. Names from outside are text in it, whatever they are; its policy lets no other script run."""
    script = "\n".join(["(() => {", '"use strict";', _file("drawing.js"), _file("script.js"), "})();"])
    environment = Environment(
        loader=FunctionLoader(_file), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "percent": percent,
        "plus_minus": plus_minus,
        "published": published,
        "ranges": ranges,
        "thousands": thousands,
    }
    return environment.get_template("page.html.jinja").render(
        version=petl_bench.__version__,
        style=_file("style.css"),
        script=script,
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        sections=[_section(report) for report in reports],
        roles=ROLES,
        problems=problems,
        data=_json(details),
    )


def _section(report: Data) -> Data:
    """A report with what the template would have to compute."""
    ends = [value for row in report["rows"] for value in (row["low"], row["high"], row["score"]) if value is not None]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    room = (high - low) or 1.0
    return {
        **report,
        "title": ", ".join([report["benchmark"], f"backbone {report['backbone']}"]),
        "switch_set": profile(report).removeprefix("profile "),
        "said": conditions(report),
        "noted": notes(report),
        "roles": [role for role in ROLES if any(row["parameters"][role] for row in report["rows"])],
        "scale": {"low": low, "high": high},
        "bars": {
            row["config_key"]: [_share(row[end], low, room) for end in ("low", "score", "high")]
            for row in report["rows"]
        },
    }


def _share(value: float | None, low: float, room: float) -> float | None:
    """Where a value lies on a bar, in percent of its width."""
    return None if value is None else round(100 * (value - low) / room, 1)


def _json(data: Mapping[str, Data]) -> str:
    """JSON that ends no script element, whatever its strings are."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _file(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")
