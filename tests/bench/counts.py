"""What one operation makes a server do: ``python -m tests.bench.counts [--check] [--write]``.

Bytecodes and calls are the same on every machine and in every run, so two versions can be compared
where times cannot: the machine may be as busy as it likes.  The server is a whole one, in memory
(:mod:`rawsio.testing`), and the client is bytes, so nothing but the server is counted: instructions
that Python runs in the files of ``rawsio``, calls of Python functions there, calls of C functions
from there, what would be system calls, and how often a message or head went the *long* way, through
the layers.

The rows are those of the benchmark (:mod:`tests.bench.server`).  ``traced`` rows go through every
layer, because somebody watches.  ``mix`` is what the others are not: nested and non-ASCII values,
three arguments, another namespace, a room.  ``say`` is an event that is answered by an event,
``ask`` one of the server that the client acknowledges, whereupon it is asked again.  ``tls`` rows
are over TLS, without what OpenSSL and the module ``ssl`` do.  ``workers``
rows are those of ``fanout`` with half of the receivers at another worker (:mod:`rawsio.workers`),
whose work is counted, too.  ``client`` rows count a client of ours instead (:mod:`.raw_server`).
``idle connection`` counts blocks of memory and objects that the garbage collector looks at.  What
is said is drawn from a seed (``--seed N``), which is printed: a short way that takes the
benchmark's own messages alone has no advantage.

``--check`` holds the counts against :mod:`.budgets` and ends with 1 if one has moved, ``--write``
writes those of every Python that ``.ci/run`` would use, ``--hops`` prints which functions are
entered from the turn of the loop to the handler of one event, and from the emit of one broadcast to
the stream that is to be flushed, in their order.
"""

from __future__ import annotations

import gc
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import rawsio
from rawsio import Server
from rawsio.testing import TestKit
from rawsio.workers.bus import WorkersAdapter, WorkersLink
from tests.__main__ import ROOT

from .raw_server import RawServer, said
from .secure_wire import SecureWire, server_context

__all__ = ["ROWS", "UPGRADE", "Counts", "Operation", "Rig", "agree", "check", "counted",
           "counts_of", "frame", "hops", "idle", "main"]  # fmt: skip

PACKAGE = str(Path(rawsio.__file__).parent)
KERNEL = f"{PACKAGE}/net/memory.py"
NOT_THE_SERVER = (f"{PACKAGE}/testing.py", KERNEL, f"{PACKAGE}/net/poll.py")
"""What stands for the clients and the kernel: of ``net.poll`` a server on Linux enters nothing that
it enters here."""

SYSTEM = frozenset({"recv", "send", "sendmsg", "select", "register", "modify", "unregister"})
"""Functions of the memory that stand for system calls."""

LONG = frozenset(
    (f"{PACKAGE}/{file}.py", name)
    for file, name in (
        ("http/head_reader", "read"),
        ("websocket/reader", "read"),
        ("engineio/connection", "receive"),
        ("socketio/connection", "receive"),
    )
)
"""What is entered on the long way only: file and name."""

TOUCH = ("net/tcp:TCPStream.touch", "net/tcp:touch")
"""Where a broadcast has done its part of the way; the second is its name in Python 3.10."""

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: %b==\r\n\r\n"
)
OPEN = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"
POLL = b"GET /socket.io/?EIO=4&transport=polling&sid=%b HTTP/1.1\r\nHost: a\r\n\r\n"
POST = (
    b"POST /socket.io/?EIO=4&transport=polling&sid=%b HTTP/1.1\r\nHost: a\r\n"
    b"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %d\r\n\r\n%b"
)
HELLO = b"GET /hello HTTP/1.1\r\nHost: a\r\nAccept: */*\r\nUser-Agent: %b\r\n\r\n"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
RECEIVERS, PUBLISHERS = 50, 16
OTHER = "http://other"
"""Where the second of two workers is."""
SECURE = "https://secure"
"""Where the server speaks TLS."""

SECRETS = re.compile(rb'"sid":"[^"]*"|Date: [^\r]*|Sec-WebSocket-Accept: [^\r]*|"pid":"[^"]*"')
"""What is another in every run."""


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
    """A server and its connections; ``heard`` is all that they were told."""

    def __init__(self, *, traced: bool = False, seed: int = 1, limits: Any = None) -> None:
        self.draw = random.Random(seed)
        self.traced = traced
        self.heard = b""
        self.io = Server(
            app=lambda request: "Hello",
            trace=NobodyLooks() if traced else None,
            limits=limits,
        )
        for space in (self.io, self.io.of("/chat")):
            space.on("echo", lambda socket, *values: values)
            space.on("one", lambda socket, value: value)
            space.on("room", self._room)
        self.io.on("binary", lambda socket, value: socket.emit("binary", value))
        self.io.on("say", lambda socket, value: socket.emit("said", value))
        self.io.on("ask", self._ask)
        self.kit = TestKit(self.io, tls=server_context())

    def _room(self, socket: Any, name: str) -> str:
        socket.join(name)
        self.io.to(name).emit("news", name)
        socket.leave(name)
        return name

    def _ask(self, socket: Any, value: str, seconds: float | None) -> None:
        asking = socket if seconds is None else socket.timeout(seconds)

        def again(_reply: Any = None) -> None:
            asking.emit_with_ack("asked", value).add_done_callback(again)

        again()

    def word(self, least: int, most: int) -> str:
        """Draw a text of so many letters."""
        return "".join(self.draw.choices(LETTERS, k=self.draw.randint(least, most)))

    def join(self) -> None:
        """Make the server one of two workers."""
        other = Server()
        ends = dict(zip((self.io, other), self.kit.board.pair(), strict=True))
        for number, (io, end) in enumerate(ends.items()):
            link = WorkersLink(number, io.limits)
            io.core.namespaces.use(WorkersAdapter(link))
            if io is other:
                self.kit.serve(other, OTHER)
            io.of("/").adapter.init()
            link.start(self.kit.loop, io.net.driver)
            link.join(1 - number, end)

    def dial(self, *said: bytes, url: str | None = None) -> Any:
        """Return a connection on which this was said."""
        wire = self.kit.dial(url)
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
                more = wire.recv(1 << 22)
            except BlockingIOError:
                if not data:
                    self.heard += answer
                    return answer
                continue
            if not more:
                raise AssertionError(f"the server has hung up after {answer[-200:]!r}")
            answer += more

    def secure(self) -> Any:
        """Return a connection over TLS that is in the main namespace."""
        self.kit.serve(self.io, SECURE)
        wire = SecureWire(self.kit.dial(SECURE), self.kit)
        for data in (UPGRADE % self.word(22, 22).encode(), frame(b"40"), frame(b'42["one",1]')):
            self.say(wire, data)
        return wire

    def websocket(self, *more: bytes, url: str | None = None) -> Any:
        """Return a connection that is in the main namespace."""
        return self.dial(UPGRADE % self.word(22, 22).encode(), frame(b"40"), *more, url=url)


Operation = Callable[[int], object]


def check(answer: bytes, part: bytes, times: int = 1) -> None:
    """Raise ``AssertionError`` unless an answer has a part so many times."""
    if answer.count(part) < times:
        raise AssertionError(f"{part!r} was expected {times} times: {answer[:200]!r}")


def _echo(
    rig: Rig, least: int, most: int, depth: int, *, tls: bool = False
) -> tuple[Operation, int]:
    wire = rig.secure() if tls else rig.websocket()

    def once(n: int) -> None:
        texts = [f'42{n * depth + at + 10}["one","{rig.word(least, most)}"]' for at in range(depth)]
        answer = rig.say(wire, b"".join(frame(text.encode()) for text in texts))
        check(answer, b"43", depth)

    return once, depth


def _say(rig: Rig) -> tuple[Operation, int]:
    """Events that are answered by an event."""
    wire = rig.websocket()

    def once(_n: int) -> None:
        word = rig.word(8, 40)
        check(rig.say(wire, frame(f'42["say","{word}"]'.encode())), f'["said","{word}"]'.encode())

    return once, 1


def _ask(rig: Rig, seconds: str = "null") -> tuple[Operation, int]:
    """Events of the server that are acknowledged, and then asked again."""
    wire = rig.websocket()
    asked = rig.say(wire, frame(f'42["ask","{rig.word(8, 40)}",{seconds}]'.encode()))

    def once(_n: int) -> None:
        nonlocal asked
        number = asked[4 : asked.index(b"[")]
        asked = rig.say(wire, frame(b'43%b["%b"]' % (number, rig.word(8, 40).encode())))
        check(asked, b'["asked",')

    return once, 1


def _mix(rig: Rig) -> tuple[Operation, int]:
    wire = rig.websocket(frame(b"40/chat,"))

    def once(n: int) -> None:
        a, b, c = (rig.word(1, 20) for _ in range(3))
        number = rig.draw.randint(1, 10**6)
        said = [
            f'42{n}1["one",{{"who":{{"id":{number},"name":"{a}"}},"tags":["{b}",null,true,[1.5]]}}]',
            f'42{n}2["one","{a} \u00fc\u4eac {b}"]',
            f'42{n}3["echo","{a}",{number},["{c}"]]',
            f'42/chat,{n}4["one","{b}"]',
            f'42{n}5["room","{c}"]',
        ]
        check(rig.say(wire, b"".join(frame(text.encode()) for text in said)), b"43", 5)

    return once, 5


def _fan_out(rig: Rig, emits: int, workers: int = 1, *, tls: bool = False) -> tuple[Operation, int]:
    join = rig.secure if tls else rig.websocket
    wires = [join() for _ in range(RECEIVERS // workers)]
    if workers == 2:
        rig.join()
        wires += [rig.websocket(url=OTHER) for _ in wires]

    def once(_n: int) -> None:
        for _ in range(emits):
            rig.io.emit("news", rig.word(8, 40))
        rig.kit.run()
        for wire in wires:
            said = wire.recv(1 << 16)
            rig.heard += said
            check(said, b"news", emits)

    return once, RECEIVERS * emits


def _publish(rig: Rig) -> tuple[Operation, int]:
    """Clients that publish to a queue in memory, all in one turn."""
    rig.io.queue("jobs", namespace="/queue")
    wires = [rig.websocket(frame(b"40/queue,")) for _ in range(PUBLISHERS)]

    def once(n: int) -> None:
        for wire in wires:
            wire.send(frame(f'42/queue,{n}["publish","jobs","{rig.word(8, 40)}",{{}}]'.encode()))
        rig.kit.run()
        for wire in wires:
            said = wire.recv(1 << 16)
            rig.heard += said
            check(said, b'[null,{"id":')

    return once, PUBLISHERS


def _connect(rig: Rig) -> tuple[Operation, int]:
    def once(_n: int) -> None:
        wire = rig.websocket()
        wire.send(frame(b"\x03\xe8", 0x88))
        rig.kit.run()
        check(wire.recv(99), b"\x88\x02\x03\xe8")
        wire.close()

    return once, 1


def _polling(rig: Rig) -> tuple[Operation, int]:
    """Polls and posts, over a connection each as browsers have it."""
    wire, other = rig.dial(), rig.dial()
    sid = rig.say(wire, OPEN).partition(b'"sid":"')[2].partition(b'"')[0]
    rig.say(other, POST % (sid, 2, b"40"))
    rig.say(wire, POLL % sid)

    def once(n: int) -> None:
        packet = f'42{n % 10}["one","{rig.word(14, 14)}"]'.encode()
        rig.say(other, POST % (sid, len(packet), packet))
        check(rig.say(wire, POLL % sid), b"43")

    return once, 1


def _http(rig: Rig) -> tuple[Operation, int]:
    wire = rig.dial()
    request = HELLO % rig.word(5, 40).encode()

    def once(_n: int) -> None:
        check(rig.say(wire, request), b"Hello")

    return once, 1


def _binary(rig: Rig) -> tuple[Operation, int]:
    wire = rig.websocket()
    data = frame(b'451-["binary",{"_placeholder":true,"num":0}]') + frame(bytes(65536), 0x82)

    def once(_n: int) -> None:
        if len(rig.say(wire, data)) <= 65536:
            raise AssertionError("the attachment did not come back")

    return once, 1


def _client_asks(rig: Rig, depth: int) -> tuple[Operation, int]:
    """Events of our client that are acknowledged, whereupon it asks again."""
    server = RawServer(rig.kit, trace=NobodyLooks() if rig.traced else None)

    def again(reply: Any = None) -> None:
        if reply is None or reply.exception() is None:
            server.socket.emit_with_ack("echo", rig.word(8, 40)).add_done_callback(again)

    for _ in range(depth):
        again()
    rig.kit.run()

    def once(_n: int) -> None:
        heard = server.hear()
        if len(heard) != depth:
            raise AssertionError(f"{depth} events were expected: {heard}")
        numbers = [text[2 : text.index("[")] for text in heard]
        server.say(b"".join(said(f'43{number}["{rig.word(8, 40)}"]') for number in numbers))

    return once, depth


def _client_hears(rig: Rig, depth: int) -> tuple[Operation, int]:
    """Events that our client hears."""
    server = RawServer(rig.kit, trace=NobodyLooks() if rig.traced else None)
    heard: list[str] = []
    server.socket.on("news", heard.append)

    def once(_n: int) -> None:
        heard.clear()
        words = [rig.word(8, 40) for _ in range(depth)]
        server.say(b"".join(said(f'42["news","{word}"]') for word in words))
        if heard != words:
            raise AssertionError(f"{words} were said: {heard}")

    return once, depth


def _client_says(rig: Rig, depth: int) -> tuple[Operation, int]:
    """Events of our client that nobody acknowledges."""
    server = RawServer(rig.kit)

    def once(_n: int) -> None:
        for _ in range(depth):
            server.socket.emit("note", rig.word(8, 40))
        rig.kit.run()
        if len(server.hear()) != depth:
            raise AssertionError(f"{depth} events were expected")

    return once, depth


Row = tuple[Callable[[Rig], tuple[Operation, int]], bool, int]

ROWS: dict[str, Row] = {
    "echo-d1": (lambda rig: _echo(rig, 8, 40, 1), False, 24),
    "echo-d16": (lambda rig: _echo(rig, 8, 40, 16), False, 4),
    "echo1k-d1": (lambda rig: _echo(rig, 900, 1100, 1), False, 12),
    "echo1k-d16": (lambda rig: _echo(rig, 900, 1100, 16), False, 2),
    "mix": (_mix, False, 8),
    "say": (_say, False, 24),
    "ask": (_ask, False, 24),
    "ask with time": (lambda rig: _ask(rig, "5"), False, 24),
    "fanout-w1": (lambda rig: _fan_out(rig, 1), False, 4),
    "fanout-w4": (lambda rig: _fan_out(rig, 4), False, 4),
    "tls-echo": (lambda rig: _echo(rig, 8, 40, 1, tls=True), False, 12),
    "tls-echo-d16": (lambda rig: _echo(rig, 8, 40, 16, tls=True), False, 2),
    "tls-fanout": (lambda rig: _fan_out(rig, 4, tls=True), False, 2),
    "workers-w1": (lambda rig: _fan_out(rig, 1, 2), False, 4),
    "workers-w4": (lambda rig: _fan_out(rig, 4, 2), False, 4),
    "publish": (_publish, False, 4),
    "connect": (_connect, False, 6),
    "polling": (_polling, False, 8),
    "http": (_http, False, 8),
    "binary-64k": (_binary, False, 3),
    "client ask-d1": (lambda rig: _client_asks(rig, 1), False, 12),
    "client ask-d16": (lambda rig: _client_asks(rig, 16), False, 2),
    "client news": (lambda rig: _client_hears(rig, 4), False, 4),
    "client note": (lambda rig: _client_says(rig, 4), False, 4),
    "client ask-d1 traced": (lambda rig: _client_asks(rig, 1), True, 6),
    "echo-d1 traced": (lambda rig: _echo(rig, 8, 40, 1), True, 12),
    "mix traced": (_mix, True, 4),
    "fanout-w1 traced": (lambda rig: _fan_out(rig, 1), True, 2),
    "polling traced": (_polling, True, 4),
    "http traced": (_http, True, 4),
}
"""Name -> what is done once and how many operations that is; whether somebody watches; rounds."""


class Counts(NamedTuple):
    """What one operation costs."""

    bytecodes: float
    calls: float
    c_calls: float
    system: float
    long: float


class _Counter:
    """Counts what :class:`Counts` has, of the server alone."""

    def __init__(self) -> None:
        self.bytecodes = self.calls = self.c_calls = self.system = self.long = 0
        self._counted: dict[str, bool] = {}

    def _counts(self, frame: FrameType) -> bool:
        name = frame.f_code.co_filename
        counted = self._counted.get(name)
        if counted is None:
            counted = name.startswith(PACKAGE) and name not in NOT_THE_SERVER
            self._counted[name] = counted
        return counted

    def _call(self, frame: FrameType, _kind: str, _argument: Any) -> Any:
        code = frame.f_code
        if not self._counts(frame):
            if code.co_filename == KERNEL and code.co_name in SYSTEM:
                caller = frame.f_back
                self.system += caller is not None and self._counts(caller)
            return None
        self.calls += 1
        self.long += (code.co_filename, code.co_name) in LONG
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


def counts_of(name: str, seed: int = 1) -> Counts:
    """Return what one operation of a row costs."""
    make, traced, rounds = ROWS[name]
    return counted(make, rounds, traced=traced, seed=seed)


def counted(make: Callable[[Rig], tuple[Operation, int]], rounds: int, **rigged: Any) -> Counts:
    """Return what one operation costs, of so many rounds of what ``make`` does with a rig."""
    rig = Rig(**rigged)
    before = sys.gettrace()
    gc.disable()
    try:
        once, each = make(rig)
        for n in range(3):  # what is imported, compiled or cached on first use
            once(n)
        with _Counter():  # from 3.12 on, code is instrumented when it first runs under a trace
            once(3)
        with _Counter() as counter:
            for n in range(rounds):
                once(n + 4)
        total = rounds * each
        found = (counter.bytecodes, counter.calls, counter.c_calls, counter.system, counter.long)
        return Counts(*(figure / total for figure in found))
    finally:
        gc.enable()
        sys.settrace(before)
        rig.kit.close()


def agree(name: str, seed: int = 1) -> bool:
    """Return whether the clients of a row hear the same when somebody watches."""
    heard = []
    for traced in (False, True):
        rig = Rig(traced=traced, seed=seed)
        try:
            once, _each = ROWS[name][0](rig)
            for n in range(6):
                once(n)
            heard.append(SECRETS.sub(b"", rig.heard))
        finally:
            rig.kit.close()
    return heard[0] == heard[1]


def idle(many: int = 200) -> tuple[float, float]:
    """Return the blocks of memory and the collector's objects of one idle connection."""
    rig = Rig()
    try:
        wires = [rig.websocket() for _ in range(50)]
        gc.collect()
        blocks, objects = sys.getallocatedblocks(), len(gc.get_objects())
        wires += [rig.websocket() for _ in range(many)]
        gc.collect()
        blocks, objects = sys.getallocatedblocks() - blocks, len(gc.get_objects()) - objects
        return blocks / many, objects / many
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


def measure(seed: int) -> dict[str, dict[str, float]]:
    """Return all counts, by row and figure, as far as two decimals."""
    figures = {}
    for name in ROWS:
        found = counts_of(name, seed)
        figures[name] = {k: round(v, 2) for k, v in found._asdict().items()}
    # In a process of its own: here are leavings of all that ran before.
    command = [sys.executable, "-m", "tests.bench.counts", "--idle"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    blocks, objects = json.loads(done.stdout)
    figures["idle connection"] = {"blocks": round(blocks, 2), "objects": round(objects, 2)}
    return figures


def main(arguments: list[str]) -> int:
    """Print the table; see the module."""
    if "--hops" in arguments:
        for traced in (True, False):
            inward, outward = hops(traced=traced)
            print(f"{'layered' if traced else 'direct'}: {len(inward)} in, {len(outward)} out")
            print("  in:  " + "\n       ".join(inward))
            print("  out: " + "\n       ".join(outward))
        return 0
    if "--idle" in arguments:
        print(json.dumps(idle()))
        return 0
    given = arguments.index("--seed") + 1 if "--seed" in arguments else 0
    seed = int(arguments[given]) if given else random.SystemRandom().randrange(10**6)
    figures = measure(seed)
    if "--json" in arguments:
        print(json.dumps(figures))
        return 0
    from . import budgets

    print(f"seed {seed}, Python {sys.version.split()[0]}")
    print(f"{'row':20}" + "".join(f"{name:>11}" for name in Counts._fields))
    for name, found in figures.items():
        shown = "".join(f"{figure:11.1f}" for figure in found.values())
        print(f"{name:20}{shown}  {' and '.join(found) if name == 'idle connection' else ''}")
    if "--write" in arguments:
        budgets.write()
    if "--check" not in arguments:
        return 0
    wrong = budgets.moved(figures, budgets.read()) + budgets.disagreements(seed)
    print("\n".join(wrong) or "every count is within its budget")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
