"""UTF-8 that is checked while it arrives (RFC 6455 sections 5.6 and 8.1).

Python's decoder, told that more may follow, raises at the first byte that no continuation can make
valid (overlong forms and what lies above U+10FFFF included), and says how many bytes it took.  What
it left, three bytes at most, is the whole state.  Only the first two of the three bytes of a
surrogate are left, because Python can be asked to accept those; we look.

The decoded text is thrown away, and made once when the message is whole.  Keeping it would need an
object for each piece that a peer chooses to send.
"""

from __future__ import annotations

from codecs import utf_8_decode

from rawsio.errors import WebSocketError

__all__ = ["check_utf8", "decode_utf8"]

_RULE = "6455-8.1-utf8"


def check_utf8(tail: bytes, piece: bytes | bytearray | memoryview) -> bytes:
    r"""Check a piece of text after ``tail``, what the former piece left; return the new tail.

    Raises ``WebSocketError`` (close code 1007) at the first byte that cannot be UTF-8.

    >>> check_utf8(b"", "na\u00efve".encode()[:3])
    b'\xc3'
    >>> check_utf8(b"\xc3", "na\u00efve".encode()[3:])
    b''
    """
    data = tail + piece if tail else piece
    try:
        used = utf_8_decode(data, "strict", False)[1]
    except UnicodeDecodeError as error:
        raise _bad_text() from error
    left = bytes(data[used:])
    if left[:1] == b"\xed" and left[1:2] >= b"\xa0":
        raise _bad_text()
    return left


def decode_utf8(data: bytes | bytearray) -> str:
    """Decode a whole text; raises ``WebSocketError`` (close code 1007) unless it is UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _bad_text() from error


def _bad_text() -> WebSocketError:
    return WebSocketError("a text is not valid UTF-8", _RULE, 1007)
