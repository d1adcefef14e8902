r"""Polling payloads of Engine.IO protocol 3, which Socket.IO clients v1 and v2 speak.

There is no separator: each packet is preceded by its length, and there are three forms.

Text: ``<length>:<packet>``, the length in UTF-16 code units, as JavaScript counts; a binary packet
is ``b4`` and its base64:

>>> encode_payload(["4€", b"\x04\x01\x02\x03\x04"], base64=True)[0].decode()
'2:4€10:b4AQIDBA=='

Binary, if there is a binary packet and the client takes it: a byte 0 (string) or 1 (binary), the
length in bytes, one byte for each decimal digit, 0xFF, then the packet:

>>> encode_payload(["4hello", b"\x04\x01\x02\x03\x04"])[0].hex(" ")
'00 06 ff 34 68 65 6c 6c 6f 01 05 ff 04 01 02 03 04'

JSONP, for browsers without cross-origin requests: the text form as a JavaScript call one way, and
as the field of a form the other way.

Packets have the form that they have on a WebSocket of protocol 3 (a binary message is ``04`` and
its data); no other module knows the payloads.  The option ``allow_eio3`` says whether a client may
speak protocol 3 at all.
"""

from __future__ import annotations

from rawsio.errors import EngineIOError, escaped
from rawsio.lazy import Pattern

from .packets import encode_base64, encode_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Packet = str | bytes

__all__ = ["encode_payload", "decode_text", "decode_binary", "encode_jsonp", "decode_jsonp"]

_LENGTH = Pattern(r"([0-9]{1,10}):")
_WIDE_LENGTH = Pattern(rb"((?:[0-9]\0){1,10}):\0")
_ASTRAL = Pattern("[\U00010000-\U0010ffff]")
_MOST_DIGITS = 10


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _flat(packets: Iterable[Any]) -> list[Packet]:
    flat: list[Packet] = []
    for packet in packets:
        if isinstance(packet, (str, bytes)):
            flat.append(packet)
        else:
            flat += packet.packets(3)
    return flat


def encode_payload(packets: Iterable[Any], *, base64: bool = False) -> tuple[bytes, bool]:
    """Return the body with these packets, and whether it is of the binary form.

    With ``base64`` it is text in any case.
    """
    flat = _flat(packets)
    if not base64 and any(packet.__class__ is bytes for packet in flat):
        return b"".join(map(_binary_item, flat)), True
    return encode_text("".join(map(_text_item, flat)) or "0:"), False


def _text_item(packet: Packet) -> str:
    text = packet if isinstance(packet, str) else "b4" + encode_base64(packet[1:])
    return f"{_units(text)}:{text}"


def _binary_item(packet: Packet) -> bytes:
    data = encode_text(packet) if isinstance(packet, str) else packet
    digits = bytes(int(digit) for digit in str(len(data)))
    return (b"\x00" if isinstance(packet, str) else b"\x01") + digits + b"\xff" + data


def _too_many(most: int) -> EngineIOError:
    return EngineIOError(f"a payload has more than {most} packets", "engineio-v4-payload-count")


def decode_text(body: bytes, most: int) -> list[Packet]:
    r"""Return the packets of a text payload.

    Raises ``EngineIOError`` if it is not UTF-8, a length is missing or wrong, or there are more
    than ``most`` packets.

    >>> decode_text("6:4hello3:4😀".encode(), 10)
    ['4hello', '4😀']
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise EngineIOError("a payload is not UTF-8", "engineio-v4-payload-utf8") from None
    if not text.isascii() and _ASTRAL.search(text) is not None:
        return _decode_units(text.encode("utf-16-le"), most)
    packets: list[Packet] = []
    at = 0
    while at < len(text) or not packets:
        header = _LENGTH.match(text, at)
        if header is None:
            raise _bad_length(text[at : at + 40])
        at = header.end() + int(header[1])
        if at > len(text):
            raise _bad_length(text[header.start() : header.start() + 40])
        if len(packets) >= most:
            raise _too_many(most)
        packets.append(text[header.end() : at])
    return packets


def _decode_units(data: bytes, most: int) -> list[Packet]:
    """Do the same for UTF-16: outside the basic plane a character is two of its code units."""
    packets: list[Packet] = []
    at = 0
    while at < len(data) or not packets:
        header = _WIDE_LENGTH.match(data, at)
        if header is None:
            raise _bad_length(_of_units(data[at : at + 80]))
        at = header.end() + 2 * int(header[1][::2])
        if at > len(data):
            raise _bad_length(_of_units(data[header.start() : header.start() + 80]))
        if len(packets) >= most:
            raise _too_many(most)
        packets.append(_of_units(data[header.end() : at]))
    return packets


def _of_units(data: bytes) -> str:
    return data.decode("utf-16-le", "replace")


def _bad_length(seen: str) -> EngineIOError:
    return EngineIOError(
        f"a packet should be preceded by its length, not {escaped(seen)}",
        "engineio-v3-payload-length",
    )


def decode_binary(body: bytes, most: int) -> list[Packet]:
    r"""Return the packets of a binary payload.

    >>> decode_binary(bytes.fromhex("00 02 ff 34 61 01 02 ff 04 01"), 10)
    ['4a', b'\x04\x01']
    """
    packets: list[Packet] = []
    at = 0
    while at < len(body) or not packets:
        if len(packets) >= most:
            raise _too_many(most)
        kind, start, end = _binary_header(body, at)
        data = body[start:end]
        at = end
        packets.append(data if kind else _utf8(data))
    return packets


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise EngineIOError("a packet is not UTF-8", "engineio-v4-payload-utf8") from None


def _binary_header(body: bytes, at: int) -> tuple[int, int, int]:
    stop = body.find(b"\xff", at + 1, at + 2 + _MOST_DIGITS)
    digits = body[at + 1 : stop]
    if stop < 0 or body[at] > 1 or not digits or max(digits) > 9:
        raise EngineIOError(
            f"a packet should be preceded by 00 or 01, its length and ff, not "
            f"{body[at : at + 12].hex(' ')}",
            "engineio-v3-payload-binary",
        )
    length = int("".join(map(str, digits)))
    if stop + 1 + length > len(body):
        raise EngineIOError(
            f"a packet of {length} bytes is cut short", "engineio-v3-payload-binary"
        )
    return body[at], stop + 1, stop + 1 + length


def encode_jsonp(body: bytes, index: str) -> bytes:
    """Return a payload as the JavaScript that calls the client's function of that index.

    JSON in ASCII is JavaScript too: it escapes U+2028 and U+2029, which end lines there.

    >>> encode_jsonp(b'2:4"', "0")
    b'___eio[0]("2:4\\\\"");'
    """
    import json

    return f"___eio[{index}]({json.dumps(body.decode())});".encode("ascii")


def decode_jsonp(form: str | None) -> bytes:
    r"""Return the payload in the field ``d`` of a form, which is given decoded.

    Browsers change line ends in forms, so the client writes ``\n`` for one, and ``\\n`` for the
    two characters.

    >>> decode_jsonp(r"4:4a\nb"), decode_jsonp(r"5:4a\\nb")
    (b'4:4a\nb', b'5:4a\\nb')
    """
    if form is None:
        raise EngineIOError("a JSONP post has no field d", "engineio-v3-jsonp-body")
    pieces = [piece.replace("\\n", "\n") for piece in form.split("\\\\n")]
    return encode_text("\\n".join(pieces))
