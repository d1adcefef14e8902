"""Packets that are encoded once: :class:`Prepared` is one Socket.IO packet in all its forms.

A broadcast goes to thousands of connections, over two transports and two revisions of Engine.IO.
What each of them needs is made when the first asks for it, and shared by all others: they are
handed the same ``bytes`` object.
"""

from __future__ import annotations

from binascii import b2a_base64

from rawsio.limits import DEFAULT
from rawsio.socketio.packets import encode_packet, read_messages
from rawsio.socketio.values import check_attachments, check_depth
from rawsio.websocket.frames import BINARY, TEXT, decode_frame, encode_frame, text_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from rawsio.limits import Limits
    from rawsio.socketio.packets import AnyEvent

__all__ = ["Prepared", "messages_in", "prepare", "preparer"]


class Prepared:
    """One encoded Socket.IO packet, with the forms that the layers below give it.

    ``messages`` are Engine.IO messages: the text, then the binary attachments; or what ``parser``
    makes of the packet, if it is not ``None``.  ``size`` is how long they are together,
    ``compress`` whether they are worth compressing, ``checked`` which limits it is known to keep.
    A packet that another process has encoded has ``checked`` and no ``event``: it is read when
    somebody asks for it.

    >>> from rawsio.socketio.packets import Event
    >>> p = prepare(Event("/", ["news", 1]))
    >>> p.messages, p.packets(), p.payload, p.frame
    (('2["news",1]',), ('42["news",1]',), '42["news",1]', b'\\x81\\x0c42["news",1]')
    """

    __slots__ = (
        *("messages", "size", "compress", "parser", "checked"),
        *("_event", "_packets", "_old_packets", "_payload", "_frame"),
    )

    def __init__(
        self,
        event: AnyEvent | None,
        messages: tuple[str | bytes, ...],
        *,
        compress: bool = True,
        parser: Any = None,
        checked: Limits | None = None,
    ) -> None:
        self._event = event
        self.messages = messages
        self.size = sum(map(len, messages))
        self.compress = compress
        self.parser = parser
        self.checked = checked
        self._packets: tuple[str | bytes, ...] | None = None
        self._old_packets: tuple[str | bytes, ...] | None = None
        self._payload: str | None = None
        self._frame: bytes | None = None

    @property
    def event(self) -> Any:
        """The packet; ``RemoteProtocolError`` if it had to be read, and is none."""
        if self._event is None:
            self._event = read_messages(self.messages, self.checked or DEFAULT)
        return self._event

    def check(self, limits: Limits) -> None:
        """Refuse what peers with these limits would: raises ``LocalProtocolError``.

        A connection does the same when the packet is sent; here it is the emit that fails.
        """
        text = self.messages[0]
        if len(self.messages) > 1:
            check_attachments(self.messages, limits)
        if isinstance(text, str):
            check_depth(text, limits)

    def packets(self, revision: int = 4) -> tuple[str | bytes, ...]:
        """Return the Engine.IO packets, as a WebSocket carries them (v4, or v3)."""
        if revision == 3:
            if self._old_packets is None:
                self._old_packets = tuple(
                    "4" + m if isinstance(m, str) else b"\x04" + m for m in self.messages
                )
            return self._old_packets
        if self._packets is None:
            self._packets = tuple("4" + m if isinstance(m, str) else m for m in self.messages)
        return self._packets

    @property
    def payload(self) -> str:
        """The packets as part of a polling payload of Engine.IO v4."""
        if self._payload is None:
            self._payload = "\x1e".join(
                p if isinstance(p, str) else "b" + b2a_base64(p, newline=False).decode("ascii")
                for p in self.packets()
            )
        return self._payload

    @property
    def frame(self) -> bytes:
        """All packets as unmasked WebSocket frames of a server, joined."""
        if self._frame is None:
            self._frame = b"".join(
                text_frame(p.encode()) if isinstance(p, str) else encode_frame(BINARY, p)
                for p in self.packets()
            )
        return self._frame


def prepare(event: AnyEvent, *, compress: bool = True) -> Prepared:
    """Encode a packet once, for any number of receivers.

    ``compress`` says whether it is worth compressing.  Raises ``LocalProtocolError`` where the
    packet cannot be encoded.
    """
    return Prepared(event, encode_packet(event), compress=compress)


def messages_in(frames: bytes) -> Iterator[tuple[str | bytes, ...]]:
    r"""Give the Engine.IO messages of each packet in these frames: what :attr:`Prepared.frame` had.

    Raises ``WebSocketError`` or ``ValueError`` at what is something else.

    >>> list(messages_in(b'\x81\x0742["a"]\x81\x0742["b"]'))
    [('2["a"]',), ('2["b"]',)]
    """
    at = 0
    messages: list[str | bytes] = []
    while at < len(frames):
        found = decode_frame(frames, at, False)
        if found is None:
            raise ValueError(f"{len(frames) - at} bytes are no whole frame")
        frame, at = found
        if frame.opcode == TEXT and frame.payload[:1] == b"4":
            if messages:
                yield tuple(messages)
            messages = [str(frame.payload[1:], "utf-8")]
        elif frame.opcode == BINARY and messages:
            messages.append(frame.payload)
        else:
            raise ValueError(f"a frame of type {frame.opcode} that begins no packet")
    if messages:
        yield tuple(messages)


def preparer(parser: Any) -> Callable[..., Prepared]:
    """Return what :func:`prepare` is for packets in the form of a parser."""

    def encode(event: Any, *, compress: bool = True) -> Prepared:
        return Prepared(event, parser.encode(event), compress=compress, parser=parser)

    return encode
