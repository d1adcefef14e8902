"""A wire with a mutant on it, and the kinds of filters that mutants are made of.

A filter is given the connection (:class:`Tap`) and bytes, and returns the bytes that pass instead.
``asks`` filters see what the tester sends, ``says`` filters what the peer answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from rawsio.check.ws_wire import BINARY, KEY, TEXT, F, Seen, encode, read_frame
from tests.check.world import MemoryTransport, MemoryWorld

__all__ = [
    "GOOD",
    "Filter",
    "Mutant",
    "Mutated",
    "Packet",
    "Tap",
    "answers",
    "bodies",
    "calm",
    "crashes",
    "delivers",
    "frames",
    "heads",
    "keeps",
    "packets",
    "refuses",
    "requests",
    "sub",
    "swallows",
    "takes",
    "texts",
]

Packet = str | bytes
Filter = Callable[["Tap", bytes], bytes]
_MOST_CUT = 2000
"""Bytes of a connection that are handed on one by one; what is behind them comes whole."""
GOOD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def keeps(_tap: Tap, data: bytes) -> bytes:
    """Let everything pass as it is."""
    return data


@dataclass(frozen=True)
class Mutant:
    """How a rule is broken.

    ``options`` are those of the server, or of each client.  ``mute`` drops our end of a
    connection, ``clings`` the peer's.  A peer that is ``frail`` serves nobody after a reset, one
    that is ``busy`` nobody but the connection that it has.  ``tells`` changes what the user of a
    client sees (``None``: nothing); a client that ``storms`` connects without end.  Two are no
    faults: what the peer sends is late by ``lags`` seconds, and ``cuts`` hands it on byte by byte.
    """

    how: str
    asks: Filter = keeps
    says: Filter = keeps
    options: dict[str, Any] = field(default_factory=dict)
    mute: bool = False
    clings: bool = False
    frail: bool = False
    busy: bool = False
    storms: bool = False
    lags: float = 0.0
    cuts: bool = False
    tells: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda item: item


def calm(mutants: Iterable[Mutant]) -> list[Mutant]:
    """Return mutants whose sessions live longer than a case, though nobody answers their pings."""
    options = {"ping_interval": 25.0, "ping_timeout": 20.0}
    return [replace(mutant, options={**options, **mutant.options}) for mutant in mutants]


class Tap:
    """A connection to a right peer, with a mutant in between; as a transport of the tester."""

    def __init__(self, mutant: Mutant, inner: MemoryTransport, world: MemoryWorld) -> None:
        self.mutant = mutant
        self.inner = inner
        self.world = world
        self.facts: dict[str, Any] = {}
        self.held: dict[int, bytes] = {}
        self.back = b""
        self.unsent = b""
        self.upgraded = False
        self.key = KEY
        self.over = False
        self.given = 0
        self.late: list[tuple[float, bytes]] = []
        self.shared: dict[str, Any] = {}

    def send(self, data: bytes) -> int:
        self.upgraded = self.upgraded or data.startswith(b"HTTP/1.1 101")
        self.forward(self.mutant.asks(self, data))
        return len(data)

    def forward(self, data: bytes) -> None:
        """Send bytes to the peer, past the mutant."""
        self.unsent += data
        while self.unsent:
            try:
                sent = self.inner.send(self.unsent[: 1 << 18])
            except OSError:
                self.unsent = b""
                return
            if not sent:
                return
            self.unsent = self.unsent[sent:]

    def receive(self) -> bytes | None:
        self.forward(b"")
        while not self.back and not self.over:
            data = self._arrived()
            if data is None:
                return None
            if not data:
                self.over = True
                break
            if data.startswith(b"HTTP/1.1 101"):
                self.upgraded = True
            self.back += self.mutant.says(self, data)
        if self.back:
            size = 1 if self.mutant.cuts and self.given < _MOST_CUT else len(self.back)
            data, self.back = self.back[:size], self.back[size:]
            self.given += size
            return data
        return None if self.mutant.clings else b""

    def _arrived(self) -> bytes | None:
        """Return what the peer sent, ``lags`` seconds after it came; ``b""`` is its end."""
        if not self.mutant.lags:
            return self.inner.receive()
        self._note_late()
        due = bool(self.late) and self.late[0][0] <= self.world.time()
        return self.late.pop(0)[1] if due else None

    def _note_late(self) -> None:
        while not (self.late and not self.late[-1][1]):
            data = self.inner.receive()
            if data is None:
                return
            self.late.append((self.world.time() + self.mutant.lags, data))

    def wait(self, seconds: float, *, write: bool = False) -> bool:
        self.forward(b"")
        if write or self.back:
            return True
        if self.mutant.lags and not self.over:
            return self._wait_late(seconds)
        if self.over:
            if self.mutant.clings:
                self.world.pause(seconds)
            return not self.mutant.clings
        return self.inner.wait(seconds)

    def _wait_late(self, seconds: float) -> bool:
        until = self.world.time() + seconds
        self._note_late()
        if not self.late and self.inner.wait(seconds):
            self._note_late()
        if not self.late:
            return False
        due = self.late[0][0]
        self.world.pause(max(0.0, min(until, due) - self.world.time()))
        return due <= until

    def finish(self) -> None:
        if not self.mutant.mute:
            self.inner.finish()

    def close(self, *, reset: bool = False) -> None:
        if reset and self.mutant.frail:
            self.shared["dead"] = True
        if not (reset and self.mutant.mute):
            self.inner.close(reset=reset)


class Mutated:
    """A world of the tester in which every connection leads to a mutant."""

    def __init__(self, mutant: Mutant, world: MemoryWorld) -> None:
        self.mutant = mutant
        self.world = world
        self.shared: dict[str, Any] = {}
        self.time = world.time
        self.pause = world.pause

    def dial(self, where: str = "") -> Tap:
        mutant = self.mutant
        if self.shared.get("dead") or (mutant.busy and self.shared.get("taken")):
            mutant = Mutant("is gone", asks=lambda _tap, _data: b"")
        self.shared["taken"] = True
        tap = Tap(mutant, self.world.dial(where), self.world)
        tap.shared = self.shared
        self.shared.setdefault("taps", []).append(tap)
        return tap


# Bytes


def _regex(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


def sub(pattern: bytes, by: bytes | Callable[[re.Match[bytes]], bytes]) -> Filter:
    """Replace what matches; nothing once the connection is a WebSocket."""
    regex = _regex(pattern)
    return lambda tap, data: data if tap.upgraded else regex.sub(by, data)


def takes(pattern: bytes) -> Filter:
    """Take what matches for a good request, and go on behind it."""
    regex = _regex(pattern)
    return lambda _tap, data: GOOD * 2 if regex.search(data) else data


def refuses(pattern: bytes) -> Filter:
    """Refuse what matches as malformed."""
    regex = _regex(pattern)
    return lambda _tap, data: b"\0\r\n\r\n" if regex.search(data) else data


def answers(pattern: bytes, answer: bytes) -> Filter:
    """Answer what matches by itself."""
    regex = _regex(pattern)

    def change(tap: Tap, data: bytes) -> bytes:
        if tap.upgraded or not regex.search(data):
            return data
        tap.back += answer
        return b""

    return change


def crashes(pattern: bytes) -> Filter:
    """Answer what matches with a 500."""
    return answers(pattern, b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno")


def swallows(pattern: bytes) -> Filter:
    """Hear what matches, and say nothing."""
    return answers(pattern, b"")


# Messages of HTTP

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


def _messages(change: Callable[[Tap, bytes, bytes], tuple[bytes, bytes]], mark: int) -> Filter:
    """Return a filter that is given each whole head and body; their length is corrected."""

    def whole(tap: Tap, data: bytes) -> bytes:
        held = tap.held.get(mark, b"") + data
        made = b""
        while held:
            head, end, rest = held.partition(b"\r\n\r\n")
            if not end:
                break
            if b" 101 " in head[:14]:
                made, held = made + held, b""
                break
            found = _LENGTH.search(head)
            size = int(found[1]) if found else 0
            if len(rest) < size:
                break
            body, held = rest[:size], rest[size:]
            head, changed = change(tap, head, body)
            if changed is not body and found:
                head = _LENGTH.sub(b"\r\nContent-Length: %d" % len(changed), head)
            made += head + end + changed if head else b""
        tap.held[mark] = held
        return made

    return lambda tap, data: data if tap.upgraded else whole(tap, data)


def bodies(change: Callable[[Tap, bytes, bytes], tuple[bytes, bytes]]) -> Filter:
    """Change answers: ``change(tap, head, body)`` returns both; an empty head drops it."""
    return _messages(change, 1)


def requests(change: Callable[[Tap, bytes, bytes], tuple[bytes, bytes]]) -> Filter:
    """Change requests likewise."""
    return _messages(change, 2)


def heads(pattern: bytes, by: bytes | Callable[[re.Match[bytes]], bytes]) -> Filter:
    """Replace what matches in the heads of answers, 101s among them."""
    regex = _regex(pattern)

    def change(tap: Tap, data: bytes) -> bytes:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/") or tap.facts.get("open"):
            return data
        tap.facts["open"] = tap.upgraded
        return regex.sub(by, head + end) + rest

    return change


# Frames

Change = Callable[["Tap", Seen], "Seen | F | list[Seen | F] | None"]


def frames(change: Change, *, server: bool = False) -> Filter:
    """Change frames one by one; ``server`` for those that a server sends.

    A frame that is returned as it came passes byte by byte; any other is made anew, with a mask if
    a client sends it.
    """
    key = None if server else KEY

    def made(item: Seen | F) -> bytes:
        if isinstance(item, F):
            return encode(item)
        return encode(F(item.opcode, item.payload, item.fin, item.rsv, key))

    def each(tap: Tap, data: bytes) -> bytes:
        head = b""
        if data.startswith((b"HTTP/1.1 101", b"GET ")) and not tap.held.get(int(server) + 3):
            head, end, data = data.partition(b"\r\n\r\n")
            head += end
        held, out = tap.held.get(int(server) + 3, b"") + data, b""
        while (found := read_frame(held, 0)) is not None:
            seen, size = found
            raw, held = held[:size], held[size:]
            if seen.masked:
                tap.key = raw[size - len(seen.payload) - 4 : size - len(seen.payload)]
            result = change(tap, seen)
            if result is seen:
                out += raw
            elif isinstance(result, list):
                out += b"".join(raw if item is seen else made(item) for item in result)
            elif result is not None:
                out += made(result)
        tap.held[int(server) + 3] = held
        return head + out

    def passing(tap: Tap, data: bytes) -> bytes:
        return each(tap, data) if tap.upgraded else data

    return passing


# Packets of Engine.IO, over both transports

Packets = Callable[["Tap", Packet], list[Packet]]


def packets(change: Packets, *, server: bool = False) -> Filter:
    """Change Engine.IO packets: ``change`` returns those that pass instead of one."""
    key = None if server else KEY

    def frame(tap: Tap, seen: Seen) -> Seen | list[Seen | F] | None:
        if seen.opcode not in (TEXT, BINARY) or not seen.fin or seen.rsv:
            return seen
        text = seen.opcode == TEXT
        packet = seen.payload.decode("utf-8", "surrogateescape") if text else seen.payload
        found = change(tap, packet)
        if found == [packet]:
            return seen
        return [
            F(TEXT, item.encode("utf-8", "surrogateescape"), key=key)
            if isinstance(item, str)
            else F(BINARY, item, key=key)
            for item in found
        ]

    def body(tap: Tap, head: bytes, data: bytes) -> tuple[bytes, bytes]:
        first = head.partition(b"\r\n")[0]
        ours = b" 200 " in first and b"text/plain" in head if server else b"POST" in first
        if not ours or (not server and b"EIO=" not in first):
            return head, data
        text = data.decode("utf-8", "surrogateescape")
        made = [item for packet in text.split("\x1e") for item in change(tap, packet)]
        joined = "\x1e".join(str(item) for item in made)
        changed = joined.encode("utf-8", "surrogateescape")
        return head, data if changed == data else changed

    in_frames = frames(frame, server=server)
    in_bodies = _messages(body, 5 + server)

    def both(tap: Tap, data: bytes) -> bytes:
        if tap.upgraded:
            return in_frames(tap, data)
        if not server and b"POST" not in data and not tap.held.get(5):
            return data
        return in_bodies(tap, data)

    return both


def texts(
    pattern: str, by: str | Callable[[re.Match[str]], str], *, server: bool = False
) -> Filter:
    """Replace what matches in text packets; an empty result is no packet."""
    regex = re.compile(pattern, re.DOTALL)

    def change(_tap: Tap, packet: Packet) -> list[Packet]:
        if isinstance(packet, bytes):
            return [packet]
        made = regex.sub(by, packet)
        return [made] if made or not packet else []

    return packets(change, server=server)


def delivers(pattern: str, *, binary: bool = False, join: bool = False) -> Filter:
    """Take a bad packet for an event of the application, and attachments for nothing."""
    regex = re.compile(pattern, re.DOTALL)

    def change(_tap: Tap, packet: Packet) -> list[Packet]:
        if isinstance(packet, bytes):
            return ['42["message","bad"]'] if binary else [packet]
        if not regex.search(packet):
            return [packet]
        return [*(["40"] if join else []), '42["message","bad"]']

    return packets(change)
