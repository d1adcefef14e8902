"""The part of ``rawsio explain`` for captures: connections, messages, filters, files that grow.

A message is a line, or with ``--tree`` the packet that completed it and its own tree.  The
connections are listed at the end, with what was odd about them.
"""

from __future__ import annotations

import sys
from time import gmtime, sleep, strftime

from rawsio.explain.capture import BadCapture, read_capture
from rawsio.explain.traffic import Traffic
from rawsio.layer import Role
from rawsio.socketio.packets import Event

from .output import MISTAKE, colours, line_width, print_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from rawsio.explain.conversation import Item
    from rawsio.explain.traffic import Seen

__all__ = ["explain_capture", "message_line"]

_LAYERS = {
    "http": "HTTP",
    "websocket": "WebSocket",
    "engineio": "Engine.IO",
    "socketio": "Socket.IO",
    "tls": "TLS",
}
_POLL = 0.2


def explain_capture(options: argparse.Namespace, start: bytes, read: Callable[[int], bytes]) -> int:
    """Explain a capture that begins with ``start``; returns the exit status."""
    shown = _Shown(options)
    status = 0
    traffic = Traffic()
    source = _Growing(start, read) if options.follow else _Plain(start, read)
    try:
        for captured in read_capture(source.read):
            shown.all(traffic.packet(captured))
    except BadCapture as error:
        print(f"rawsio: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        if not options.follow:
            raise
    shown.all(traffic.finish())
    if not options.json:
        shown.connections(traffic)
    return status or (MISTAKE if shown.mistakes else 0)


class _Plain:
    """Reads the first bytes again."""

    def __init__(self, start: bytes, read: Callable[[int], bytes]) -> None:
        self._start = start
        self._read = read

    def read(self, size: int) -> bytes:
        taken, self._start = self._start[:size], self._start[size:]
        while len(taken) < size:
            more = self._more(size - len(taken))
            if not more:
                break
            taken += more
        return taken

    def _more(self, size: int) -> bytes:
        return self._read(size)


class _Growing(_Plain):
    """Waits at the end of a file for more."""

    def _more(self, size: int) -> bytes:
        while not (more := self._read(size)):
            sys.stdout.flush()
            sleep(_POLL)
        return more


class _Shown:
    """Prints messages that pass the filters."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._width = line_width(options)
        self._colour = colours(options)
        self.mistakes = 0

    def all(self, seen: list[Seen]) -> None:
        for one in seen:
            if self._passes(one):
                self.mistakes += bool(one.item.wrong)
                self._one(one)

    def _passes(self, seen: Seen) -> bool:
        options, item = self._options, seen.item
        if options.stream is not None and seen.connection.number != options.stream:
            return False
        if options.layer is not None and _LAYERS[options.layer] not in item.layers:
            return False
        if options.event is None:
            return True
        return any(isinstance(p, Event) and str(p.args[0]) == options.event for p in item.packets)

    def _one(self, seen: Seen) -> None:
        if self._options.json:
            self._as_json(seen)
            return
        print(message_line(seen.connection.number, seen.item, self._width, colour=self._colour))
        if self._options.tree:
            if seen.tree is not None and seen.packet is not None:
                seen.tree.name = f"packet {seen.packet.number}"
                seen.tree.meaning = seen.packet.comment
                print_tree(self._options, seen.tree)
            print_tree(self._options, seen.item.tree)
            print()

    def _as_json(self, seen: Seen) -> None:
        import json

        from rawsio.explain.plain import as_json

        item = seen.item
        print(
            json.dumps(
                {
                    "stream": seen.connection.number,
                    "packet": seen.packet.number if seen.packet else None,
                    "time": item.time,
                    "sender": item.sender.value,
                    "layers": list(item.layers),
                    "session": item.session,
                    "offset": item.offset,
                    "summary": item.summary,
                    "wrong": item.wrong,
                    "tree": as_json(item.tree),
                }
            )
        )

    def connections(self, traffic: Traffic) -> None:
        count, cut = traffic.seen, len(traffic.fragments) + traffic.fragments.given_up
        print(
            f"{traffic.packets} packets, {count} TCP connection{'' if count == 1 else 's'}"
            + (f", {traffic.others} packets of other protocols" if traffic.others else "")
            + (f", {cut} packets not whole: fragments are missing" if cut else "")
        )
        for connection in traffic.connections:
            if self._options.stream in (None, connection.number):
                print(f"{connection.number:4}  {connection.summary()}")


def message_line(stream: int, item: Item, width: int, *, colour: bool = False) -> str:
    """Return a message as one line: time, stream, direction, layers, summary.

    The arrow points from the client to the server, or back; ``width`` 0 is any.
    """
    arrow = "→" if item.sender is Role.CLIENT else "←"
    part = f"{item.time % 1:.4f}"[1:]
    when = strftime("%H:%M:%S", gmtime(item.time)) + part
    layers = "/".join(item.layers) or "-"
    line = f"{when} {stream:4} {arrow} {layers:29} {item.summary}"
    if len(line) > width > 40:
        line = line[: width - 1] + "…"
    if item.wrong:
        line += f"\n{'':21}wrong: {item.wrong}"
        return f"\x1b[1;31m{line}\x1b[0m" if colour else line
    return line
