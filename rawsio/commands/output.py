"""How commands show trees: as text that fits the terminal, with colours or without, or as JSON.

Colours are used on a terminal unless ``NO_COLOR`` is set (https://no-color.org).
"""

from __future__ import annotations

import os
import sys

from rawsio.explain.plain import as_json
from rawsio.explain.text import as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from rawsio.explain.fields import Field

__all__ = ["MISTAKE", "add_output", "colours", "line_width", "print_tree", "width"]

MISTAKE = 3
"""The exit status when something that was explained was wrong."""


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add how trees are shown."""
    parser.add_argument("--json", action="store_true", help="print trees as JSON, one a line")
    parser.add_argument("--width", type=int, metavar="N", help="longest line (the terminal's)")
    parser.add_argument(
        "--colour", "--color", choices=["auto", "always", "never"], default="auto",
        help="%(default)s: on a terminal, unless NO_COLOR is set",
    )  # fmt: skip


def print_tree(options: argparse.Namespace, tree: Field) -> None:
    """Print a tree as the options say."""
    if options.json:
        import json

        print(json.dumps(as_json(tree)))
    else:
        print(as_text(tree, width=width(options), colour=colours(options)), end="")


def width(options: argparse.Namespace) -> int:
    """Return how long a line may be."""
    from shutil import get_terminal_size

    return options.width or get_terminal_size((100, 24)).columns


def line_width(options: argparse.Namespace) -> int:
    """Return how long the line of a message may be; 0 is any, as in a file or a pipe."""
    return width(options) if options.width or sys.stdout.isatty() else 0


def colours(options: argparse.Namespace) -> bool:
    """Say whether colours are to be used."""
    if options.colour != "auto":
        return bool(options.colour == "always")
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
