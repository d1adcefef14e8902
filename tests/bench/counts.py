"""What one operation makes a server do: ``python -m tests.bench.counts [--hops] [--json FILE]``.

Bytecodes and calls are the same on every machine and in every run, so two versions can be compared
where times cannot: the machine may be as busy as it likes.  The server is a whole one, in memory
(:mod:`rawsio.testing`), and the client is bytes, so nothing but the server is counted: instructions
that Python runs in the files of ``rawsio``, calls of Python functions there, and calls of C
functions from there.

The rows are those of the benchmark (:mod:`tests.bench.server`).  ``traced`` rows go through every
layer, because somebody watches.  ``idle connection`` counts blocks of memory, not bytecodes.

``--hops`` prints instead which functions are entered from the turn of the loop to the handler of
one event, and from the emit of one broadcast to the stream that is to be flushed, in their order.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import rawsio
from rawsio import Server
from rawsio.testing import TestKit

__all__ = ["ROWS", "counts_of", "hops", "main"]

PACKAGE = str(Path(rawsio.__file__).parent)
NOT_THE_SERVER = (f"{PACKAGE}/testing.py", f"{PACKAGE}/net/memory.py")

TOUCH = ("net/tcp:TCPStream.touch", "net/tcp:touch")
"""Where a broadcast has done its part of the way; the second is its name in Python 3.10."""

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
OPEN = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"
POLL = b"GET /socket.io/?EIO=4&transport=polling&sid=%b HTTP/1.1\r\nHost: a\r\n\r\n"
POST = (
    b"POST /socket.io/?EIO=4&transport=polling&sid=%b HTTP/1.1\r\nHost: a\r\n"
    b"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %d\r\n\r\n%b"
)
HELLO = b"GET /hello HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nUser-Agent: bench\r\n\r\n"

EVENT = b'42%d["echo","0123456789abcdef"]'
LONG = b'42%d["echo","' + b"0123456789abcdef" * 64 + b'"]'
RECEIVERS = 100


class NobodyLooks:
    """A trace that reports nothing, so that every layer is gone through."""

    def connection(self, *_role: Any) -> Any:
        return lambda *_report: None

    def session(self, _sid: str) -> Any:
        return lambda *_report: None


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """Return a masked frame."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    key = b"\x37\xfa\x21\x3d"
    if size > 4096:  # a payload of zeros, masked
        return head + key + (key * (size // 4 + 1))[:size]
    return head + key + bytes(byte ^ key[n & 3] for n, byte in enumerate(payload))


class Rig:
    """A server and its connections."""

    def __init__(self, *, traced: bool = False) -> None:
        self.io = Server(
            app=lambda request: "Hello",
            trace=NobodyLooks() if traced else None,
        )
        self.io.on("echo", lambda socket, value: value)
        self.io.on("binary", lambda socket, value: socket.emit("binary", value))
        self.kit = TestKit(self.io)

    def dial(self, *said: bytes) -> Any:
        """Return a connection on which this was said."""
        wire = self.kit.dial()
        for data in said:
            self.say(wire, data)
        return wire

    def say(self, wire: Any, data: bytes) -> bytes:
        """Send bytes, and return what comes back at once."""
        answer = b""
        while True:
            data = data[wire.send(data) :] if data else b""
            self.kit.run()
            try:
                answer += wire.recv(1 << 22)
            except BlockingIOError:
                if not data:
                    return answer

    def websocket(self) -> Any:
        """Return a connection that is in the main namespace."""
        return self.dial(UPGRADE, frame(b"40"))


Operation = Callable[[int], object]


def _echo(rig: Rig, text: bytes, depth: int) -> tuple[Operation, int]:
    wire = rig.websocket()

    def once(n: int) -> None:
        messages = (frame(text % (n * depth + at + 10)) for at in range(depth))
        answer = rig.say(wire, b"".join(messages))
        assert answer.count(b"43") >= depth

    return once, depth


def _fan_out(rig: Rig, emits: int) -> tuple[Operation, int]:
    wires = [rig.websocket() for _ in range(RECEIVERS)]

    def once(_n: int) -> None:
        for _ in range(emits):
            rig.io.emit("news", "0123456789abcdef")
        rig.kit.run()
        for wire in wires:
            assert wire.recv(1 << 16).count(b"news") == emits

    return once, RECEIVERS * emits


def _connect(rig: Rig) -> tuple[Operation, int]:
    def once(_n: int) -> None:
        wire = rig.websocket()
        wire.close()
        rig.kit.run()

    return once, 1


def _polling(rig: Rig) -> tuple[Operation, int]:
    wire = rig.dial()
    sid = rig.say(wire, OPEN).partition(b'"sid":"')[2].partition(b'"')[0]
    rig.say(wire, POST % (sid, 2, b"40"))
    rig.say(wire, POLL % sid)

    def once(n: int) -> None:
        packet = EVENT % (n + 10)
        rig.say(wire, POST % (sid, len(packet), packet))
        assert b"43" in rig.say(wire, POLL % sid)

    return once, 1


def _http(rig: Rig) -> tuple[Operation, int]:
    wire = rig.dial()

    def once(_n: int) -> None:
        assert rig.say(wire, HELLO).endswith(b"Hello")

    return once, 1


def _binary(rig: Rig) -> tuple[Operation, int]:
    wire = rig.websocket()
    data = frame(b'451-["binary",{"_placeholder":true,"num":0}]') + frame(bytes(65536), 0x82)

    def once(_n: int) -> None:
        answer = rig.say(wire, data)
        assert len(answer) > 65536

    return once, 1


Row = tuple[Callable[[Rig], tuple[Operation, int]], bool]

ROWS: dict[str, Row] = {
    "echo-d1": (lambda rig: _echo(rig, EVENT, 1), False),
    "echo-d16": (lambda rig: _echo(rig, EVENT, 16), False),
    "echo1k-d1": (lambda rig: _echo(rig, LONG, 1), False),
    "echo1k-d16": (lambda rig: _echo(rig, LONG, 16), False),
    "fanout-w1": (lambda rig: _fan_out(rig, 1), False),
    "fanout-w4": (lambda rig: _fan_out(rig, 4), False),
    "connect": (_connect, False),
    "polling": (_polling, False),
    "http": (_http, False),
    "binary-64k": (_binary, False),
    "echo-d1 traced": (lambda rig: _echo(rig, EVENT, 1), True),
    "fanout-w1 traced": (lambda rig: _fan_out(rig, 1), True),
    "polling traced": (_polling, True),
}
"""Name -> what is done once, and how many operations that is; whether somebody watches."""


class _Counter:
    """Counts bytecodes, calls of Python functions and calls of C functions of the server."""

    def __init__(self) -> None:
        self.bytecodes = self.calls = self.c_calls = 0
        self._counted: dict[str, bool] = {}

    def _counts(self, frame: FrameType) -> bool:
        name = frame.f_code.co_filename
        counted = self._counted.get(name)
        if counted is None:
            counted = name.startswith(PACKAGE) and name not in NOT_THE_SERVER
            self._counted[name] = counted
        return counted

    def _call(self, frame: FrameType, _kind: str, _argument: Any) -> Any:
        if not self._counts(frame):
            return None
        self.calls += 1
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._opcode

    def _opcode(self, _frame: FrameType, kind: str, _argument: Any) -> Any:
        if kind == "opcode":
            self.bytecodes += 1
        return self._opcode

    def _profile(self, frame: FrameType, kind: str, _argument: Any) -> None:
        if kind == "c_call" and self._counts(frame):
            self.c_calls += 1

    def __enter__(self) -> _Counter:
        sys.settrace(self._call)
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_error: object) -> None:
        sys.setprofile(None)
        sys.settrace(None)


def counts_of(name: str, rounds: int = 4) -> tuple[float, float, float]:
    """Return bytecodes, Python calls and C calls for one operation of a row."""
    make, traced = ROWS[name]
    rig = Rig(traced=traced)
    try:
        once, each = make(rig)
        for n in range(3):  # what is imported, compiled or cached on first use
            once(n)
        before = sys.gettrace()
        gc.disable()
        try:
            with _Counter() as counter:
                for n in range(rounds):
                    once(n + 3)
        finally:
            gc.enable()
            sys.settrace(before)
        total = rounds * each
        return counter.bytecodes / total, counter.calls / total, counter.c_calls / total
    finally:
        rig.kit.close()


def idle_blocks(many: int = 200) -> float:
    """Return how many blocks of memory an idle connection of the main namespace takes."""
    rig = Rig()
    try:
        wires = [rig.websocket() for _ in range(20)]
        gc.collect()
        before = sys.getallocatedblocks()
        wires += [rig.websocket() for _ in range(many)]
        gc.collect()
        return (sys.getallocatedblocks() - before) / many
    finally:
        rig.kit.close()


class _Hops:
    """Writes down which functions of the server are entered."""

    def __init__(self) -> None:
        self.entered: list[str] = []

    def __call__(self, frame: FrameType, _kind: str, _argument: Any) -> Any:
        name = frame.f_code.co_filename
        if name.startswith(PACKAGE) and name not in NOT_THE_SERVER:
            place = Path(name).relative_to(PACKAGE).with_suffix("")
            function = getattr(frame.f_code, "co_qualname", frame.f_code.co_name)
            self.entered.append(f"{place}:{function}")


def hops(*, traced: bool) -> tuple[list[str], list[str]]:
    """Return what is entered from the loop's turn to a handler, and from an emit to ``touch``."""
    rig = Rig(traced=traced)
    seen = _Hops()
    inward: list[str] = []
    before = sys.gettrace()
    try:
        rig.io.on("look", lambda socket: inward.extend(seen.entered))
        wire = rig.websocket()
        for _ in range(2):
            inward.clear()
            wire.send(frame(b'42["look"]'))
            seen.entered.clear()
            sys.settrace(seen)
            rig.kit.run()
            sys.settrace(before)
        seen.entered.clear()
        sys.settrace(seen)
        rig.io.emit("news", 1)
        sys.settrace(before)
        outward = [*seen.entered]
        touched = [n for n, name in enumerate(outward) if name in TOUCH]
        if touched:
            del outward[touched[0] + 1 :]
        turns = [n for n, name in enumerate(inward) if name.endswith((":Loop._turn", ":_turn"))]
        return inward[turns[-1] :], outward
    finally:
        sys.settrace(before)
        rig.kit.close()


def main() -> int:
    """Print the table."""
    if "--hops" in sys.argv[1:]:
        for traced in (True, False):
            inward, outward = hops(traced=traced)
            print(f"{'layered' if traced else 'direct'}: {len(inward)} in, {len(outward)} out")
            print("  in:  " + "\n       ".join(inward))
            print("  out: " + "\n       ".join(outward))
        return 0
    figures: dict[str, Any] = {}
    print(f"{'row':20} {'bytecodes':>10} {'calls':>8} {'C calls':>8}")
    for name in ROWS:
        figures[name] = found = counts_of(name)
        print(f"{name:20} {found[0]:10.1f} {found[1]:8.1f} {found[2]:8.1f}", flush=True)
    figures["idle connection"] = idle_blocks()
    print(f"{'idle connection':20} {figures['idle connection']:10.1f} blocks")
    if "--json" in sys.argv[1:]:
        Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
