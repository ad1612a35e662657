"""Write docs/reference/ from the code: verbs and their options, keys of cards, sections of a run's record.

python docs/make_reference.py
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from petl_bench.card_files import card_files
from petl_bench.cards import BenchmarkCard, MethodCard
from petl_bench.cli import application
from petl_bench.lookup import find_method
from petl_bench.records import RunRecord
from petl_bench.sweeps.card import SweepCard
from petl_bench.switches import Switches

FOLDER = Path(__file__).parent / "reference"
CITED = "What method cards cite, by accuracy in percent. Most of it rests on one seed, and none of it has an interval."
MADE = "<!-- made by docs/make_reference.py -->"


def pages() -> dict[str, str]:
    """Every page's text by its name."""
    return {
        "commands.md": commands(),
        "cards.md": cards(),
        "methods.md": methods(),
        "record.md": record(),
        "published.md": published(),
    }


def commands() -> str:
    """Verbs, their arguments and options."""
    group: Any = typer.main.get_command(application())
    lines = [MADE, "", "# Commands", ""]
    for name, command in sorted(group.commands.items()):
        lines += [f"## petl-bench {name}", "", *_paragraphs(command.help or ""), ""]
        rows = [_parameter(parameter) for parameter in command.params if not getattr(parameter, "hidden", False)]
        if rows:
            lines += ["| | | default |", "|---|---|---|", *rows, ""]
    return "\n".join(lines).rstrip() + "\n"


def cards() -> str:
    """Keys of the three kinds of card, and the switches."""
    lines = [MADE, "", "# Keys of cards", ""]
    for title, schema in (
        ("Method cards (methods/)", MethodCard),
        ("Benchmark cards (benchmarks/)", BenchmarkCard),
        ("Sweep cards (sweeps/)", SweepCard),
        ("Switches (--switch NAME=VALUE)", Switches),
    ):
        lines += [f"## {title}", "", *_paragraphs(inspect.getdoc(schema) or ""), "", *_table(schema), ""]
    return "\n".join(lines).rstrip() + "\n"


def methods() -> str:
    """Hyperparameters of every built-in method."""
    lines = [MADE, "", "# Hyperparameters of methods", ""]
    by_code: dict[str, list[str]] = {}
    for name in card_files("methods"):
        by_code.setdefault(find_method(name).implementation.name, []).append(name)
    for code, names in sorted(by_code.items()):
        cls = find_method(names[0]).implementation.cls
        lines += [f"## {code}", "", *_paragraphs(inspect.getdoc(cls) or ""), ""]
        lines += [f"Cards: {', '.join(f'`{name}`' for name in names)}.", "", *_table(cls.Config), ""]
    return "\n".join(lines).rstrip() + "\n"


def record() -> str:
    """What run.json holds."""
    lines = [
        MADE,
        "",
        "# The record of a run",
        "",
        *_paragraphs(inspect.getdoc(RunRecord) or ""),
        "",
        *_table(RunRecord),
    ]
    return "\n".join(lines).rstrip() + "\n"


def published() -> str:
    """Published results that method cards cite, by benchmark and backbone."""
    lines = [MADE, "", "# Published results", "", CITED, ""]
    cited = [(name, of) for name in card_files("methods") for of in find_method(name).card.reference]
    for benchmark, backbone in sorted({(of.benchmark, of.backbone) for _, of in cited}):
        lines += [f"## {benchmark}, {backbone or 'AST'}", ""]
        lines += ["| method | accuracy | parameters | configuration | source |", "|---|---|---|---|---|"]
        found = [(name, of) for name, of in cited if (of.benchmark, of.backbone) == (benchmark, backbone)]
        for name, of in sorted(found, key=lambda pair: -pair[1].accuracy):
            cells = [f"{of.accuracy:.2f}", of.parameters, _cell(of.configuration), _cell(of.source)]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _paragraphs(text: str) -> list[str]:
    return [_cell(line) if line else "" for line in inspect.cleandoc(text).replace("``", "`").splitlines()]


def _parameter(parameter: Any) -> str:
    names = ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])
    if parameter.param_type_name == "argument":
        names = f"`{parameter.name.upper()}`"
    shown = re.search(r"\[default: (.+)\]$", parameter.help or "")
    text = (parameter.help or "")[: shown.start()] if shown else parameter.help or ""
    default = parameter.default
    said = _cell(shown[1]) if shown else "" if default in (None, False, ()) or callable(default) else f"`{default}`"
    return f"| {names} | {_cell(text.strip())} | {said} |"


def _table(schema: type[BaseModel]) -> list[str]:
    return ["| key | is | default |", "|---|---|---|", *_rows(schema, "")]


def _rows(schema: type[BaseModel], above: str) -> Iterator[str]:
    for name, field in schema.model_fields.items():
        key = f"{above}{field.alias or name}"
        inner = _model_in(field.annotation)
        if inner is None:
            yield f"| `{key}` | {_cell(_type(field.annotation, field))} | {_default(field)} |"
        else:
            within = get_origin(field.annotation) in (tuple, list)
            yield from _rows(inner, f"{key}[]." if within else f"{key}.")


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that a field holds, or holds several of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Annotated, tuple, Union, UnionType):
        models = [found for part in get_args(annotation) if (found := _model_in(part)) is not None]
        return models[0] if len(models) == 1 else None
    return None


def _type(annotation: Any, field: FieldInfo | None = None) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys("nothing" if part is type(None) else _type(part) for part in arguments))
    if str(origin) == "typing.Literal":
        return ", ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in arguments)
    if origin in (tuple, list):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"table of {_type(arguments[1])}"
    bounds = [f"{sign} {value}" for sign, value in _bounds(field)] if field else []
    return " ".join([getattr(annotation, "__name__", "anything"), *bounds]).replace("Any", "anything")


def _bounds(field: FieldInfo) -> Iterator[tuple[str, Any]]:
    for mark in field.metadata:
        for name, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<=")):
            if (value := getattr(mark, name, None)) is not None:
                yield sign, value


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or value in (None, "", (), {}):
        return ""
    return f"`{_cell(str(list(value) if isinstance(value, tuple) else value))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
