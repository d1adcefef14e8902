"""The commands of ``python3 -m rawsio``: one module a command, loaded when it is called.

A command is a module with two functions, listed in :data:`COMMANDS`:

``add_arguments(parser)``
    adds its options to an ``argparse.ArgumentParser``;
``run(options) -> int``
    does the work and returns the exit status: 0 done, 1 failed or refused, and what the command
    itself defines from 3 on (``argparse`` exits with 2 for wrong usage).

What a user can get wrong ends in one line on standard error: a command raises :class:`Stop` with
that line, and an ``OSError`` that leaves a command is told in the system's words.  Results go to
standard output, notices to standard error.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Protocol

    class Command(Protocol):
        """A module of this package."""

        def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
            """Add the options of the command."""

        def run(self, options: argparse.Namespace, /) -> int:
            """Do the work; return the exit status."""
            ...


__all__ = ["COMMANDS", "Stop", "load"]

COMMANDS = {
    "serve": "serve the chat and the view of the layers",
    "check": "test a server against the rules of its protocols",
    "explain": "say what bytes, packets and captures mean, field by field",
    "trace": "stand between a client and a server: show, record, spoil what passes",
    "queue": "look into the file of durable queues, and put it right",
    "rules": "look up a rule by its id: what it says, and what keeps it",
    "states": "print the table of a layer: what is legal when",
}
"""The name of each command, which is that of its module, and one line of help."""


class Stop(Exception):
    """End the command: one line for standard error, and the exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def load(name: str) -> Command:
    """Return the module of a command that is listed in :data:`COMMANDS`.

    >>> load("serve").__name__
    'rawsio.commands.serve'
    """
    module: Command = __import__(f"rawsio.commands.{name}", fromlist=["run"])
    return module
