r"""WebSocket frames, and the messages that they make (RFC 6455 section 5, RFC 7692).

A :class:`Frames` takes what one side sends, and gives a field a frame: the bits of the header, the
payload without its mask, and at the last fragment the whole message, inflated in steps.  The
layer's :class:`~rawsio.websocket.reader.Reader` is fed the same bytes and judges them; its mistake
is put on the part of the header that it is about.
"""

from __future__ import annotations

from rawsio.errors import WebSocketError
from rawsio.layer import Closed, Role
from rawsio.limits import DEFAULT
from rawsio.websocket.deflate import Inflater
from rawsio.websocket.events import Message
from rawsio.websocket.frames import CLOSE, CONTINUATION, close_code_is_valid
from rawsio.websocket.masking import mask
from rawsio.websocket.reader import Reader, too_long

from .fields import Field, blame, moved, rest, shown, wire_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from rawsio.limits import Limits
    from rawsio.websocket.deflate import Agreement

    Inside = Callable[[str | bytes], Field | None]

__all__ = ["Frames", "explain_websocket", "is_text", "OPCODES", "CLOSE_CODES", "LOOKED", "RATIO"]

LOOKED = 2_000_000
"""Bytes that are shown of a message or body, inflated."""
RATIO = 20
"""Or so many times as many as were sent, if that is more: a few bytes may be made of very many."""

OPCODES = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
"""Opcode -> name (RFC 6455 section 5.2)."""

CLOSE_CODES = {
    1000: "normal closure",
    1001: "going away: a page is left, a server stops",
    1002: "protocol error",
    1003: "a kind of data that cannot be taken",
    1005: "no code was given",
    1006: "the connection ended without a close frame",
    1007: "data that is not what the message says, such as text that is not UTF-8",
    1008: "policy violation",
    1009: "message too big",
    1010: "the client misses an extension",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
    1015: "the TLS handshake failed",
}
"""Close code -> meaning (RFC 6455 section 7.4.1 and IANA's registry)."""

_ABOUT = {
    "6455-5.2-rsv": "RSV2, RSV3",
    "6455-5.2-rsv1": "RSV1",
    "7692-6-rsv1-control": "RSV1",
    "7692-6-rsv1-continuation": "RSV1",
    "6455-5.2-opcode": "opcode",
    "6455-5.4-continuation": "opcode",
    "6455-5.4-interleaved": "opcode",
    "6455-5.5-control-fragmented": "FIN",
    "6455-10.4-fragments": "FIN",
    "6455-5.1-mask": "MASK",
    "6455-5.1-server-mask": "MASK",
    "6455-5.5-control-length": "length",
    "6455-5.2-length-minimal": "extended length",
    "6455-5.2-length-top-bit": "extended length",
    "6455-10.4-message": "length",
    "6455-5.5.1-close-body": "payload",
    "6455-7.4-close-code": "code",
}
"""Rule -> the field of a frame that a mistake is in; else it is the payload."""


def explain_websocket(
    data: bytes,
    sender: Role = Role.CLIENT,
    *,
    deflate: Agreement | None = None,
    inside: Inside | None = None,
    limits: Limits = DEFAULT,
) -> Field:
    """Return the tree of what one side of a WebSocket sent after its handshake.

    ``deflate`` is what the handshake agreed on; ``inside`` explains a whole message.

    >>> tree = explain_websocket(bytes.fromhex("818537fa213d7f9f4d5158"))
    >>> tree.fields[0].value, tree.fields[0].fields[-1].value
    ('text, 5 bytes', 'Hello')
    """
    frames = Frames(sender, deflate, inside, limits)
    fields = frames.feed(wire_bytes(data)) + frames.end()
    return Field(0, len(data), "WebSocket", f"sent by the {sender.value}", "", "", fields, data)


class Frames:
    """The frames of one direction, in the order in which they come.

    With ``own`` each frame has its bytes with it, and what is in it refers to those.
    """

    def __init__(
        self,
        sender: Role,
        deflate: Agreement | None = None,
        inside: Inside | None = None,
        limits: Limits = DEFAULT,
        *,
        own: bool = False,
    ) -> None:
        self.left_out = 0
        """Bytes of the last message beyond those that are shown of it."""
        self._inflater = _Ahead(*deflate.stream(sender)) if deflate else None
        self._reader = Reader(limits, sender is Role.CLIENT, self._inflater)
        self._limits = limits
        self._inside = inside
        self._own = own
        self._data = bytearray()
        self._judged = 0  # how much of the data the reader has seen
        self._need = 2  # how much the next look at the data takes
        self._start = 0  # where the data stands in the stream
        self._skipped = 0  # what came after the end
        self._events: list[Any] = []
        self._over = ""
        self._closed = False  # a close frame was seen

    def feed(self, data: bytes) -> list[Field]:
        """Return the frames that ``data`` completes; a mistake completes its frame."""
        return [field for field in self.each(data) if field is not None]

    def each(self, data: bytes) -> Iterator[Field | None]:
        """Give the frames one by one: a few bytes may be many megabytes, inflated.

        A message that takes long to inflate gives a ``None`` after each step.
        """
        if self._over:
            self._skipped += len(data)
            return
        self._data += data
        at = 0
        while not self._over and len(self._data) - at >= self._need:
            yield from self._inflate_ahead(at)
            made = self._frame(at)
            if made is None:
                continue
            at = made.end - self._start
            self._judged, self._need = at, 2
            yield made
        del self._data[:at]
        self._judged -= at
        self._start += at

    @property
    def due(self) -> int:
        """Bytes that the frame which has begun still lacks; 0 if that is not known, or none has."""
        header, size = _sizes(bytes(self._data[:14]))
        if self._over or len(self._data) < max(header, 2):
            return 0
        return header + size - len(self._data)

    def end(self) -> list[Field]:
        """Return what is left at the end of the bytes: a frame that is not whole, or not read."""
        size = len(self._data) + self._skipped
        if not size:
            return []
        if self._over:
            fields = rest(0, size, self._over)
        else:
            data = bytes(self._data)
            field = self._shown(data)
            field.value, field.meaning = f"not whole: {field.value}", "more bytes are needed"
            field.data = data if self._own else None
            fields = [field]
            try:
                self._judge(size)
            except WebSocketError as error:
                _accuse(field, error)
        self._data.clear()
        return [moved(field, self._start) for field in fields]

    def _frame(self, at: int) -> Field | None:
        """Judge what is needed next of the frame at ``at``; return it when nothing is missing."""
        data = bytes(memoryview(self._data)[at : at + max(self._need, 2)])
        header, size = _sizes(data)
        try:
            self._judge(at + min(self._need, header))
            if self._need < header:
                self._need = header
                return None
            if self._need < header + size:
                self._need = header + size
                return None
            self._judge(at + header + size)
        except WebSocketError as error:
            # A header that is not whole is shown as far as it goes.
            end = max(self._judged - at, min(self._need, len(self._data) - at))
            data = bytes(memoryview(self._data)[at : at + end])
            field = self._shown(data)
            _accuse(field, error)
            self._over = "what follows a mistake is not read"
        else:
            field = self._shown(data)
            if self._closed:
                # The layer does not read it: no message comes of it, and no mistake.
                field.meaning = "behind the close frame, which nothing follows"
            self._tell(field)
        field.data = data if self._own else None
        return moved(field, at + self._start)

    def _inflate_ahead(self, at: int) -> Iterator[None]:
        """Inflate the message that the frame at ``at`` ends, if it does, before it is judged."""
        inflater, data = self._inflater, bytes(memoryview(self._data)[at : at + 14])
        header, size = _sizes(data)
        if inflater is None or self._closed or self._need != header + size:
            return
        if not data[0] & 0x80 or data[0] & 0x08:
            return
        if size:  # all but the last byte: with that the reader inflates
            self._judge(at + header + size - 1)
        payload = self._reader.deflated
        if payload is None:
            return
        if size:
            key = data[header - 4 + (size - 1) % 4] if data[1] & 0x80 else 0
            payload += bytes((self._data[at + header + size - 1] ^ key,))
        yield from inflater.ahead(payload, self._limits)

    def _judge(self, upto: int) -> None:
        upto = min(upto, len(self._data))
        if upto > self._judged and not self._closed:
            piece = bytes(memoryview(self._data)[self._judged : upto])
            self._judged = upto
            self._reader.read(piece, self._events)

    def _shown(self, data: bytes) -> Field:
        fields = _header(data)
        header, size = _sizes(data)
        first = data[0]
        payload = data[header:]
        if payload and data[1] & 0x80:
            payload = mask(payload, data[header - 4 : header])
        opcode = first & 0x0F
        name = OPCODES.get(opcode, f"opcode {opcode:#x}")
        if payload:
            fields.append(_payload(opcode, first, payload, header, len(data)))
        end = "" if first & 0x80 or opcode & 8 else ", more follows"
        value = f"{name}, {size} bytes{end}"
        return Field(0, len(data), "frame", value, "", "6455-5.2-format", fields)

    def _tell(self, field: Field) -> None:
        """Add what the frame completes: a message, or the end."""
        events, self._events = self._events, []
        for event in events:
            if isinstance(event, Closed):
                self._closed = True
            elif isinstance(event, Message):
                whole = event.data
                self.left_out = 0 if self._inflater is None else self._inflater.take_left_out()
                data = whole.encode() if isinstance(whole, str) else whole
                fields = []
                below = self._inside(whole) if self._inside is not None else None
                if below is not None:
                    fields = [below]
                field.fields.append(_message(field, whole, data, fields, self.left_out))


class _Ahead(Inflater):
    """Inflates a message ahead of the reader, in steps, and as far as it is shown."""

    __slots__ = ("_pieces", "_error", "_left_out")

    def __init__(self, bits: int, fresh: bool) -> None:  # noqa: FBT001
        super().__init__(bits, fresh)
        self._pieces: list[bytes] | None = None
        self._error: WebSocketError | None = None
        self._left_out = 0

    def ahead(self, payload: bytes, limits: Limits) -> Iterator[None]:
        """Inflate a message, with a pause after each piece."""
        most, size, pieces = max(LOOKED, RATIO * len(payload)), 0, [b""]
        self._pieces, self._error = pieces, None
        try:
            for piece in super().inflate(payload):
                if size < most:
                    pieces.append(piece)
                    self._left_out = 0
                else:
                    self._left_out += len(piece)
                size += len(piece)
                if size > limits.message:
                    raise too_long(limits)
                yield
        except WebSocketError as error:
            self._error = error
        if self._left_out:
            pieces[-1] = _whole_characters(pieces[-1])
            self._left_out = size - sum(map(len, pieces))

    def inflate(self, payload: bytes | bytearray) -> Iterator[bytes]:
        """Give what was inflated ahead, or inflate."""
        pieces, self._pieces = self._pieces, None
        yield from super().inflate(payload) if pieces is None else pieces
        if pieces is not None and self._error is not None:
            raise self._error

    def take_left_out(self) -> int:
        """Return how many bytes of the last message the reader did not get."""
        left_out, self._left_out = self._left_out, 0
        return left_out


def _whole_characters(data: bytes) -> bytes:
    """Return what there is of a text without its last character, of which a part may be missing."""
    at = len(data) - 1
    while at > 0 and data[at] & 0xC0 == 0x80:
        at -= 1
    return data[:at]


def is_text(message: Field) -> bool:
    """Say whether the field of a message is that of a text."""
    return message.meaning.endswith("text message")


def _message(
    frame: Field, whole: str | bytes, data: bytes, fields: list[Field], left_out: int
) -> Field:
    kind = "text" if isinstance(whole, str) else "binary"
    value = shown(whole) if isinstance(whole, str) else f"{len(data)} bytes"
    meaning = f"the whole {kind} message"
    if left_out:
        meaning = f"the first {len(data)} of {len(data) + left_out} bytes of a {kind} message"
    # It stands where the payload of its last frame does.
    start = frame.fields[-1].start if frame.fields[-1].name == "payload" else frame.end
    return Field(start, frame.end, "message", value, meaning, "6455-5.6-data", fields, data)


def _sizes(data: bytes) -> tuple[int, int]:
    """Return the length of a header, mask included, and of its payload, as far as is known."""
    if len(data) < 2:
        return 2, 0
    size = data[1] & 0x7F
    long = {126: 2, 127: 8}.get(size, 0)
    header = 2 + long + (4 if data[1] & 0x80 else 0)
    if long:
        size = int.from_bytes(data[2 : 2 + long], "big") if len(data) >= 2 + long else 0
    return header, size


def _header(data: bytes) -> list[Field]:
    first = data[0]
    opcode = first & 0x0F
    control = opcode & 8 != 0
    fin = "the last fragment of its message" if first & 0x80 else "more fragments follow"
    rsv1 = "the message is compressed" if first & 0x40 else ""
    name = OPCODES.get(opcode, "reserved")
    fields = [
        Field(0, 1, "FIN", str(first >> 7), "" if control else fin, "6455-5.4-fragments"),
        Field(0, 1, "RSV1", str(first >> 6 & 1), rsv1, "7692-6.1-opcode"),
        Field(0, 1, "RSV2, RSV3", f"{first >> 4 & 3:02b}", "", "6455-5.2-rsv"),
        Field(0, 1, "opcode", f"{opcode:#x}", name, "6455-5.2-opcode"),
    ]
    if len(data) < 2:
        return fields
    masked, size = data[1] >> 7, data[1] & 0x7F
    rule = "6455-5.1-mask" if masked else "6455-5.1-server-mask"
    who = "a client masks its frames" if masked else "a server does not mask"
    how = {126: "the length is in the next 2 bytes", 127: "the length is in the next 8 bytes"}
    fields.append(Field(1, 2, "MASK", str(masked), who, rule))
    about = how.get(size, "bytes of payload")
    fields.append(Field(1, 2, "length", str(size), about, "6455-5.2-length-minimal"))
    at = 2
    if size > 125:
        at = 4 if size == 126 else 10
        length = str(int.from_bytes(data[2:at], "big")) if len(data) >= at else "not whole"
        end = min(at, len(data))
        rule = "6455-5.2-length-minimal"
        fields.append(Field(2, end, "extended length", length, "bytes of payload", rule))
    if masked and len(data) > at:
        end = min(at + 4, len(data))
        rule = "6455-5.3-fresh-key"
        fields.append(Field(at, end, "masking key", data[at:end].hex(), "", rule))
    return fields


def _payload(opcode: int, first: int, payload: bytes, start: int, end: int) -> Field:
    rule = {CONTINUATION: "6455-5.4-order", CLOSE: "6455-5.5.1-reason"}.get(opcode, "6455-5.6-data")
    fields: list[Field] = []
    meaning = "unmasked" if payload else ""
    if opcode == CLOSE:
        fields = _close(payload)
    elif first & 0x40:
        meaning = "compressed"
    text = opcode == 1 and not first & 0x40
    value = shown(payload) if text or opcode > CLOSE else f"{len(payload)} bytes"
    return Field(start, end, "payload", value, meaning, rule, fields, payload)


def _close(payload: bytes) -> list[Field]:
    if len(payload) < 2:
        return []
    code = int.from_bytes(payload[:2], "big")
    meaning = CLOSE_CODES.get(code, "")
    if not meaning and close_code_is_valid(code):
        meaning = "of a library" if code < 4000 else "of the application"
    fields = [Field(0, 2, "code", str(code), meaning, "6455-7.4-close-code")]
    if len(payload) > 2:
        fields.append(Field(2, len(payload), "reason", shown(payload[2:]), "", "6455-5.5.1-reason"))
    return fields


def _accuse(field: Field, error: WebSocketError) -> None:
    about = _ABOUT.get(error.rule, "payload")
    inside = [below for part in field.fields for below in (part, *part.fields)]
    found = [part for part in inside if part.name == about]
    blame(found[-1] if found else field, error)
