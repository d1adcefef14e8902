r"""Frames (RFC 6455 section 5.2): pure functions between bytes and the figure in the RFC.

::

      0               1               2               3
     +-+-+-+-+-------+-+-------------+-------------------------------+
     |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
     |I|S|S|S|  (4)  |A|     (7)     |             (16/64)           |
     |N|V|V|V|       |S|             |   (if payload len==126/127)   |
     | |1|2|3|       |K|             |                               |
     +-+-+-+-+-------+-+-------------+-------------------------------+
     |  Masking-key, if MASK set     |          Payload Data         |
     +-------------------------------+-------------------------------+

:func:`encode_frame` and :func:`text_frame` write, :func:`decode_header` and :func:`decode_frame`
read.  Readers return ``None`` when more bytes are needed (and have consumed nothing), and raise
``WebSocketError`` when no further byte can make it right.  A header is judged when it is whole,
before its payload is there, so a frame that is too long costs 14 bytes.

What depends on the frames before (fragments, the compression bit, the length of the whole message)
is judged in :mod:`rawsio.websocket.reader`.
"""

from __future__ import annotations

from rawsio.errors import WebSocketError
from rawsio.layer import record

from .masking import mask as apply_mask
from .utf8 import decode_utf8

__all__ = [
    "CONTINUATION",
    "TEXT",
    "BINARY",
    "CLOSE",
    "PING",
    "PONG",
    "FIN",
    "RSV1",
    "TEXT_HEADERS",
    "Frame",
    "encode_frame",
    "encode_header",
    "text_frame",
    "decode_header",
    "decode_frame",
    "close_code_is_valid",
    "encode_close",
    "decode_close",
]

# Opcodes (section 5.2); bit 3 marks the control frames.
CONTINUATION = 0x0
TEXT = 0x1
BINARY = 0x2
CLOSE = 0x8
PING = 0x9
PONG = 0xA

# Bits of the first byte.
FIN = 0x80
RSV1 = 0x40

_WHOLE_TEXT = FIN | TEXT
_OPCODES = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))

# What is wrong with a first byte, as far as it alone can tell; "" is nothing.
_FAULTS = [
    "6455-5.2-rsv"
    if first & 0x30
    else "6455-5.2-opcode"
    if first & 0x0F not in _OPCODES
    else "6455-5.5-control-fragmented"
    if first & 0x88 == 0x08
    else "7692-6-rsv1-control"
    if first & 0x48 == 0x48
    else ""
    for first in range(256)
]

# The headers of unmasked text frames with a one byte length.
TEXT_HEADERS = [bytes((FIN | TEXT, size)) for size in range(126)]
"""By length."""


@record
class Frame:
    """One frame, whole, its payload unmasked."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv1: bool = False


def encode_frame(
    opcode: int,
    payload: bytes,
    *,
    fin: bool = True,
    rsv1: bool = False,
    mask: bytes | None = None,
) -> bytes:
    r"""Return a frame; ``mask`` is the key of four bytes that a client must give.

    The length is written in its shortest form.  Source: RFC 6455 section 5.2; the samples are
    those of section 5.7.

    >>> encode_frame(TEXT, b"Hello")
    b'\x81\x05Hello'
    >>> encode_frame(TEXT, b"Hello", mask=bytes.fromhex("37fa213d")).hex()
    '818537fa213d7f9f4d5158'
    """
    first = opcode | (FIN if fin else 0) | (RSV1 if rsv1 else 0)
    if mask is None:
        return encode_header(first, len(payload)) + payload
    return encode_header(first, len(payload), 0x80) + mask + apply_mask(payload, mask)


def encode_header(first: int, size: int, masked: int = 0) -> bytes:
    r"""Return the header of a frame, as far as the length; ``masked`` is the bit for that, or 0.

    >>> encode_header(0x82, 65536)
    b'\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00'
    """
    if size < 126:
        return bytes((first, masked | size))
    if size < 65536:
        return (first << 24 | (masked | 126) << 16 | size).to_bytes(4, "big")
    return bytes((first, masked | 127)) + size.to_bytes(8, "big")


def text_frame(data: bytes) -> bytes:
    r"""Return the unmasked text frame of a server: ``encode_frame`` for the commonest case.

    >>> text_frame(b"2")
    b'\x81\x012'
    """
    size = len(data)
    return (TEXT_HEADERS[size] if size < 126 else encode_header(_WHOLE_TEXT, size)) + data


def decode_header(data: bytes, at: int, masked: bool) -> tuple[int, int, int] | None:  # noqa: FBT001
    r"""Read the header of the frame that begins at ``at``.

    ``masked`` says whether the peer must mask (it is a client) or must not.  Returns the first
    byte, the length of the payload and where the payload begins (its key, if there is one, is in
    the four bytes before), or ``None`` if the header is not whole yet.  Raises ``WebSocketError``
    for a header that is wrong by itself.

    >>> decode_header(b"\x81\x05Hello", 0, False), decode_header(b"\x81\x7e\x01", 0, False)
    ((129, 5, 2), None)
    """
    end = len(data)
    if end - at < 2:
        return None
    first = data[at]
    if _FAULTS[first]:
        raise _bad_first_byte(first)
    size = data[at + 1]
    if masked:
        if size < 0x80:
            raise WebSocketError("a client's frame is not masked", "6455-5.1-mask")
        size &= 0x7F
    elif size >= 0x80:
        raise WebSocketError("a server's frame is masked", "6455-5.1-server-mask")
    body = at + 2
    if size > 125:
        if first & 0x08:
            raise WebSocketError(
                "a control frame has more than 125 bytes", "6455-5.5-control-length"
            )
        body += 2 if size == 126 else 8
        if body > end:
            return None
        size = _extended_length(data[at + 2 : body])
    if masked:
        body += 4
        if body > end:
            return None
    return first, size, body


def _extended_length(field: bytes) -> int:
    size = int.from_bytes(field, "big")
    if size >> 63:
        raise WebSocketError("the top bit of a 64 bit length is set", "6455-5.2-length-top-bit")
    if size < (126 if len(field) == 2 else 65536):
        raise WebSocketError(
            f"a length of {size} is not in its shortest form", "6455-5.2-length-minimal"
        )
    return size


def _bad_first_byte(first: int) -> WebSocketError:
    rule = _FAULTS[first]
    opcode = first & 0x0F
    what = {
        "6455-5.2-rsv": f"a reserved bit is set in the first byte, 0x{first:02x}",
        "6455-5.2-opcode": f"the opcode 0x{opcode:x} is reserved",
        "6455-5.5-control-fragmented": f"a control frame (opcode 0x{opcode:x}) is fragmented",
        "7692-6-rsv1-control": f"a control frame (opcode 0x{opcode:x}) has its RSV1 bit set",
    }
    return WebSocketError(what[rule], rule)


def decode_frame(data: bytes, at: int, masked: bool) -> tuple[Frame, int] | None:  # noqa: FBT001
    r"""Read the whole frame that begins at ``at``; return it and where the next one begins.

    Returns ``None`` if it is not whole yet; raises as :func:`decode_header` does.

    >>> decode_frame(b"\x89\x05Hello\x8a", 0, False)
    (Frame(opcode=9, payload=b'Hello', fin=True, rsv1=False), 7)
    """
    header = decode_header(data, at, masked)
    if header is None:
        return None
    first, size, body = header
    end = body + size
    if end > len(data):
        return None
    payload = data[body:end]
    if masked:
        payload = apply_mask(payload, data[body - 4 : body])
    frame = Frame(first & 0x0F, payload, first & FIN != 0, first & RSV1 != 0)
    return frame, end


# Close codes and the body of close frames (sections 5.5.1 and 7.4)


def close_code_is_valid(code: int) -> bool:
    """Say whether ``code`` may stand in a close frame.

    1004 is reserved; 1005, 1006 and 1015 are for reports only; 1012 to 1014 are in IANA's
    registry; 3000 to 4999 belong to libraries and applications.

    >>> [code for code in range(5001) if close_code_is_valid(code)][:13]
    [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000]
    """
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def encode_close(code: int, reason: str = "") -> bytes:
    r"""Return the body of a close frame: empty for 1005, which means that there is no code.

    >>> encode_close(1000, "bye"), encode_close(1005)
    (b'\x03\xe8bye', b'')
    """
    return b"" if code == 1005 else code.to_bytes(2, "big") + reason.encode()


def decode_close(body: bytes) -> tuple[int, str]:
    r"""Return code and reason of a close frame; raises ``WebSocketError`` if they are not valid.

    >>> decode_close(b"\x03\xe8bye"), decode_close(b"")
    ((1000, 'bye'), (1005, ''))
    """
    if not body:
        return 1005, ""
    if len(body) == 1:
        raise WebSocketError("the body of a close frame has one byte", "6455-5.5.1-close-body")
    code = body[0] << 8 | body[1]
    if not close_code_is_valid(code):
        raise WebSocketError(f"the close code {code} may not be sent", "6455-7.4-close-code")
    return code, decode_utf8(body[2:])
