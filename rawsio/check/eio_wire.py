"""Engine.IO as the tester speaks it: polling sessions and WebSocket sessions, step by step.

:class:`Polling` keeps one connection for polls and one for posts, as clients do; a poll may be left
waiting.  :class:`Socket` sends and receives packets over a WebSocket.  Neither answers a ping or
ends a session unless a case says so.
"""

from __future__ import annotations

import json

from .case import NotOffered
from .http_wire import Answer, hear
from .ws_wire import BINARY, CLOSE, TEXT, Channel, F, Refused, encode, handshake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .talk import Line, Talk

    Packet = str | bytes

__all__ = [
    "SEPARATOR",
    "Polling",
    "Socket",
    "engine_path",
    "exchange",
    "last_answer",
    "most_payload",
    "need_websocket",
    "open_data",
    "packets_of",
    "request",
]

SEPARATOR = "\x1e"


def engine_path(talk: Talk, *, socketio: bool = False) -> str:
    """Return the path of the Engine.IO endpoint; raises :class:`NotOffered` if there is none."""
    path = talk.target.socket if socketio else talk.target.engine or talk.target.socket
    if not path:
        raise NotOffered("no Engine.IO endpoint was found" if not socketio else "no Socket.IO here")
    return path


def _where(talk: Talk, path: str) -> str:
    return talk.target.engine_at if path == talk.target.engine else ""


def exchange(
    talk: Talk,
    query: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    lines: tuple[str, ...] = (),
    path: str = "",
    wire: Line | None = None,
    seconds: float | None = None,
) -> tuple[Answer | None, Line]:
    """Send one request to the Engine.IO endpoint and return its answer and its line."""
    place = path or engine_path(talk)
    if wire is None or wire.ended:
        wire = talk.dial(_where(talk, place))
    # What was asked here before has been answered: whoever waits for a poll asks nothing more.
    wire.heard.clear()
    wire.asked[:] = [method]
    wire.send(request(talk, place, query, method, body, lines))
    return (None if seconds == 0.0 else last_answer(talk, wire, seconds)), wire


def last_answer(talk: Talk, wire: Line, seconds: float | None = None) -> Answer | None:
    """Return the answer to the last request of a line; ``None`` if it is not there in time."""
    count = len(wire.asked)
    heard = hear(talk, wire, count, wire.asked, seconds)
    return heard.answers[count - 1] if heard.complete >= count else None


def request(
    talk: Talk, path: str, query: str, method: str, body: bytes | None, lines: tuple[str, ...]
) -> bytes:
    """Return a request to the Engine.IO endpoint."""
    authority = talk.target.authority_of(_where(talk, path))
    head = [f"{method} {path}{'?' if query else ''}{query} HTTP/1.1", f"Host: {authority}", *lines]
    if body is not None:
        if not any(line.lower().startswith("content-type") for line in lines):
            head.append("Content-Type: text/plain;charset=UTF-8")
        if not any(line.lower().startswith(("transfer-", "content-length")) for line in lines):
            head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + (body or b"")


def packets_of(talk: Talk, body: bytes) -> list[str]:
    """Return the packets of a payload as text; each counts for its case."""
    talk.counts(body.count(b"\x1e") + 1)
    return body.decode("utf-8", "replace").split(SEPARATOR)


def open_data(text: str) -> dict[str, Any]:
    """Return what an open packet says; ``ValueError`` if it is none."""
    if text[:1] != "0":
        raise ValueError(f"no open packet: {text[:60]!r}")
    found = json.loads(text[1:])
    if not isinstance(found, dict):
        raise ValueError("the open packet holds no object")  # noqa: TRY004 - it is the wire's
    return found


MOST_SENT = 64_000_000
"""Longest ``maxPayload`` that is tried out."""


def most_payload(opened: dict[str, Any]) -> int:
    """Return the ``maxPayload`` of an open packet; raises :class:`NotOffered` where it is none.

    >>> most_payload({"maxPayload": 1000000})
    1000000
    """
    size = opened.get("maxPayload")
    if not size or type(size) is not int:
        raise NotOffered("no maxPayload is announced")
    if not 0 < size <= MOST_SENT:
        raise NotOffered(f"the maxPayload is {size}: no more than {MOST_SENT} bytes are sent")
    return size


class Polling:
    """A polling session."""

    def __init__(
        self, talk: Talk, *, extra: str = "", socketio: bool = False, lines: tuple[str, ...] = ()
    ) -> None:
        self.talk = talk
        self.path = engine_path(talk, socketio=socketio)
        self.lines = lines
        self.polls: Line | None = None
        self.posts: Line | None = None
        self.inbox: list[Packet] = []
        self.query = f"EIO=4&transport=polling{extra}"
        answer, self.polls = exchange(talk, self.query, path=self.path, lines=lines)
        if answer is None or answer.status != 200:
            raise Refused(f"no session was opened: {answer.status if answer else 'no answer'}")
        first, *more = packets_of(talk, answer.body)
        try:
            self.open = open_data(first)
            self.sid = str(self.open["sid"])
        except (ValueError, KeyError) as error:
            raise Refused(f"no open packet: {error}") from None
        self.opening = answer
        self.inbox += more
        self.query += f"&sid={self.sid}"
        self.waiting = False

    def get(self, seconds: float | None = None, *, more: str = "") -> Answer | None:
        """Poll, and return the answer; ``None`` if there was none in time (the poll waits on)."""
        if self.waiting:
            return self.answer(seconds)
        answer, self.polls = exchange(
            self.talk,
            self.query + more,
            path=self.path,
            wire=self.polls,
            seconds=seconds,
            lines=self.lines,
        )
        self.waiting = answer is None and not self.polls.ended
        return answer

    def start(self) -> Line:
        """Send a poll and let it wait."""
        _, self.polls = exchange(
            self.talk, self.query, path=self.path, wire=self.polls, seconds=0.0, lines=self.lines
        )
        self.waiting = True
        return self.polls

    def answer(self, seconds: float | None = None) -> Answer | None:
        """Return the answer of the poll that waits."""
        if self.polls is None:
            return None
        answer = last_answer(self.talk, self.polls, seconds)
        self.waiting = answer is None and not self.polls.ended
        return answer

    def post(
        self, body: str | bytes, *lines: str, more: str = "", seconds: float | None = None
    ) -> Answer | None:
        """Send a payload and return the answer."""
        data = body.encode() if isinstance(body, str) else body
        answer, self.posts = exchange(
            self.talk,
            self.query + more,
            method="POST",
            body=data,
            path=self.path,
            wire=self.posts,
            lines=(*self.lines, *lines),
            seconds=seconds,
        )
        return answer

    def send(self, *packets: Packet) -> Answer | None:
        """Post packets; bytes travel in base64."""
        return self.post(SEPARATOR.join(map(_as_text, packets)))

    def receive(self, seconds: float | None = None) -> Packet | None:
        """Return the next packet but noop, polling for it; ``None`` if none comes."""
        while not self.inbox:
            answer = self.get(seconds)
            if answer is None or answer.status != 200:
                return None
            self.inbox += [
                _from_text(item) for item in packets_of(self.talk, answer.body) if item != "6"
            ]
        return self.inbox.pop(0)

    @property
    def alive(self) -> bool:
        """Whether the server still knows the session: a post of a noop tells."""
        answer = self.post("6")
        return answer is not None and answer.status == 200


def _as_text(packet: Packet) -> str:
    from binascii import b2a_base64

    if isinstance(packet, str):
        return packet
    return "b" + b2a_base64(packet, newline=False).decode()


def _from_text(text: str) -> Packet:
    from binascii import Error, a2b_base64

    if text[:1] != "b":
        return text
    try:
        return a2b_base64(text[1:])
    except Error:
        return text


def need_websocket(talk: Talk) -> None:
    """Raise :class:`NotOffered` where no WebSocket opens, and none is named in the handshake."""
    upgrades = talk.target.open.get("upgrades")
    named = isinstance(upgrades, list) and "websocket" in upgrades
    if not talk.target.websocket and not named:
        raise NotOffered("the server offers no WebSocket")


class Socket:
    """A session over WebSocket, or a probe for one that polls."""

    def __init__(
        self, talk: Talk, query: str = "", *, socketio: bool = False, lines: tuple[str, ...] = ()
    ) -> None:
        self.talk = talk
        self.path = engine_path(talk, socketio=socketio)
        place = f"{self.path}?{query or 'EIO=4&transport=websocket'}"
        data, key = handshake(talk, *lines, target=place)
        where = _where(talk, self.path)
        host = f"Host: {talk.target.authority_of(talk.target.websocket_at)}".encode()
        data = data.replace(host, f"Host: {talk.target.authority_of(where)}".encode())
        wire = talk.dial(where)
        wire.send(data)
        heard = hear(talk, wire)
        if heard.statuses[:1] != [101]:
            need_websocket(talk)
            raise Refused(f"no WebSocket was opened: {heard.statuses or 'no answer'}")
        self.wire = wire
        self.channel = Channel(talk, wire, heard.answers[0], key)
        self.channel.manner = "raw"
        self.open: dict[str, Any] = {}

    def opened(self) -> Socket:
        """Read the open packet; raises :class:`Refused` if something else comes."""
        first = self.receive()
        try:
            self.open = open_data(first if isinstance(first, str) else "")
        except ValueError as error:
            raise Refused(str(error)) from None
        return self

    def send(self, *packets: Packet) -> None:
        """Send packets, each in a message of its own."""
        self.wire.send(
            b"".join(
                encode(F(TEXT, packet.encode("utf-8", "surrogatepass")))
                if isinstance(packet, str)
                else encode(F(BINARY, packet))
                for packet in packets
            )
        )

    def receive(self, seconds: float | None = None) -> Packet | None:
        """Return the next packet; ``None`` at the end, a close frame, or after silence."""
        parts, opcode = b"", TEXT
        while True:
            frame = self.channel.next(seconds)
            if frame is None or frame.opcode == CLOSE:
                return None
            if frame.opcode > 2:
                continue
            opcode = frame.opcode or opcode
            parts += frame.payload
            if frame.fin:
                return parts if opcode == BINARY else parts.decode("utf-8", "replace")

    @property
    def ended(self) -> bool:
        """Whether the WebSocket is closed, as far as was read."""
        return bool(self.wire.ended) or self.channel.close_frame is not None

    def ends(self, seconds: float | None = None) -> bool:
        """Read on until it is closed; False after so much silence.

        Heartbeats are answered, and do not break the silence.
        """
        patience = self.talk.patience if seconds is None else seconds
        until = self.talk.time() + patience
        while not self.ended:
            packet = self.receive(max(0.0, until - self.talk.time()))
            if packet is None and not self.ended:
                return False
            if packet == "2":
                self.send("3")
            else:
                until = self.talk.time() + patience
        closed = self.channel.close_frame
        if closed is not None and not self.wire.ended:
            self.wire.send(encode(F(CLOSE, closed.payload[:2])))
        return True
