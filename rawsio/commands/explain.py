r"""``rawsio explain``: what some bytes, a packet from a log, or a whole capture mean.

::

    rawsio explain '42["hi"]'                  a packet as text
    rawsio explain 81 85 37 fa 21 3d 7f 9f 4d 51 58
    rawsio explain --as http request.txt       a file; - is standard input
    rawsio explain traffic.pcapng              every message of every connection, a line each
    rawsio explain traffic.pcapng --event chat --tree

What is given is taken for a file if there is one of that name.  Text is tried as packet text, then
as hexadecimal, then as base64; other readings that fit are named.  The exit status is 3 if there
was a mistake in what was explained.
"""

from __future__ import annotations

import os
import sys

from rawsio.explain.capture import is_capture
from rawsio.explain.fields import mistake
from rawsio.explain.guess import KINDS, explain_as, forms, readings
from rawsio.layer import Role

from . import Stop
from .output import MISTAKE, add_output, print_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from rawsio.explain.fields import Field
    from rawsio.websocket.deflate import Agreement

__all__ = ["add_arguments", "run"]

_MOST = 64_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is explained, as what, and how it is shown."""
    kinds = "; ".join(f"{name}: {what}" for name, what in KINDS.items())
    parser.add_argument(
        "source", nargs="+", metavar="SOURCE", help="text, hex, base64, a file, or - for stdin"
    )
    parser.add_argument("--as", dest="kind", choices=KINDS, metavar="KIND", help=kinds)
    parser.add_argument("--from", dest="sender", choices=["client", "server"], help="who sent it")
    parser.add_argument("--deflate", action="store_true", help="frames: permessage-deflate is on")
    add_output(parser)
    capture = parser.add_argument_group("captures")
    capture.add_argument("--tree", action="store_true", help="each message through all its layers")
    capture.add_argument("--stream", type=int, metavar="N", help="only connection N")
    capture.add_argument("--event", metavar="NAME", help="only Socket.IO events of this name")
    capture.add_argument(
        "--layer", choices=["http", "websocket", "engineio", "socketio", "tls"],
        help="only messages that reach this layer",
    )  # fmt: skip
    capture.add_argument("--follow", action="store_true", help="go on while the file grows")


def run(options: argparse.Namespace) -> int:
    """Explain what is given."""
    given = " ".join(options.source)
    if given == "-":
        return _run_bytes(options, sys.stdin.buffer.read)
    if os.path.isfile(given):
        with open(given, "rb") as file:
            return _run_bytes(options, file.read)
    if options.follow:
        raise Stop(f"--follow needs a capture file, and there is none called {given!r}")
    return _run_text(options, given)


def _run_bytes(options: argparse.Namespace, read: Callable[[int], bytes]) -> int:
    start = read(4)
    if is_capture(start) and options.kind is None:
        from .captures import explain_capture

        return explain_capture(options, start, read)
    if options.follow:
        raise Stop("--follow needs a pcap or pcapng file")
    data = start + read(_MOST)
    if options.kind is not None and options.kind not in ("packet", "message", "payload"):
        return _shown(options, _explained(options, data))
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return _run_guess(options, data)
    # The line end of a file is not part of a packet, but is of a request.
    stripped = (
        text[:-1].removesuffix("\r") if text.endswith("\n") and "\r\n\r\n" not in text else text
    )
    if "\0" in stripped:
        return _run_guess(options, data)
    return _run_text(options, stripped)


def _run_text(options: argparse.Namespace, text: str) -> int:
    if options.kind is None:
        return _run_guess(options, text)
    data = text.encode("utf-8", "surrogateescape")
    if options.kind not in ("packet", "message", "payload", "json", "http"):
        written = [made for form, made in forms(text) if form != "text"]
        if not written:
            raise Stop(f"{options.kind} is given in hexadecimal, in base64, or as a file")
        data = written[0]
    return _shown(options, _explained(options, data))


def _run_guess(options: argparse.Namespace, given: str | bytes) -> int:
    first, *others = readings(given)
    form = "" if first.form in ("text", "bytes") else f", given in {first.form}"
    print(f"read as {first.kind}: {KINDS[first.kind]}{form}", file=sys.stderr)
    for other in others:
        print(f"also fits: --as {other.kind} ({other.form})", file=sys.stderr)
    if first.kind == "frames" and (options.sender or options.deflate):
        data = first.tree.data or b""
        return _shown(options, explain_as("frames", data, _sender(options), _agreement(options)))
    return _shown(options, first.tree)


def _explained(options: argparse.Namespace, data: bytes) -> Field:
    return explain_as(options.kind, data, _sender(options), _agreement(options))


def _sender(options: argparse.Namespace) -> Role | None:
    return Role(options.sender) if options.sender else None


def _agreement(options: argparse.Namespace) -> Agreement | None:
    if not options.deflate:
        return None
    from rawsio.websocket.deflate import Agreement

    return Agreement()


def _shown(options: argparse.Namespace, tree: Field) -> int:
    print_tree(options, tree)
    return MISTAKE if mistake(tree) else 0
