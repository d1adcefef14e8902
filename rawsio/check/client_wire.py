"""The tester as a server: a good Engine.IO and Socket.IO server that a scenario may spoil.

:class:`Host` takes the connections of the client under test, reads requests, and behaves: it opens
sessions, holds polls, takes posts, upgrades.  A scenario lets it work (:meth:`Host.work`) until
something has happened, and does by hand what has to be wrong.  What the user of the client sees is
told by the client's driver, one JSON object a line.
"""

from __future__ import annotations

import json

from rawsio.layer import record
from rawsio.lazy import Pattern
from rawsio.websocket.handshake import accept_key

from .case import Finding, NotOffered, noted
from .eio_wire import packets_of
from .talk import Stuck
from .ws_wire import BINARY, CLOSE, PING, PONG, TEXT, F, Seen, encode, next_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .talk import Caller, Line, Talk


__all__ = ["SID", "Asked", "Host", "Link", "host", "plain", "still_answers"]

_DIGITS = Pattern(r"[0-9]{1,18}")
_STEP = 0.004
_MOST_LINES = 200
"""Connections of one case at which a client connects without end."""
SID = "abcdefghijklmnop0123"


@record
class Asked:
    """A request of the client."""

    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes
    line: Line
    at: float

    def get(self, name: str) -> str | None:
        """Return the first value of a field."""
        return next((value for key, value in self.fields if key == name), None)

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the target, not decoded."""
        items = (item.partition("=") for item in self.target.partition("?")[2].split("&"))
        return {name: value for name, _, value in items}

    @property
    def upgrades(self) -> bool:
        """Whether it asks for a WebSocket."""
        return (self.get("upgrade") or "").lower() == "websocket"


class Link:
    """A WebSocket of the client: frames as they came."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.paused = False
        self.frames: list[Seen] = []
        self.parts = b""
        self.opcode = TEXT
        self.messages: list[str | bytes] = []

    def read(self) -> None:
        """Take apart what has come, unless it is to be looked at as it is (``paused``)."""
        while not self.paused:
            found = next_frame(self.line.talk, self.line.heard, 0)
            if found is None:
                return
            frame, size = found
            del self.line.heard[:size]
            self.frames.append(frame)
            if frame.opcode > 2:
                continue
            self.opcode = frame.opcode or self.opcode
            self.parts += frame.payload
            if frame.fin:
                text = self.parts.decode("utf-8", "replace")
                self.messages.append(self.parts if self.opcode == BINARY else text)
                self.parts = b""

    @property
    def closed(self) -> Seen | None:
        """The client's close frame, if one came."""
        return next((frame for frame in self.frames if frame.opcode == CLOSE), None)

    @property
    def over(self) -> bool:
        """Whether the client is gone, or says that it goes."""
        return bool(self.line.ended) or self.closed is not None

    def send(self, *frames: F) -> None:
        """Send frames of a server: not masked, unless they say so."""
        self.line.send(b"".join(map(encode, frames)), cut=True)


def plain(opcode: int, payload: bytes = b"", **more: Any) -> F:
    """Return a frame as a server sends it."""
    return F(opcode, payload, **{"key": None, **more})


class Host:
    """A good server, for one session at a time."""

    def __init__(self, talk: Talk, caller: Caller) -> None:
        self.talk = talk
        self.caller = caller
        self.lines: list[Line] = []
        self.requests: list[Asked] = []
        self.seen: list[dict[str, Any]] = []
        self.inbox: list[str | bytes] = []
        self.outbox: list[str | bytes] = []
        self.poll: Asked | None = None
        self.link: Link | None = None
        self.candidate: Link | None = None
        self.upgraded = self.probing = False
        self.opened = 0
        self.faults: list[str] = []
        self.upgrades = ["websocket"]
        self.times: tuple[int, int] = (25_000, 20_000)
        self.more: dict[str, Any] = {}
        self.respond: Callable[[Asked], bool] = lambda _asked: False
        self.connections = 0
        self.automatic = True
        self.sid = SID
        self.path: str = getattr(caller, "path", "/socket.io/")

    # Time, and what comes in

    def work(self, until: Callable[[], bool], seconds: float | None = None) -> bool:
        """Serve until something is true; say whether it became so in time."""
        end = self.talk.time() + (self.talk.patience if seconds is None else seconds)
        while True:
            self.turn()
            if until():
                return True
            # A client that has ended, and whose connections have, does nothing more.
            ended = getattr(self.caller, "quiet", False) and self.gone
            if ended or self.talk.time() >= end:
                return False

    def turn(self) -> None:
        """Take a connection, read every line, answer what is whole."""
        self.talk.check_time()
        transport = self.caller.accept(_STEP)
        if transport is not None:
            self.connections += 1
            self.lines.append(self.talk.adopt(transport))
            if len(self.lines) > _MOST_LINES:
                raise Stuck("the client connects without end")
        for line in self.lines:
            self._read(line)
        for item in self.caller.saw():
            if item.get("event") == "unable":
                raise NotOffered(f"the client cannot {item.get('what', 'do this')}")
            self.seen.append(item)
        if self.poll is not None and self.outbox:
            self._flush()

    def _read(self, line: Line) -> None:
        while line.receive(0.0):
            continue
        for link in (self.link, self.candidate):
            if link is not None and link.line is line:
                link.read()
                if self.automatic:
                    self._packets(link)
                return
        while True:
            asked = self._request(line)
            if asked is None:
                return
            self.requests.append(asked)
            if not self.respond(asked):
                self.serve(asked)

    def _request(self, line: Line) -> Asked | None:
        head, mark, rest = bytes(line.heard).partition(b"\r\n\r\n")
        if not mark:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, *_version = [*first.split(" "), "", ""]
        fields = []
        for item in lines:
            name, _, value = item.partition(":")
            fields.append((name.lower(), value.strip(" \t")))
        length = next((value for name, value in fields if name == "content-length"), "0")
        size = int(length) if _DIGITS.fullmatch(length) else 0
        if len(rest) < size:
            return None
        del line.heard[: len(head) + 4 + size]
        return Asked(method, target, fields, rest[:size], line, self.talk.time())

    # What a good server does

    def serve(self, asked: Asked) -> None:
        """Answer a request as a good server does."""
        sid = asked.query.get("sid")
        if asked.upgrades:
            self.switch(asked)
        elif asked.method == "GET" and sid is None:
            self.opened += 1
            self.answer(asked, self.open_packet().encode())
        elif asked.method == "GET":
            if self.poll is not None and not self.poll.line.ended:
                self.faults.append("two polls at a time")
            self.poll = asked
            if self.probing:
                self.outbox.append("6")
        elif asked.method == "POST":
            self.inbox += _packets(self.talk, asked.body)
            self.answer(asked, b"ok")
        else:
            self.answer(asked, b"", status=404)

    def open_packet(self) -> str:
        """Return the open packet of this server."""
        interval, timeout = self.times
        data = {
            "sid": self.sid,
            "upgrades": self.upgrades,
            "pingInterval": interval,
            "pingTimeout": timeout,
            "maxPayload": 1_000_000,
            **self.more,
        }
        return "0" + json.dumps(data, separators=(",", ":"))

    def answer(self, asked: Asked, body: bytes, *, status: int = 200, fields: str = "") -> None:
        """Send an answer framed by its length."""
        head = (
            f"HTTP/1.1 {status} X\r\nContent-Type: text/plain; charset=UTF-8\r\n"
            f"Content-Length: {len(body)}\r\n{fields}\r\n"
        )
        asked.line.send(head.encode("latin-1") + body, cut=True)

    def raw(self, asked: Asked, data: bytes) -> None:
        """Send an answer as it is."""
        asked.line.send(data, cut=True)

    def _flush(self) -> None:
        poll, self.poll = self.poll, None
        body = "\x1e".join(_as_text(packet) for packet in self.outbox)
        self.outbox.clear()
        if poll is not None:
            self.answer(poll, body.encode("utf-8", "surrogatepass"))

    def switch(self, asked: Asked, extra: str = "", behind: bytes = b"") -> Link:
        """Answer a handshake with a 101; the link is the session's, or a candidate."""
        key = accept_key(asked.get("sec-websocket-key") or "")
        head = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {key}\r\n{extra}\r\n"
        )
        asked.line.send(head.encode("latin-1") + behind, cut=True)
        link = Link(asked.line)
        if asked.query.get("sid"):
            self.candidate = link
        else:
            self.link = link
            if self.automatic and "EIO" in asked.query:
                self.opened += 1
                self.upgrades = []
                link.send(plain(TEXT, self.open_packet().encode()))
        return link

    def _packets(self, link: Link) -> None:
        messages, link.messages = link.messages, []
        for message in messages:
            if link is self.candidate:
                self._probe(link, message)
            else:
                self.inbox.append(message)
        if link.closed is not None and not link.line.ended:
            link.send(plain(CLOSE, link.closed.payload[:2]))
            link.line.close()
            link.line.ended = "end"

    def _probe(self, link: Link, message: str | bytes) -> None:
        if message == "2probe":
            link.send(plain(TEXT, b"3probe"))
            self.probing = True
            if self.poll is not None:
                self.outbox.append("6")
        elif message == "5":
            self.link, self.candidate, self.upgraded = link, None, True
            self.probing = False
            waiting, self.outbox = [packet for packet in self.outbox if packet != "6"], []
            self.send(*waiting)
        else:
            self.faults.append(f"{message!r} on a candidate")

    # Packets of the session

    def send(self, *packets: str | bytes) -> None:
        """Send Engine.IO packets over the session's transport."""
        if self.link is None:
            self.outbox += packets
            return
        self.link.send(
            *(
                plain(BINARY, packet)
                if isinstance(packet, bytes)
                else plain(TEXT, packet.encode("utf-8", "surrogatepass"))
                for packet in packets
            )
        )

    def packet(self, *heads: str, seconds: float | None = None) -> str | None:
        """Return the next text packet that begins like one of these, and drop those before it."""

        def there() -> bool:
            return any(isinstance(p, str) and p.startswith(heads) for p in self.inbox)

        if not self.work(there, seconds):
            return None
        while True:
            packet = self.inbox.pop(0)
            if isinstance(packet, str) and packet.startswith(heads):
                return packet

    def join(self, seconds: float | None = None) -> bool:
        """Let the client join the main namespace."""
        if self.packet("40", seconds=seconds or 5.0) is None:
            return False
        self.send('40{"sid":"socketsocketsocket01"}')
        return True

    def tell(self, **what: Any) -> None:
        """Ask the driver to do something."""
        self.send("42" + json.dumps(["do", what], separators=(",", ":")))

    def sees(self, event: str, seconds: float | None = None, **wanted: Any) -> bool:
        """Whether the client's user sees an event within so much time."""

        def there() -> bool:
            return any(
                item.get("event") == event and all(item.get(k) == v for k, v in wanted.items())
                for item in self.seen
            )

        return self.work(there, seconds)

    def recorded(self, got: str, note: str = "") -> Finding:
        """Record what a client did where there is no rule; it may not storm meanwhile."""
        self.work(lambda: False, 0.05)
        return noted(got, note)

    @property
    def gone(self) -> bool:
        """Whether every connection of the client has ended."""
        return all(line.ended for line in self.lines)

    def said(self) -> str:
        """Say in a few words what came and what was seen."""
        events = [str(item.get("event")) for item in self.seen]
        return (
            f"{self.connections} connections, {len(self.requests)} requests, "
            f"packets {self.inbox!r:.60}, seen {events}"
        )


def _packets(talk: Talk, body: bytes) -> list[str | bytes]:
    from binascii import Error, a2b_base64

    found: list[str | bytes] = []
    for item in packets_of(talk, body):
        try:
            found.append(a2b_base64(item[1:]) if item[:1] == "b" else item)
        except Error:
            found.append(item)
    return found


def _as_text(packet: str | bytes) -> str:
    from binascii import b2a_base64

    if isinstance(packet, str):
        return packet
    return "b" + b2a_base64(packet, newline=False).decode()


def host(talk: Talk, **options: Any) -> Host:
    """Start the client with these options and return the server that it comes to."""
    caller = talk.caller
    if caller is None:
        raise NotOffered("no client is under test")
    caller.start(options)
    return Host(talk, caller)


def still_answers(link: Link, made: Host, seconds: float | None = None) -> bool:
    """Whether the client answers a ping on a WebSocket."""
    link.send(plain(PING, b"still there?"))
    return (
        made.work(
            lambda: (
                any(f.opcode == PONG and f.payload == b"still there?" for f in link.frames)
                or link.over
            ),
            seconds,
        )
        and not link.over
    )
