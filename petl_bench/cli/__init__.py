"""The command line: every module here that does not start with ``_`` is a verb, its function of that name the command.

Heavy imports stay inside the functions, so that ``--help`` and ``ls`` answer at once.
"""

from __future__ import annotations

import io
import pkgutil
import re
import sys
from importlib import import_module
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException

import petl_bench
from petl_bench.errors import UserError

MISTAKE, INTERRUPTED = 2, 130


def application() -> typer.Typer:
    """The typer application with one command per verb module."""
    app = typer.Typer(
        name="petl-bench",
        help="Fair comparisons of parameter-efficient transfer learning methods on audio transformers.",
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def options(
        version: Annotated[
            bool, typer.Option("--version", help="Print the version and stop.", callback=_version, is_eager=True)
        ] = False,
    ) -> None: ...

    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            app.command(module.name)(getattr(import_module(f"{__name__}.{module.name}"), module.name))
    return app


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character shows another
    try:
        code = typer.main.get_command(application()).main(sys.argv[1:] or ["--help"], standalone_mode=False)
        _leave(code if isinstance(code, int) else 0)
    except (KeyboardInterrupt, Abort):
        _leave(INTERRUPTED)
    except UserError as error:
        _complain(str(error))
    except TyperException as error:
        _complain(error.format_message().replace("Value error, ", "") + _given(error.format_message()))


def _version(wanted: bool) -> None:
    if wanted:
        print(f"petl-bench {petl_bench.__version__}")
        raise typer.Exit()


def _leave(code: int) -> None:
    if code == INTERRUPTED:
        print("petl-bench: stopped", file=sys.stderr)
    sys.exit(code)


def _given(message: str) -> str:
    """What stood after the option that a message is about, where the message is about one."""
    option = re.search(r"Invalid value for '(--[a-z-]+)'", message)
    words = [word for argument in sys.argv[1:] for word in argument.split("=", 1)]
    if option is None or option[1] not in words[:-1]:
        return ""
    last = max(at for at, word in enumerate(words[:-1]) if word == option[1])
    return f" (given: {words[last + 1]})"


def _complain(message: str) -> None:
    print(f"petl-bench: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(MISTAKE)
