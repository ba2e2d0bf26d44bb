"""Command line: ``python -m core``, also installed as ``fontanelle``."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from core import __version__
from core.cli import ablate, analyze, calibrate, cohort, demo, evaluate, models, prepare, train
from core.cli.console import say
from core.folder import Cancelled

app = typer.Typer(
    name="fontanelle",
    help="Unsupervised abnormality review of newborn brain MRI. Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.command)
app.command("prepare")(prepare.command)
app.command("train")(train.train_command)
app.command("calibrate")(calibrate.calibrate_command)
app.command("analyze")(analyze.command)
app.command("evaluate")(evaluate.command)
app.command("ablate")(ablate.command)
app.command("models")(models.command)
app.add_typer(cohort.app, name="cohort")


def show_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks; may stand anywhere")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version")
    ] = False,
) -> None:
    """Options of every command; ``--debug`` is taken off the line before it is parsed."""


class Terminated(SystemExit):
    """SIGTERM came."""


def on_sigterm(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated(128 + number)


def one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What is shown of an error that no command expected, without ``--debug``."""
    text = " ".join(str(error).split()) or "no message"
    say(f"error: unexpected {kind.__name__}: {text} (add --debug for the traceback)")


def leave(code: int, text: str) -> NoReturn:
    """End at once, also where a worker thread is deep in ITK: what it writes has not its final name yet."""
    say(text)
    if threading.active_count() == 1:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; exit code 2 with one line on bad input, 1 where part of the work failed."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [argument for argument in given if argument != "--debug"]
    if not debug:
        sys.excepthook = one_line
    signal.signal(signal.SIGTERM, on_sigterm)
    stopped: tuple[int, str] | None = None
    try:
        # The command itself: calling ``app`` would put typer's own hook in place of ours.
        code = typer.main.get_command(app).main(given, prog_name="python -m core", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except TyperException as error:
        say(f"error: {error.format_message()} (see --help)")
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        stopped = 130, "interrupted; nothing half done is left"
    except Terminated:
        stopped = 143, "terminated; nothing half done is left"
    except Cancelled as error:
        stopped = 1, str(error)
    except (ValueError, OSError) as error:
        if debug:
            raise
        say("error: " + " ".join(str(error).split()))
        sys.exit(2)
    leave(*stopped)  # outside the handlers: their tracebacks keep the pool's semaphores alive


if __name__ == "__main__":
    main()
