"""The command line: ``python3 -m rawsio COMMAND``, one module of :mod:`rawsio.commands` each.

``main`` builds the parser, loads the module of the one command that is called, and turns what
stops it into one line on standard error and an exit status.
"""

from __future__ import annotations

import argparse
import sys

from .commands import COMMANDS, Stop, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status, or exit with it if this is the program itself.

    The program is what gives no ``arguments``: a zip file calls this function and does not look at
    what it returns.  0 done, 1 failed (one line on standard error says why), 2 wrong usage, 130
    interrupted; a command may define more.
    """
    if arguments is None:
        # What a terminal or a file has no letters for is written as escapes, not as a traceback.
        for stream in (sys.stdout, sys.stderr):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(errors="backslashreplace")
        sys.exit(_run(sys.argv[1:]))
    return _run(arguments)


def _run(given: Sequence[str]) -> int:
    if given and given[0] in COMMANDS:
        arrange = getattr(load(given[0]), "arrange", list)
        given = [given[0], *arrange(given[1:])]
    options = _parser(given).parse_args(given)
    try:
        status = load(options.command).run(options)
        sys.stdout.flush()
    except Stop as stopped:
        print(f"rawsio: {stopped.message}", file=sys.stderr)
        return stopped.status
    except BrokenPipeError:
        # The reader has seen enough (`| head`).  Nothing more is written, at the exit neither.
        sys.stdout = None
        return 1
    except OSError as error:
        print(f"rawsio: {_told(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _parser(given: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rawsio", description="Socket.IO in pure Python.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # Options of the program itself are only --help: the command is the first word without a dash.
    called = next((word for word in given if not word.startswith("-")), "")
    for name, line in COMMANDS.items():
        command = commands.add_parser(name, help=line, description=line)
        if name == called:
            load(name).add_arguments(command)
    return parser


def _told(error: OSError) -> str:
    words = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {words}" if error.filename else words


if __name__ == "__main__":
    main()
