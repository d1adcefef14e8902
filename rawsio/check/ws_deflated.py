"""A WebSocket with permessage-deflate, as the tester speaks it: :class:`Deflated`.

What a server answers to an offer is judged by our own client
(:func:`rawsio.websocket.handshake.confirm`); payloads are sent as they are given, right or wrong.
"""

from __future__ import annotations

from rawsio.errors import RemoteProtocolError
from rawsio.http.headers import Headers
from rawsio.http.messages import Request, Response
from rawsio.layer import Role
from rawsio.websocket.handshake import confirm

from .case import NotOffered
from .http_wire import hear, show
from .ws_wire import BINARY, CLOSE, TEXT, Channel, F, encode, handshake, join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.websocket.deflate import Agreement

    from .talk import Talk

__all__ = ["FINISH", "NAME", "SYNC", "Deflated", "compressor", "shake"]

NAME = "permessage-deflate"
SYNC, FINISH = 2, 4
"""How a stream is flushed: ``zlib.Z_SYNC_FLUSH`` and ``zlib.Z_FINISH``."""
_FIELD = "Sec-WebSocket-Extensions: "


def compressor(level: int = 6, bits: int = 15, known: bytes = b"") -> Any:
    """Return a new stream of raw DEFLATE, which may refer to the ``known`` bytes.

    Raises :class:`NotOffered` where this Python has no ``zlib``: the case is UNIMPLEMENTED.
    """
    try:
        import zlib
    except ImportError:
        raise NotOffered("this Python has no zlib") from None
    if not known:
        return zlib.compressobj(level, zlib.DEFLATED, -bits)
    return zlib.compressobj(level, zlib.DEFLATED, -bits, zdict=known)


class Deflated:
    """A WebSocket with compression agreed: sends raw payloads, reads messages inflated."""

    def __init__(self, channel: Channel, agreed: Agreement) -> None:
        self.channel = channel
        self.agreed = agreed
        self.inflater = agreed.inflater(Role.CLIENT)
        self.compressor = agreed.compressor(Role.CLIENT)
        self.sizes: list[int] = []
        self.read = 0

    @property
    def prefix(self) -> bytes:
        """What text begins with so that it comes back."""
        return b"4" if self.channel.manner == "engine" else b""

    def send(self, opcode: int, payload: bytes) -> None:
        """Send a message, compressed as agreed."""
        self.announce(opcode)
        if opcode == TEXT:
            payload = self.dressed(payload)
        data = self.compressor.compress(payload)
        self.channel.wire.send(encode(F(opcode, data, rsv=4)))

    def dressed(self, text: bytes) -> bytes:
        """Return text as the target's echo wants it."""
        if self.channel.manner == "socket":
            return b'42["message","' + text + b'"]'
        return self.prefix + text

    def announce(self, opcode: int) -> None:
        """Send what has to come before a binary message so that it comes back."""
        if opcode == BINARY and self.channel.manner == "socket":
            self.channel.wire.send(self.channel.dress([F(BINARY)])[: -len(encode(F(BINARY)))])

    def send_raw(self, data: bytes, *, opcode: int = BINARY) -> None:
        """Send a compressed payload as it is, in one frame."""
        self.announce(opcode)
        self.channel.wire.send(encode(F(opcode, data, rsv=4)))

    def receive(self, count: int = 1) -> list[tuple[int, bytes]]:
        """Return so many further echoed messages, or fewer if no more come.

        Raises :class:`NotOffered` where nothing comes back.
        """
        self.channel.need_echo()
        found: list[tuple[int, bytes]] = []
        while len(found) < count:
            message = self._message()
            if message is None:
                break
            plain = self.channel.undress(*message)
            found += [plain] if plain is not None else []
        return found

    def _message(self) -> tuple[int, bytes] | None:
        opcode, compressed, parts = TEXT, False, b""
        while True:
            frame = self.channel.next()
            if frame is None or frame.opcode == CLOSE:
                return None
            if frame.opcode > 2:
                continue
            if frame.opcode:
                opcode, compressed = frame.opcode, bool(frame.rsv & 4)
            parts += frame.payload
            if frame.fin:
                self.sizes.append(len(parts))
                break
        if not compressed:
            return opcode, parts
        return opcode, b"".join(self.inflater.inflate(parts))


def shake(talk: Talk, offer: str) -> tuple[Channel | None, Agreement | None, str]:
    """Offer; return the open channel, what was agreed, and what is wrong with the answer."""
    compressor()
    if not talk.target.deflate:
        raise NotOffered("permessage-deflate is not offered")
    data, key = handshake(talk, _FIELD + offer)
    wire = talk.dial(talk.target.websocket_at)
    wire.send(data)
    heard = hear(talk, wire)
    if not heard.answers or heard.statuses[0] != 101:
        return None, None, f"{heard.statuses or 'no answer'}"
    answer = heard.answers[0]
    asked = Headers([("Sec-WebSocket-Key", key), (_FIELD[:-2], offer)])
    given = Response(101, Headers(answer.fields), "", answer.version)
    try:
        agreed = confirm(Request("GET", "/", asked), given).agreement
    except RemoteProtocolError as error:
        return None, None, f"{error}: {show(answer.head, 300)}"
    channel = Channel(talk, wire, answer, key)
    if channel.manner == "socket":
        join(channel)
    return channel, agreed, ""
