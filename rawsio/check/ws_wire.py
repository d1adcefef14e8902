"""WebSocket as the tester speaks it: frames of any shape, handshakes of any shape.

:class:`F` describes a frame, right or wrong; :class:`Channel` is an open WebSocket of a case.  It
knows the *manner* in which messages come back at the target: ``raw`` echoes them as they are,
``engine`` echoes Engine.IO messages (so text begins with ``4``), ``socket`` answers the event
``message`` with ``message-back``.  Cases speak of plain messages; the channel dresses them.
"""

from __future__ import annotations

import json
from binascii import b2a_base64

from rawsio.layer import record
from rawsio.websocket.masking import mask as apply_mask

from .case import NotOffered
from .http_wire import Answer, hear, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .talk import Line, Talk

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "KEY",
    "PING",
    "PONG",
    "TEXT",
    "Channel",
    "F",
    "Frames",
    "Refused",
    "Seen",
    "encode",
    "handshake",
    "join",
    "next_frame",
    "open_channel",
    "read_frame",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"\x37\xfa\x21\x3d"
_LONGEST_HEAD = 14
"""Bytes before the payload of a frame, at most."""
_BEFORE = b'42["message","'
_BEHIND = b'"]'
_HEADER = b'451-["message",{"_placeholder":true,"num":0}]'


@record
class F:
    """A frame to be sent.

    ``rsv`` is the three reserved bits as a number (4 is RSV1).  ``size`` forces the form of the
    length: 16 or 64 bits; ``claim`` is a length that is not the payload's.  ``key`` is the masking
    key, ``None`` for an unmasked frame.  ``bare`` keeps the channel from dressing the payload.
    """

    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    key: bytes | None = KEY
    size: int = 0
    claim: int | None = None
    bare: bool = False


class Frames(tuple[F, ...]):
    """The frames of a case; its length is that of the bytes, as the runner wants to cut them."""

    def __len__(self) -> int:
        return sum(len(encode(frame)) for frame in self)


@record
class Seen:
    """A frame that came."""

    opcode: int
    payload: bytes
    fin: bool
    rsv: int
    masked: bool

    @property
    def code(self) -> int | None:
        """The code of a close frame, ``None`` if it has none."""
        return int.from_bytes(self.payload[:2], "big") if len(self.payload) >= 2 else None


class Refused(Exception):
    """The server did not open a WebSocket where it should have."""


def encode(frame: F) -> bytes:
    r"""Return the bytes of a frame, whatever is wrong with it.

    >>> encode(F(TEXT, b"a", key=None, size=16)).hex()
    '817e000161'
    """
    size = len(frame.payload) if frame.claim is None else frame.claim
    masked = 0 if frame.key is None else 0x80
    first = (0x80 if frame.fin else 0) | frame.rsv << 4 | frame.opcode
    bits = frame.size or (0 if size < 126 else 16 if size < 65536 else 64)
    if bits == 0:
        head = bytes((first, masked | size))
    else:
        head = bytes((first, masked | (126 if bits == 16 else 127))) + size.to_bytes(
            bits // 8, "big"
        )
    if frame.key is None:
        return head + frame.payload
    return head + frame.key + apply_mask(frame.payload, frame.key)


def read_frame(data: bytes, at: int) -> tuple[Seen, int] | None:
    """Read the frame at a place, whatever is wrong with it; ``None`` if it is not whole."""
    if len(data) < at + 2:
        return None
    first, size = data[at], data[at + 1] & 0x7F
    masked = data[at + 1] >= 0x80
    body = at + 2
    if size > 125:
        width = 2 if size == 126 else 8
        size = int.from_bytes(data[body : body + width], "big")
        body += width
    key = data[body : body + 4] if masked else b""
    body += len(key)
    if len(data) < body + size:
        return None
    payload = data[body : body + size]
    if masked:
        payload = apply_mask(payload, key)
    return Seen(first & 15, payload, first >= 0x80, first >> 4 & 7, masked), body + size


def next_frame(talk: Talk, heard: bytearray, at: int) -> tuple[Seen, int] | None:
    """Return the frame at a place and its size, once it is whole; each counts for its case.

    Only the frame is copied: there may be many, and much behind them.
    """
    if len(heard) < at + 2:
        return None
    size = heard[at + 1] & 0x7F
    if size > 125:
        size = int.from_bytes(heard[at + 2 : at + (4 if size == 126 else 10)], "big")
    if len(heard) < at + 2 + size:
        return None
    found = read_frame(bytes(heard[at : at + size + _LONGEST_HEAD]), 0)
    if found is not None:
        talk.counts()
    return found


def handshake(
    talk: Talk,
    *lines: str,
    method: str = "GET",
    version: str = "1.1",
    target: str = "",
    drop: Sequence[str] = (),
    key: str = "",
) -> tuple[bytes, str]:
    """Return a request that opens a WebSocket, and its key.

    ``drop`` are names (small letters) of the usual fields to leave out; ``lines`` come behind.
    """
    place = target or talk.target.websocket
    if not place:
        raise NotOffered("no WebSocket endpoint was found")
    nonce = key or b2a_base64(talk.bytes(16), newline=False).decode()
    usual = {
        "host": f"Host: {talk.target.authority_of(talk.target.websocket_at)}",
        "upgrade": "Upgrade: websocket",
        "connection": "Connection: Upgrade",
        "sec-websocket-key": f"Sec-WebSocket-Key: {nonce}",
        "sec-websocket-version": "Sec-WebSocket-Version: 13",
    }
    head = [f"{method} {place} HTTP/{version}"]
    head += [line for name, line in usual.items() if name not in drop]
    return "\r\n".join([*head, *lines, "", ""]).encode("latin-1"), nonce


_PINGS = b"2", b"2\x02\x00"
"""A heartbeat of Engine.IO: as it is, and compressed."""
_MOST_NOTED = 100_000
"""Frames of a run that are looked at together in the end."""


class Channel:
    """An open WebSocket: what was agreed, and the frames that came, in order."""

    def __init__(self, talk: Talk, wire: Line, answer: Answer, key: str) -> None:
        self.talk = talk
        self.wire = wire
        self.answer = answer
        self.key = key
        self.at = self._looked = len(answer.head)
        self.frames: list[Seen] = []
        self.manner = talk.target.manner
        self._rest: tuple[float, int] | None = None

    def next(self, seconds: float | None = None) -> Seen | None:
        """Return the next frame; ``None`` at the end or after so much silence.

        Heartbeats are answered, and do not break the silence: who waits for something else waits
        no longer because of them.
        """
        patience = self.talk.patience if seconds is None else seconds
        if self._rest is not None and self._rest[1] == self.talk.said:
            patience = min(patience, self._rest[0])
        until = self.talk.time() + patience
        self._rest = None
        while True:
            found = next_frame(self.talk, self.wire.heard, self.at)
            if found is not None:
                frame, size = found
                self.at += size
                self.frames.append(frame)
                if len(self.talk.target.frames) < _MOST_NOTED:
                    self.talk.target.frames.append((frame.opcode, frame.masked))
                if self._beat(frame):
                    self._rest = max(0.0, until - self.talk.time()), self.talk.said
                return frame
            if not self.wire.receive(max(0.0, until - self.talk.time())):
                return None

    def _beat(self, frame: Seen) -> bool:
        """Answer a heartbeat, of WebSocket or of Engine.IO; say whether the frame is one."""
        if frame.opcode == PING:
            if self.close_frame is None:
                self.wire.send(encode(F(PONG, frame.payload)))
            return True
        if self.manner not in ("engine", "socket") or frame.payload not in _PINGS:
            return False
        self.wire.send(encode(F(TEXT, b"3")))
        return True

    def closed(self, heard: bytearray) -> bool:
        """Whether a close frame stands in what was heard but not read yet; for ``Line.send``."""
        self._looked = max(self._looked, self.at)
        while True:
            found = next_frame(self.talk, heard, self._looked)
            if found is None:
                return False
            frame, size = found
            if frame.opcode == CLOSE:
                return True
            self._looked += size

    # Dressing

    def dress(self, frames: Iterable[F]) -> bytes:
        """Return frames as bytes, their messages as the target's echo wants them."""
        made: list[F] = []
        open_text = False
        for frame in frames:
            dressed = frame
            if not frame.bare and self.manner in ("engine", "socket") and frame.opcode < 3:
                dressed, open_text = self._dressed(frame, made, open_text=open_text)
            made.append(dressed)
        return b"".join(map(encode, made))

    def _dressed(self, frame: F, made: list[F], *, open_text: bool) -> tuple[F, bool]:
        payload = frame.payload
        starts = frame.opcode == TEXT
        if self.manner == "engine":
            return (_with(frame, b"4" + payload) if starts else frame), False
        if frame.opcode == BINARY:
            made.append(F(TEXT, _HEADER))
            return frame, False
        inside = starts or open_text
        if inside and any(byte < 0x20 or byte in b'"\\' for byte in payload):
            raise NotOffered("needs an endpoint that echoes frames")
        if starts:
            payload = _BEFORE + payload
        if inside and frame.fin:
            payload += _BEHIND
        return _with(frame, payload), inside and not frame.fin

    def undress(self, opcode: int, payload: bytes) -> tuple[int, bytes] | None:
        """Return a message that came as the case speaks of it; ``None`` if it is not an echo.

        Where nothing comes back, all that comes is the server's own, such as a greeting.
        """
        if not self.manner:
            return None
        if self.manner == "raw" or opcode == BINARY:
            return opcode, payload
        if self.manner == "engine":
            return (opcode, payload[1:]) if payload[:1] == b"4" else None
        try:
            parsed = json.loads(payload[2:]) if payload.startswith(b'42["message-back"') else None
        except ValueError:
            return opcode, payload
        # A server with connection state recovery adds an offset behind the arguments.
        if isinstance(parsed, list) and len(parsed) in (2, 3) and isinstance(parsed[1], str):
            return opcode, parsed[1].encode("utf-8", "surrogatepass")
        return None

    def need_echo(self) -> None:
        """Raise :class:`NotOffered` where messages do not come back."""
        if not self.manner:
            raise NotOffered("no endpoint that echoes was found")

    def messages(self) -> list[tuple[int, bytes]]:
        """Return the whole echoed messages among the frames that came."""
        found, opcode, parts = [], TEXT, b""
        for frame in self.frames:
            if frame.opcode > 2:
                continue
            if frame.opcode != CONTINUATION:
                opcode, parts = frame.opcode, b""
            parts += frame.payload
            if frame.fin:
                message = self.undress(opcode, parts)
                found += [message] if message is not None else []
        return found

    @property
    def close_frame(self) -> Seen | None:
        """The close frame that came, if one has."""
        return next((frame for frame in self.frames if frame.opcode == CLOSE), None)

    def read_until_closed(self, seconds: float | None = None, *, stop: bytes | None = None) -> bool:
        """Read frames until a close frame, the end, or a pong with the data ``stop``.

        False if nothing of that came.
        """
        while True:
            frame = self.next(seconds)
            if frame is None:
                return bool(self.wire.ended)
            if frame.opcode == CLOSE:
                return True
            if stop is not None and frame.opcode == PONG and frame.payload == stop:
                return True

    def said(self) -> str:
        """Say in a few words what came."""
        texts = {TEXT: "text", BINARY: "binary", PING: "ping", PONG: "pong", CONTINUATION: "more"}
        words = []
        for frame in self.frames[-6:]:
            if frame.opcode == CLOSE:
                words.append(f"close {frame.code if frame.code is not None else 'without code'}")
            else:
                words.append(f"{texts.get(frame.opcode, frame.opcode)} {show(frame.payload, 24)}")
        ends = {"": "open", "end": "ended", "reset": "reset"}
        return f"{', '.join(words) or 'nothing'}; connection {ends[self.wire.ended]}"


def _with(frame: F, payload: bytes) -> F:
    claim = frame.claim
    return F(frame.opcode, payload, frame.fin, frame.rsv, frame.key, frame.size, claim, bare=True)


def open_channel(talk: Talk, *lines: str) -> Channel:
    """Return a WebSocket that has just opened; raises :class:`Refused` if it does not."""
    data, key = handshake(talk, *lines)
    wire = talk.dial(talk.target.websocket_at)
    wire.send(data)
    heard = hear(talk, wire)
    if not heard.answers or heard.statuses[0] != 101:
        what = heard.statuses or heard.problem or "no answer"
        raise Refused(f"a faultless handshake was not accepted: {what}")
    channel = Channel(talk, wire, heard.answers[0], key)
    if channel.manner == "socket":
        join(channel)
    return channel


def join(channel: Channel) -> None:
    """Join the main namespace, so that events come back."""
    channel.wire.send(encode(F(TEXT, b"40")))
    for _ in range(4):
        frame = channel.next()
        if frame is None:
            raise Refused("no answer to CONNECT")
        if frame.payload.startswith(b'42["auth"'):
            break
    channel.frames.clear()
