"""Wrong peers: servers and clients that break rules on purpose, and which cases find them out.

Each peer is wrong in one direction, so that every case has a peer that must fail it: one agrees to
whatever comes, one refuses everything, one is silent, one garbles what it returns, and so on.  A
case that no wrong peer can fail is listed in :data:`RECORDED`, with its reason.

``python -m tests.check.mutants`` runs every case against every wrong peer and prints the table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rawsio.check.case import FAILED, Case
from rawsio.check.catalogue import client_cases, server_cases
from rawsio.check.runner import Options, Result, Runner
from rawsio.check.target import Target
from rawsio.check.ws_wire import CLOSE, PING, PONG, TEXT, F, encode, read_frame
from rawsio.websocket.handshake import accept_key

__all__ = ["PEERS", "RECORDED", "UNCAUGHT", "Peer", "survivors", "try_deaf_client", "try_peer"]

RECORDED = ("EITHER", "INFO", "LIM", "TIME")
"""Expectations of cases that record what they find: a peer can fail them by crashing alone."""
UNCAUGHT = {
    "http.expect.never": "waiting long for a body is allowed: the time is recorded",
    "sio.disconnect.reason": "the application alone sees reasons; no contract tells them",
    "sio.connect.none": "closing late is allowed: the reference takes 45 seconds",
    "sio.recovery.expired": "how long a session is kept is the server's choice: recorded",
}
"""Cases that no wrong peer can fail, and why."""

_OPEN = '0{"sid":"abcdefghijklmnop0123","upgrades":["websocket"],"pingInterval":300,'
_OPEN += '"pingTimeout":200,"maxPayload":1000}'


class Peer:
    """A server in memory: ``take`` is given what came on a line, and returns what to send.

    Its words are methods that wrong peers override.
    """

    def __init__(self) -> None:
        self.now = 0.0

    def request(self, line: Line, method: str, head: bytes) -> bytes:
        """Answer a request."""
        return self.answer(200, b"hello", method=method)

    def frame(self, line: Line, opcode: int, payload: bytes) -> bytes:
        """Answer a frame."""
        return b""

    def answer(self, status: int, body: bytes, fields: str = "", method: str = "") -> bytes:
        head = f"HTTP/1.1 {status} X\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
        return head.encode() + (b"" if method == "HEAD" else body)

    def switch(self, head: bytes, fields: str = "", accept: str = "") -> bytes:
        key = _field(head, b"sec-websocket-key").decode("latin-1")
        return (
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept or accept_key(key)}\r\n{fields}\r\n"
        ).encode()


def _field(head: bytes, name: bytes) -> bytes:
    for item in head.split(b"\r\n"):
        key, _, value = item.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b"dGhlIHNhbXBsZSBub25jZQ=="


class Line:
    """A connection to a wrong peer."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.heard = b""
        self.out = b""
        self.ended = False
        self.websocket = False
        self.query = b""

    def send(self, data: bytes) -> int:
        self.peer.now += 0.001
        if not self.ended:
            self.heard += data
            self.work()
        return len(data)

    def work(self) -> None:
        while self.heard and not self.ended:
            if self.websocket:
                found = read_frame(self.heard, 0)
                if found is None:
                    return
                seen, size = found
                self.heard = self.heard[size:]
                self.out += self.peer.frame(self, seen.opcode, seen.payload)
                continue
            head, mark, rest = self.heard.partition(b"\r\n\r\n")
            if not mark:
                return
            self.heard = rest
            self.query = head.split(b"\r\n")[0]
            self.out += self.peer.request(self, head.split(b" ")[0].decode("latin-1"), head)

    def receive(self) -> bytes | None:
        if self.out:
            data, self.out = self.out, b""
            return data
        return b"" if self.ended else None

    def wait(self, seconds: float, *, write: bool = False) -> bool:
        if write or self.out or self.ended:
            return True
        self.peer.now += seconds
        return False

    def finish(self) -> None:
        """Nothing: a wrong peer does not care."""

    def close(self, *, reset: bool = False) -> None:
        self.ended = True


class World:
    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    def dial(self, where: str = "") -> Line:
        return Line(self.peer)

    def time(self) -> float:
        return self.peer.now

    def pause(self, seconds: float) -> None:
        self.peer.now += seconds


class Agrees(Peer):
    """Accepts every request and every frame, opens every WebSocket, never ends anything."""

    def request(self, line: Line, method: str, head: bytes) -> bytes:
        query = line.query
        if b"websocket" in head.lower() or b"sec-websocket" in head.lower():
            line.websocket = True
            opened = encode(F(TEXT, _OPEN.encode(), key=None)) if b"EIO=4" in query else b""
            return self.switch(head, self.agreed(head)) + opened
        if b"EIO=" in query:
            return self.poll(method, query)
        return self.answer(200, b"hello", method=method)

    def agreed(self, head: bytes) -> str:
        """Return the extension fields of a 101: whatever is offered."""
        offered = _field(head, b"sec-websocket-extensions").decode("latin-1")
        return f"Sec-WebSocket-Extensions: {offered}\r\n" if "permessage" in offered else ""

    def poll(self, method: str, query: bytes) -> bytes:
        if method == "POST":
            return self.answer(200, b"ok")
        return self.answer(200, _OPEN.encode() if b"sid=" not in query else b'42["news","x"]')

    def frame(self, line: Line, opcode: int, payload: bytes) -> bytes:
        if opcode == PING:
            return encode(F(PONG, payload, key=None))
        if opcode in (CLOSE, PONG):
            return b""
        if b"42" in payload[:2] or payload[:2] in (b"40", b"41", b"43", b"45"):
            back = payload.replace(b'["message', b'["message-back').replace(b"-with-ack", b"")
            if payload[:2] == b"40":
                back = b'40{"sid":"sidsidsidsidsidsid01"}'
            return encode(F(TEXT, back, key=None)) + encode(
                F(TEXT, b'42["message-back",1]', key=None)
            )
        return encode(F(TEXT, payload, key=None))


class Refuses(Peer):
    """Refuses every request with a 400, and every frame with close 1002."""

    status = 400

    def request(self, line: Line, method: str, head: bytes) -> bytes:
        line.ended = True
        return self.answer(self.status, b"no", "Connection: close\r\n", method)

    def frame(self, line: Line, opcode: int, payload: bytes) -> bytes:
        line.ended = True
        return encode(F(CLOSE, b"\x03\xea", key=None))


class RefusesFrames(Refuses):
    """Opens WebSockets and sessions, and refuses what is said there."""

    def request(self, line: Line, method: str, head: bytes) -> bytes:
        return Agrees.request(self, line, method, head)  # type: ignore[arg-type]

    agreed = Agrees.agreed

    def poll(self, method: str, query: bytes) -> bytes:
        if b"sid=" in query:
            return self.answer(500, b"no")
        return self.answer(200, _OPEN.encode())


class Crashes(Refuses):
    """Answers everything with a 500, and ends."""

    status = 500


class Silent(Peer):
    """Reads everything and says nothing."""

    def request(self, line: Line, method: str, head: bytes) -> bytes:
        return b""


class AnswersTwice(Peer):
    """Answers whatever comes twice."""

    def request(self, line: Line, method: str, head: bytes) -> bytes:
        return 2 * self.answer(200, b"hello", method=method)


class Misshapen(Agrees):
    """Answers in forms that no client may read: two lengths, no date, bodies that do not fit."""

    def request(self, line: Line, method: str, head: bytes) -> bytes:
        if b"sec-websocket" in head.lower():
            line.websocket = True
            fields = "Sec-WebSocket-Protocol: zzzz\r\nSec-WebSocket-Extensions: x-none\r\n"
            return self.switch(head, fields, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
        injected = "X-Injected: yes\r\n" if b"Injected" in head else ""
        for status in (204, 401, 405, 426, 304):
            line.out += f"HTTP/1.1 {status} X\r\nContent-Length: 1\r\n\r\n".encode()
        date = "Date: yesterday\r\nDate: today\r\n"
        both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
        return f"HTTP/1.1 200\r\n{injected}{date}{both}\r\n5\r\nhello\r\n0\r\n\r\n".encode()

    def frame(self, line: Line, opcode: int, payload: bytes) -> bytes:
        return encode(F(opcode, payload[::-1] + b"x", key=b"abcd")) + encode(
            F(CLOSE, b"\x03\xee", key=b"abcd")
        )


class WrongFields(Agrees):
    """Answers without the fields that a status needs, without ends, and once too often."""

    def request(self, line: Line, method: str, head: bytes) -> bytes:
        if b"EIO=" in line.query:
            star = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\n"
            return self.answer(200, _OPEN.encode(), star)
        if b"If-None-Match" in head:
            return b'HTTP/1.1 304 X\r\nETag: "1"\r\n\r\nbody of a 304'
        if b": v" in head:
            return b"HTTP/1.1 400 X\r\nContent-Length: 2\r\n\r\nno" * 2
        if b"Length: x" in head:
            return b"HTTP/1.1 400 X\r\nContent-Length: 99\r\n\r\nno"
        status = {b"DELETE": 405, b"POST": 204}.get(method.encode(), 200)
        status = 401 if b"no-such" in line.query else 426 if b"HTTP/1.0" in line.query else status
        return self.answer(status, b"hello"[: 5 * (status != 204)], 'ETag: "1"\r\n', method)


PEERS: dict[str, type[Peer]] = {
    "agrees": Agrees,
    "refuses": Refuses,
    "refuses frames": RefusesFrames,
    "crashes": Crashes,
    "is silent": Silent,
    "answers twice": AnswersTwice,
    "is misshapen": Misshapen,
    "wrong fields": WrongFields,
}


def _target() -> Target:
    """Return a target as the probes would describe a peer that has everything."""
    target = Target("http://127.0.0.1")
    target.control = {"GET": 200, "HEAD": 200, "POST": 200}
    target.echoes = target.deflate = target.eio3 = target.engine_echoes = True
    target.websocket, target.manner = "/echo", "raw"
    target.engine, target.socket, target.contract = "/engine.io/", "/socket.io/", "extended"
    target.open = {"pingInterval": 300, "pingTimeout": 200, "maxPayload": 1000}
    target.facts["clock"] = "virtual"
    return target


def try_peer(peer: type[Peer], cases: Iterable[Case]) -> list[Result]:
    """Run cases against a wrong peer."""
    runner = Runner(_target(), World(peer()), Options(jobs=1, fast=True, slow=True, patience=0.5))
    return runner.run(list(cases))


def survivors(cases: list[Case], peers: dict[str, type[Peer]] = PEERS) -> list[Case]:
    """Return the cases that no wrong peer fails, those that only record apart."""
    left = {case.id: case for case in cases if case.expect.partition("-")[0] not in RECORDED}
    for peer in peers.values():
        for result in try_peer(peer, list(left.values())):
            if result.verdict == FAILED:
                left.pop(result.id, None)
    return [case for case in left.values() if case.id not in UNCAUGHT]


def main(_arguments: list[str]) -> int:
    """Print how many cases each wrong peer fails, and those that none fails."""
    cases = server_cases()
    print(f"{'peer':<16}{'FAILED':>8}{'NON-STRICT':>12}{'OK':>6}{'other':>7}")
    for name, peer in PEERS.items():
        verdicts = [result.verdict for result in try_peer(peer, cases)]
        row = [verdicts.count(v) for v in (FAILED, "NON-STRICT", "OK")]
        print(f"{name:<16}{row[0]:>8}{row[1]:>12}{row[2]:>6}{len(verdicts) - sum(row):>7}")
    left = survivors(cases)
    print(f"{len(cases)} cases; failed by no wrong peer: {len(left)}")
    for case in left:
        print(f"  {case.id} ({case.expect}): {case.text}")
    verdicts = [result.verdict for result in try_deaf_client(client_cases())]
    print(f"a deaf client: {verdicts.count(FAILED)} of {len(verdicts)} cases about clients FAILED")
    return 1 if left else 0


class _DeafLine:
    """A connection of a client that asks once and hears nothing."""

    def __init__(self, caller: DeafCaller, asked: bytes) -> None:
        self.caller = caller
        self.asked = asked

    def send(self, data: bytes) -> int:
        return len(data)

    def receive(self) -> bytes | None:
        data, self.asked = self.asked, b""
        return data or None

    def wait(self, seconds: float, *, write: bool = False) -> bool:
        self.caller.peer.now += seconds
        return write

    def finish(self) -> None:
        """Nothing."""

    def close(self, *, reset: bool = False) -> None:
        """Nothing."""


class DeafCaller:
    """A client that opens its transport, joins, and then does nothing whatever comes."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.waiting: list[_DeafLine] = []

    def start(self, options: dict[str, Any]) -> None:
        websocket = options.get("transports") == ["websocket"]
        transport = "websocket" if websocket else "polling"
        head = f"GET /socket.io/?EIO=4&transport={transport} HTTP/1.1\r\nHost: a\r\n"
        if websocket:
            head += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        joining = encode(F(TEXT, b"40")) if websocket else b""
        self.waiting.append(_DeafLine(self, f"{head}\r\n".encode() + joining))

    def accept(self, seconds: float) -> _DeafLine | None:
        self.peer.now += seconds
        return self.waiting.pop() if self.waiting else None

    def saw(self) -> list[dict[str, Any]]:
        return []

    def stop(self) -> None:
        self.waiting.clear()


def try_deaf_client(cases: Iterable[Case]) -> list[Result]:
    """Run cases about clients against one that does nothing."""
    peer = Peer()
    target = Target("http://127.0.0.1")
    settings = Options(jobs=1, fast=True, patience=0.2)
    runner = Runner(target, World(peer), settings, None, lambda _case: DeafCaller(peer))
    return runner.run(list(cases))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
