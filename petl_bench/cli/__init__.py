"""The command line: every module here that does not start with ``_`` is a verb, its function of that name the command.

Heavy imports stay inside the functions, so that ``--help`` and ``ls`` answer at once.
"""

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module

import typer
from typer.exceptions import Abort, Exit, TyperException

from petl_bench.errors import UserError

MISTAKE, INTERRUPTED = 2, 130


def application() -> typer.Typer:
    """The typer application with one command per verb module."""
    app = typer.Typer(
        name="petl-bench",
        help="Fair comparisons of parameter-efficient transfer learning methods on audio transformers.",
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def version(show: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
        if show:
            import petl_bench

            print(f"petl-bench {petl_bench.__version__}")
            raise typer.Exit()

    for module in pkgutil.iter_modules(__path__):
        if not module.name.startswith("_"):
            app.command(module.name)(getattr(import_module(f"{__name__}.{module.name}"), module.name))
    return app


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    try:
        code = typer.main.get_command(application()).main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except Exit as stop:
        sys.exit(stop.exit_code)
    except UserError as error:
        _complain(str(error))
    except TyperException as error:
        if error.format_message():
            _complain(error.format_message())
        sys.exit(MISTAKE)
    except (KeyboardInterrupt, Abort):
        print("petl-bench: stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def _complain(message: str) -> None:
    print(f"petl-bench: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(MISTAKE)
