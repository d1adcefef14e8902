"""From bytes to events: frames become messages here, for both roles.

:class:`Reader` keeps what is between two reads: a header that is not whole, the frame whose payload
is still coming, the message whose last fragment is still coming.  Four ideas:

- **One growing buffer.**  Payload is unmasked when it arrives and appended to one ``bytearray``;
  a peer that sends a byte at a time, or a million empty fragments, makes no objects.
- **Judged as it arrives.**  A header is judged when it is whole, with the limits on the message;
  text is checked at each byte.  All this is a function of the bytes so far, never of how they were
  cut.
- **Inflated at its end.**  A compressed message is kept as it came until its last frame is whole:
  a kilobyte may become a megabyte, which nobody shall have to hold for a message without end.
- **A short way for what nearly all frames are**: texts that are short, whole in one read, and
  messages by themselves.  :func:`take_texts` needs nothing kept for them, so a connection has a
  reader only while there is something to keep.
- **A share for each call.**  64 KB of input may hold ten thousand frames, or 64 MB once they are
  inflated.  One call takes ``limits.turn_frames`` frames at most, and ends with the frame that
  makes the data ``limits.turn_bytes`` or more.  The rest of the input stays as it is, uncut, and
  :meth:`Reader.go_on` takes the next share.

What a close frame means for the connection is decided in :mod:`rawsio.websocket.connection`.
"""

from __future__ import annotations

from rawsio.errors import WebSocketError
from rawsio.layer import Closed

from .events import Message, Ping, Pong
from .frames import (
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    RSV1,
    TEXT,
    decode_close,
    decode_header,
)
from .masking import SHORT, mask, rotated, unmask_short
from .utf8 import check_utf8, decode_utf8

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.limits import Limits

    from .deflate import Inflater

__all__ = ["Reader", "take_texts", "too_long"]

_WHOLE_TEXT = FIN | TEXT
_NO_KEY = b"\0\0\0\0"


def take_texts(
    data: bytes, at: int, events: list[Any], most: int, limits: Limits, weight: int
) -> tuple[int, int]:
    """Append the masked texts that stand in ``data`` from ``at`` on, whole and short.

    Returns where the first frame begins that is none, and ``weight`` (how many bytes of data this
    share has given) with theirs.  There are ``most`` events at most.  Raises ``WebSocketError`` for
    a text that is no UTF-8.
    """
    end, longest, share = len(data), limits.message, limits.turn_bytes
    while end - at > 5 and data[at] == _WHOLE_TEXT and len(events) < most:
        # decode_header, mask and the limits, in one go.
        size, body = data[at + 1] ^ 0x80, at + 6
        if size <= SHORT and size <= longest and body + size <= end:
            text = unmask_short(data, at + 2, size)
        elif size == 126 and end - at > 8:
            size, body = data[at + 2] << 8 | data[at + 3], at + 8
            if size <= SHORT or size > longest or body + size > end:
                break
            weight += size
            if weight >= share:  # what makes it full goes the longer way, which ends it
                return at, weight - size
            text = mask(data[body : body + size], data[at + 4 : body])
        else:
            break
        events.append(Message(decode_utf8(text)))
        at = body + size
    return at, weight


class Reader:
    """The receiving half of a WebSocket.

    ``masked`` says whether the peer is a client; ``inflater`` is there if compression was agreed.
    """

    __slots__ = (
        "_limits",
        "_masked",
        "_inflater",
        "_pending",
        "_first",
        "_left",
        "_key",
        "_opcode",
        "_fragments",
        "_message",
        "_tail",
        "_deflated",
        "_weight",
        "kept",
        "_at",
    )

    def __init__(self, limits: Limits, masked: bool, inflater: Inflater | None) -> None:  # noqa: FBT001
        self._limits = limits
        self._masked = masked
        self._inflater = inflater
        # A header, or a control frame, that is not whole yet.
        self._pending = b""
        # The data frame whose payload is coming: its first byte, what is left of it, its key.
        self._first = 0
        self._left = 0
        self._key = _NO_KEY
        # The message that is coming: its opcode (0: none), its frames so far, its data so far.
        self._opcode = 0
        self._fragments = 0
        self._message: bytearray | None = None
        # The unfinished character at the end of a text so far; a text that is whole has none.
        self._tail = b""
        # The payload so far of a compressed frame; None unless the message is compressed.
        self._deflated: bytearray | None = None
        # How many bytes of data this share has given so far.
        self._weight = 0
        # Input that waits for the next share, and where in the first piece that begins.
        self.kept: list[bytes] | None = None
        self._at = 0

    @property
    def held(self) -> int:
        """How many bytes are kept between messages to inflate the next one."""
        return 0 if self._inflater is None else self._inflater.held

    @property
    def idle(self) -> bool:
        """Whether nothing is kept."""
        return not (self._pending or self._left or self._opcode or self.kept)

    @property
    def buffered(self) -> int:
        """How many bytes are held."""
        kept = sum(map(len, self.kept or ())) - self._at
        return len(self._pending) + len(self._message or b"") + len(self._deflated or b"") + kept

    @property
    def deflated(self) -> bytes | None:
        """The payload so far of a compressed message, ``None`` if none is coming."""
        return None if self._deflated is None else bytes(self._deflated)

    def go_on(self, events: list[Any]) -> None:
        """Take the next share of the input in ``kept``, as :meth:`read` does."""
        if self.kept:
            at, self._at = self._at, 0
            self.read(self.kept.pop(0), events, at)

    def keep(self, data: bytes) -> None:
        """Put input behind what waits for the next share."""
        if self.kept is None:
            self.kept = []
        self.kept.append(data)

    def drop(self) -> None:
        """Forget the input in ``kept``."""
        self.kept = None
        self._at = 0

    def read(self, data: bytes, events: list[Any], at: int = 0, weight: int = 0) -> None:
        """Append the events of a share of ``data``; what is left of it is in ``kept``.

        ``events`` and ``weight`` may have the beginning of the share, as :func:`take_texts` gives
        it.  A ``Closed`` is the last event, and what follows is dropped.  Raises ``WebSocketError``
        at the first mistake; the events before it are in ``events``.
        """
        if self._pending:
            data, self._pending = self._pending + data, b""
        limits, end, most = self._limits, len(data), self._limits.turn_bytes
        left, self._weight = limits.turn_frames - len(events), weight
        at = self._payload(data, at, events) if self._left else at
        while left > 0 and self._weight < most:
            if at < end and data[at] == _WHOLE_TEXT and self._masked and not self._opcode:
                known = len(events)
                at, self._weight = take_texts(data, at, events, known + left, limits, self._weight)
                left -= len(events) - known
            if at >= end:
                return
            if not left:
                break
            left -= 1
            header = decode_header(data, at, self._masked)
            if header is None:
                self._pending = data[at:]
                return
            first, size, body = header
            if not first & 0x08:
                self._begin(first, size)
                self._key = data[body - 4 : body] if self._masked else _NO_KEY
                at = self._payload(data, body, events)
            elif body + size > end:
                self._pending = data[at:]
                return
            else:
                at = self._control(first & 0x0F, data, body, body + size, events)
        if at < end:
            if self.kept is None:
                self.kept = []
            self.kept.insert(0, data)
            self._at = at

    # Control frames (section 5.5): whole, short, and between the fragments of a message

    def _control(self, opcode: int, data: bytes, body: int, after: int, events: list[Any]) -> int:
        """Take a control frame; return where it ends, for a close frame the end of all input."""
        payload = data[body:after]
        if self._masked:
            payload = mask(payload, data[body - 4 : body])
        if opcode == CLOSE:
            events.append(Closed(*decode_close(payload)))
            self.drop()
            return len(data)
        events.append(Ping(payload) if opcode == PING else Pong(payload))
        return after

    # Data frames (sections 5.4, 5.6)

    def _begin(self, first: int, size: int) -> None:
        """Judge the header of a data frame by what came before it."""
        opcode = first & 0x0F
        if opcode == CONTINUATION:
            if not self._opcode:
                raise WebSocketError("a continuation without a message", "6455-5.4-continuation")
            if first & RSV1:
                raise WebSocketError(
                    "a continuation frame has its RSV1 bit set", "7692-6-rsv1-continuation"
                )
        else:
            if self._opcode:
                raise WebSocketError("a message begins within a message", "6455-5.4-interleaved")
            if first & RSV1:
                if self._inflater is None:
                    raise WebSocketError(
                        "RSV1 is set, but no extension was agreed", "6455-5.2-rsv1"
                    )
                self._deflated = bytearray()
            self._opcode = opcode
        self._fragments += 1
        if self._fragments > self._limits.fragments:
            raise WebSocketError(
                f"a message has more than {self._limits.fragments} fragments",
                "6455-10.4-fragments",
                1009,
            )
        self._first = first
        self._left = size
        if self._deflated is None:
            if size + len(self._message or b"") > self._limits.message:
                raise too_long(self._limits)
        elif size + len(self._deflated) > self._limits.message * 17 // 16 + 64 * self._fragments:
            # Data that cannot be compressed grows a little, by the headers of its blocks.
            raise too_long(self._limits)

    def _payload(self, data: bytes, at: int, events: list[Any]) -> int:
        """Take what there is of the payload of the frame; return where it ends in ``data``."""
        after = min(at + self._left, len(data))
        piece = data[at:after]
        taken = after - at
        if taken:
            self._left -= taken
            self._weight += taken
            if self._masked:
                piece = mask(piece, self._key)
                if self._left:
                    self._key = rotated(self._key, taken)
            if self._deflated is not None:
                self._deflated += piece
            elif not self._left and self._message is None and self._first & FIN:
                # A message in one frame in one read: never in the buffer.
                self._end_message(piece, events)
                return after
            else:
                self._append(piece)
        if not self._left:
            self._end_frame(events)
        return after

    def _append(self, piece: bytes) -> None:
        if self._opcode == TEXT:
            self._tail = check_utf8(self._tail, piece)
        if self._message is None:
            self._message = bytearray(piece)
        else:
            self._message += piece

    def _end_frame(self, events: list[Any]) -> None:
        last = self._first & FIN != 0
        if last and self._deflated is not None and self._inflater is not None:
            before = self._inflater.work
            for piece in self._inflater.inflate(self._deflated):
                self._weight += len(piece)
                if len(piece) + len(self._message or b"") > self._limits.message:
                    raise too_long(self._limits)
                self._append(piece)
            self._weight += self._inflater.work - before
        if last:
            whole = self._message
            self._end_message(b"" if whole is None else whole, events)

    def _end_message(self, whole: bytes | bytearray, events: list[Any]) -> None:
        if self._opcode == TEXT:
            events.append(Message(decode_utf8(whole)))
        else:
            events.append(Message(bytes(whole)))
        self._opcode = self._fragments = 0
        self._message = self._deflated = None


def too_long(limits: Limits) -> WebSocketError:
    """Return the error for a message that is longer than the limit."""
    return WebSocketError(
        f"a message has more than {limits.message} bytes", "6455-10.4-message", 1009
    )
