"""What the dearest inputs cost a server, for each kilobyte sent: ``python -m tests.bench.costs``.

Who attacks a server buys its time with bytes.  Each row of the table is an input that makes as
much work as its kind can: many small things in few bytes.  A whole server in memory takes it
(:mod:`rawsio.testing`), from the socket to the handler or file.

What is counted is *steps*: lines that Python runs, and calls of functions in C.  They are the same
on every machine, so ``tests/bench/test_costs.py`` holds each row to so many (:func:`bound_of`),
and shows that twice the input makes twice the steps.  The command prints CPU time beside them.
"""

from __future__ import annotations

import gc
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rawsio import Server, folder
from rawsio.socketio.msgpack import MsgpackParser
from rawsio.testing import TestKit

__all__ = ["ROWS", "Attack", "bound_of", "main", "seconds_of", "steps_of"]

MOST = 32_000
"""Steps for a kilobyte that no row may need; a step takes 15 to 60 nanoseconds."""

MOST_OF_REQUESTS = 50_000
"""The same for requests that are as short as can be.

Thirty of them are a kilobyte, and each is parsed, judged and answered; those that browsers send are
ten times as long, for the same steps.
"""

SIZE = 8192
"""Bytes of a row."""


class Attack:
    """One connection at a time to a server; ``send`` makes everything happen."""

    def __init__(self, **options: Any) -> None:
        self.folder = tempfile.TemporaryDirectory()
        Path(self.folder.name, "file").write_bytes(bytes(100))
        self.io = Server(app=folder(self.folder.name), allow_eio3=True, **options)
        self.io.on("e", lambda socket, *args: None)
        self.kit = TestKit(self.io)
        self.wire: Any = None
        self.dial()

    def dial(self) -> None:
        """Begin a new connection, and end the one before."""
        if self.wire is not None:
            self.wire.close()
        self.wire = self.kit.dial()

    def send(self, data: bytes) -> bytes:
        """Send bytes; return what was answered at once."""
        answer = b""
        while data:
            data = data[self.wire.send(data) :]
            self.kit.run()
            try:
                answer += self.wire.recv(1 << 20)
            except BlockingIOError:
                continue
        return answer

    def close(self) -> None:
        """Let go of everything."""
        self.kit.close()
        self.folder.cleanup()


HEAD = b"GET %b HTTP/1.1\r\nHost: a\r\n%b\r\n"
OPEN = b"/socket.io/?EIO=%d&transport=%b"
UPGRADE = (
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
POST = b"POST %b&sid=%b HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n"

Row = Callable[[Attack, int], Iterator[bytes]]


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """Return a masked frame."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    return head + bytes(4) + payload


def filled(beginning: bytes, item: bytes, end: bytes, size: int) -> bytes:
    """Return text of about this size with as many items as fit."""
    return beginning + item * max(1, (size - len(beginning) - len(end)) // len(item)) + end


def heads(target: bytes, fields: bytes, *, target_item: bytes = b"", item: bytes = b"") -> Row:
    """Requests one after another, with a target or a field that is as long as it may be."""

    def row(attack: Attack, size: int) -> Iterator[bytes]:
        whole = target + target_item * (7500 // len(target_item) if target_item else 0)
        more = item * (7500 // len(item) if item else 0)
        one = HEAD % (whole, (fields + more + b"\r\n") if fields else b"")
        for _ in range(max(1, size // len(one))):
            yield one

    return row


def together(one: bytes) -> Row:
    """The same request many times in one write, while the connection lasts."""

    def row(attack: Attack, size: int) -> Iterator[bytes]:
        for _ in range(max(1, size // 2048)):
            yield one * max(1, 2048 // len(one))

    return row


def alone(one: bytes) -> Row:
    """A new connection for each."""

    def row(attack: Attack, size: int) -> Iterator[bytes]:
        for _ in range(min(200, size // len(one))):
            attack.dial()
            yield one

    return row


def frames(*payloads: bytes, first: int = 0x81) -> Row:
    """Frames on an open WebSocket, some kilobytes at a time; those of bytes 0 to 31 are binary."""

    def row(attack: Attack, size: int) -> Iterator[bytes]:
        attack.send(HEAD % (OPEN % (4, b"websocket"), UPGRADE))
        attack.send(frame(b"40"))
        data = b"".join(frame(p, 0x82 if b"" < p < b" " else first) for p in payloads)
        for _ in range(max(1, size // 2048)):
            yield data * (2048 // len(data))

    return row


def event(beginning: bytes, item: bytes, end: bytes) -> Row:
    """One long message of many small values."""

    def row(attack: Attack, size: int) -> Iterator[bytes]:
        attack.send(HEAD % (OPEN % (4, b"websocket"), UPGRADE))
        attack.send(frame(b"40"))
        yield frame(filled(beginning, item, end, size))

    return row


def packed(item: bytes) -> Row:
    """One long message of MessagePack."""

    def row(attack: Attack, size: int) -> Iterator[bytes]:
        attack.send(HEAD % (OPEN % (4, b"websocket"), UPGRADE))
        attack.send(frame(b"\x82\xa4type\x00\xa3nsp\xa1/", 0x82))
        count = size // len(item)
        head = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e\xdd" + count.to_bytes(4, "big")
        yield frame(head + item * count, 0x82)

    return row


def posts(item: bytes, *, revision: int = 4, fields: bytes = b"", most: int = 1000) -> Row:
    """Payloads of many packets."""

    def row(attack: Attack, size: int) -> Iterator[bytes]:
        target = OPEN % (revision, b"polling")
        answer = attack.send(HEAD % (target, b""))
        sid = answer.partition(b'"sid":"')[2].partition(b'"')[0]
        separator = b"\x1e" if revision == 4 else b""
        attack.send(POST % (target, sid, b"", 2) + b"40" if revision == 4 else b"")
        count = min(most, size // (len(item) + len(separator)))
        body = separator.join([item] * count)
        for _ in range(max(1, size // len(body))):
            yield POST % (target, sid, fields, len(body)) + body

    return row


def chunks(attack: Attack, size: int) -> Iterator[bytes]:
    """A body in chunks of one byte."""
    yield b"POST /file HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    for _ in range(size // 2048):
        yield b"1\r\nx\r\n" * (2048 // 6)


def byte_by_byte(attack: Attack, size: int) -> Iterator[bytes]:
    """A head that comes in pieces of sixteen bytes: each is a turn of the loop."""
    head = HEAD % (b"/file", b"X: " + b"a" * 500 + b"\r\n")
    for _ in range(size // len(head)):
        for at in range(0, len(head), 16):
            yield head[at : at + 16]


ROWS: dict[str, tuple[Row, dict[str, Any]]] = {
    "requests, the shortest": (together(b"GET /x HTTP/1.1\r\nHost:a\r\n\r\n"), {}),
    "requests for a file": (together(b"GET /file HTTP/1.1\r\nHost:a\r\n\r\n"), {}),
    "HEAD of a file": (together(b"HEAD /file HTTP/1.1\r\nHost:a\r\n\r\n"), {}),
    "requests, wrong, each alone": (alone(b"GET /x HTTP/1.1\r\nHost a\r\n\r\n"), {}),
    "requests, no transport": (together(b"GET /socket.io/?EIO=4 HTTP/1.1\r\nHost:a\r\n\r\n"), {}),
    "requests, unknown session": (
        together(b"GET /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost:a\r\n\r\n"),
        {},
    ),
    "handshakes": (
        together(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost:a\r\n\r\n"),
        {},
    ),
    "heads of many fields": (heads(b"/x", b"a:1", item=b"\r\na:1"), {}),
    "heads in many pieces": (byte_by_byte, {}),
    "paths of many names": (heads(b"/", b"", target_item=b"a/"), {}),
    "paths of many escapes": (heads(b"/", b"", target_item=b"%41"), {}),
    "queries of many names": (heads(b"/socket.io/?", b"", target_item=b"a&"), {}),
    "queries of many escapes": (heads(b"/socket.io/?", b"", target_item=b"%41"), {}),
    "cookies": (heads(OPEN % (4, b"polling"), b"Cookie: ", item=b"a=b;"), {}),
    "codings": (heads(b"/socket.io/socket.io.js", b"Accept-Encoding: ", item=b"a,"), {}),
    "entity tags": (heads(b"/file", b"If-None-Match: ", item=b'"",'), {}),
    "entity tags, strong": (heads(b"/file", b"If-Match: ", item=b'"",'), {}),
    "ranges": (heads(b"/file", b"Range: bytes=", item=b"1-,"), {}),
    "Connection": (heads(b"/file", b"Connection: ", item=b"a,"), {}),
    "forwarded fields": (heads(b"/file", b"X-Forwarded-For: ", item=b"a,"), {}),
    "chunks of one byte": (chunks, {}),
    "WebSocket pings": (frames(b"", first=0x89), {}),
    "WebSocket pongs": (frames(b"", first=0x8A), {}),
    "Engine.IO pongs": (frames(b"3"), {}),
    "events without arguments": (frames(b'42["e"]'), {}),
    "events nobody hears": (frames(b'42["x"]'), {}),
    "acknowledged events": (frames(b'420["e"]'), {}),
    "acknowledgements": (frames(b"430[]"), {}),
    "namespaces left and joined": (frames(b"40/a,", b"41/a,"), {}),
    "binary events": (frames(b'451-["e",{"_placeholder":true,"num":0}]', b"\x01"), {}),
    "JSON of empty lists": (event(b'42["e"', b",[]", b"]"), {}),
    "JSON of empty objects": (event(b'42["e"', b",{}", b"]"), {}),
    "JSON of integers": (event(b'42["e"', b",0", b"]"), {}),
    "JSON of long integers": (event(b'42["e","' + b"1" * 4400 + b'"', b",0", b"]"), {}),
    "JSON of fractions": (event(b'42["e"', b",.1"[:1] + b"0.1", b"]"), {}),
    "JSON of strings": (event(b'42["e"', b',""', b"]"), {}),
    "JSON of escapes": (event(b'42["e","', b"\\n", b'"]'), {}),
    "JSON of quotes": (event(b'42["e","', b'\\"', b'"]'), {}),
    "JSON of objects and placeholders": (
        event(b'451-["e",{"_placeholder":true,"num":0}', b",{}", b"]"),
        {},
    ),
    "MessagePack of nil": (packed(b"\xc0"), {"parser": MsgpackParser()}),
    "MessagePack of integers": (packed(b"\x01"), {"parser": MsgpackParser()}),
    "MessagePack of wide integers": (packed(b"\xcc\x01"), {"parser": MsgpackParser()}),
    "MessagePack of lists": (packed(b"\x90"), {"parser": MsgpackParser()}),
    "MessagePack of lists in lists": (packed(b"\x91\x90"), {"parser": MsgpackParser()}),
    "MessagePack of maps": (packed(b"\x81\x01\x90"), {"parser": MsgpackParser()}),
    "MessagePack of strings": (packed(b"\xa0"), {"parser": MsgpackParser()}),
    "MessagePack of undefined": (packed(b"\xd4\x00\x00"), {"parser": MsgpackParser()}),
    "payloads of pongs": (posts(b"3"), {}),
    "payloads of events": (posts(b'42["e"]'), {}),
    "payloads of base64": (posts(b"b"), {"parser": MsgpackParser()}),
    "payloads of protocol 3": (posts(b"1:2", revision=3), {}),
    "payloads of protocol 3, binary": (
        posts(b"\x00\x01\xff2", revision=3, fields=b"Content-Type: application/octet-stream\r\n"),
        {},
    ),
}
"""Name -> the input, and the options of the server."""


def _feed(row: Row, options: dict[str, Any], size: int, around: Any) -> int:
    """Let a server take a row; ``around`` is entered while it works.  Returns the bytes sent."""
    logging.disable(logging.CRITICAL)
    attack, sent = Attack(**options), 0
    try:
        for data in row(attack, size):
            sent += len(data)
            around.__enter__()
            attack.send(data)
            around.__exit__()
    except BrokenPipeError:  # it was cut off: what it had sent by then counts
        around.__exit__()
    finally:
        logging.disable(logging.NOTSET)
        attack.close()
    return sent


class _Steps:
    """Counts lines of Python and calls of functions in C."""

    def __init__(self) -> None:
        self.count = 0

    def _line(self, _frame: Any, kind: str, _argument: Any) -> Any:
        if kind == "line":
            self.count += 1
        return self._line

    def _call(self, _frame: Any, kind: str, _argument: Any) -> None:
        if kind == "c_call":
            self.count += 1

    def __enter__(self) -> None:
        sys.settrace(self._line)
        sys.setprofile(self._call)

    def __exit__(self, *_error: object) -> None:
        sys.setprofile(None)
        sys.settrace(None)


class _Seconds:
    """Adds up CPU time."""

    def __init__(self) -> None:
        self.total = self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.process_time()

    def __exit__(self, *_error: object) -> None:
        self.total += time.process_time() - self._began


def bound_of(name: str) -> int:
    """Return the most steps that a kilobyte of a row may need."""
    return MOST_OF_REQUESTS if name.startswith(("requests", "HEAD", "handshakes")) else MOST


def steps_of(name: str, size: int = SIZE) -> tuple[int, int]:
    """Return the steps that a row makes at about this size, and how many bytes were sent."""
    row, options = ROWS[name]
    # Once before: what is imported and compiled on first use is no matter of the input.
    _feed(row, options, 1024, _Seconds())
    before, steps = sys.gettrace(), _Steps()
    try:
        sent = _feed(row, options, size, steps)
    finally:
        sys.settrace(before)
    return steps.count, sent


def seconds_of(name: str, size: int = 8 * SIZE) -> tuple[float, int]:
    """Return the CPU seconds of a row, and how many bytes were sent; the best of three."""
    row, options = ROWS[name]
    best, sent = float("inf"), 1
    for _ in range(3):
        gc.collect()
        seconds = _Seconds()
        sent = _feed(row, options, size, seconds)
        best = min(best, seconds.total)
    return best, sent


def main() -> int:
    """Print the table."""
    print(f"{'input':36} {'steps/KB':>9} {'ms/KB':>7}")
    within = True
    for name in ROWS:
        steps, sent = steps_of(name)
        seconds, taken = seconds_of(name)
        each = steps * 1024 / sent
        within = within and each <= bound_of(name)
        print(f"{name:36} {each:9.0f} {seconds * 1e3 * 1024 / taken:7.3f}", flush=True)
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
