"""The road of one event in and of one broadcast out: ``python -m tests.bench.hops [--check]``.

A whole server in memory (:mod:`rawsio.testing`) takes an event of a client, and then sends a
broadcast to it.  The interpreter's profiler names each function of rawsio that is entered
meanwhile, in order.  A **hop** is a method that another object calls: it counts once, however
often it is entered.  What an object calls of itself, plain functions (codecs), properties and the
clock are not hops; neither is the bookkeeping that no unit passes through (``tick``, the log).

- *in*: from the loop that finds the socket readable to the user's handler, which is the last hop;
- *out*: from ``emit`` to ``sock.send``, with the flush at the end of the turn.

``layered`` is the way through all layers, which a parser brings about, ``direct`` the short way
of common packets.  ``--check`` ends with 1 if the layered road is longer than :data:`MOST`;
``--methods`` lists every method entered, those that an object calls of itself as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from rawsio import Server
from rawsio.socketio.packets import Ack, Event, decode_packet, encode_packet
from rawsio.testing import TestKit

__all__ = ["MOST", "Road", "main", "roads"]

MOST = {"in": 10, "out": 15}
"""Road -> the most hops that it may have, layered."""

_ASIDE = ("rawsio/log.py", "rawsio/layer.py", "rawsio/testing.py")
_BOOKKEEPING = frozenset(
    {"tick", "flushed", "watch", "watch_until", "wake", "call_soon", "schedule", "step"}
    | {"next_deadline", "ready"}
)


class StandardParser:
    """The standard form, by a parser of one's own: such a session takes no short way."""

    standard = frozenset((Event, Ack))

    def encode(self, packet: Any) -> Any:
        """Return the messages of a packet."""
        return encode_packet(packet)

    def decode(self, message: Any, limits: Any) -> Any:
        """Return the packet of a message."""
        return decode_packet(message, limits)


class Road:
    """The methods that were entered, in order: ``methods``, and the ``hops`` among them."""

    def __init__(self) -> None:
        self.methods: list[str] = []
        self.hops: list[str] = []
        self._open = True

    def clear(self) -> None:
        """Begin anew."""
        self.methods, self.hops, self._open = [], [], True

    def follow(self, act: Callable[[], object]) -> None:
        """Watch what ``act`` does."""
        sys.setprofile(self)
        try:
            act()
        finally:
            sys.setprofile(None)

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        """Take note of a call; a profiler's function."""
        if event == "call" and self._open:
            self._enter(frame)

    def _enter(self, frame: FrameType) -> None:
        path = frame.f_code.co_filename.replace("\\", "/")
        name = _method(frame)
        if name is None or "/rawsio/" not in path or path.endswith(_ASIDE):
            return
        if name not in self.methods:
            self.methods.append(name)
        crosses = _self(frame) is not _self(frame.f_back)
        if crosses and name.rpartition(".")[2] not in _BOOKKEEPING and name not in self.hops:
            self.hops.append(name)

    def end(self, name: str) -> None:
        """Take note that the unit has arrived, at a hop by this name."""
        if self._open:
            self.hops.append(name)
            self._open = False


def _self(frame: FrameType | None) -> object:
    """Return the object whose method a frame is; comprehensions and closures are their maker's."""
    while frame is not None and frame.f_code.co_name in ("<listcomp>", "<genexpr>", "<lambda>"):
        frame = frame.f_back
    return None if frame is None else frame.f_locals.get("self")


def _method(frame: FrameType) -> str | None:
    """Return ``Class.method`` if the frame is a method's and no property's, else ``None``."""
    owner = frame.f_locals.get("self")
    name = frame.f_code.co_name
    if owner is None or name.startswith(("<", "__")):
        return None
    for kind in type(owner).__mro__:
        found = vars(kind).get(name)
        if found is not None and not isinstance(found, property):
            full = f"{kind.__name__}.{name}"
            return None if kind.__module__ == "rawsio.net.memory" else full
    return None


def _frame(text: str) -> bytes:
    """Return a masked text frame; the key is zero, so that nothing changes."""
    data = text.encode()
    return bytes((0x81, 0x80 | len(data))) + bytes(4) + data


_UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def roads(parser: Any = None) -> dict[str, Road]:
    """Return the road in and the road out of a server with this parser."""
    io = Server(parser=parser)
    coming, going = Road(), Road()
    io.on("say", lambda _socket, _text: coming.end("handler"))
    kit = TestKit(io)
    wire = kit.dial()
    for data in (_UPGRADE, _frame("40"), *[_frame('42["say","a"]')] * 3):
        wire.send(data)
        kit.run()
        io.emit("news", "b")  # so that whatever is made the first time is there
        kit.run()
    coming.clear()
    wire.send(_frame('42["say","a"]'))
    coming.follow(kit.run)
    going.follow(lambda: io.emit("news", "b"))
    going.follow(kit.run)
    going.end("sock.send")
    kit.close()
    return {"in": coming, "out": going}


def main(arguments: list[str]) -> int:
    """Print the roads; with ``--check`` return 1 if one is too long."""
    long = []
    for kind, parser in (("layered", StandardParser()), ("direct", None)):
        for name, road in roads(parser).items():
            print(f"{kind}, {name}: {len(road.hops)} hops, {len(road.methods)} methods")
            print("  " + " > ".join(road.hops))
            if "--methods" in arguments:
                print("  methods: " + " ".join(road.methods))
            if kind == "layered" and len(road.hops) > MOST[name]:
                long.append(name)
    print(f"too long: {', '.join(long) or 'nothing'}")
    return 1 if long and "--check" in arguments else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
