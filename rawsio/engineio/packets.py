r"""Engine.IO packets and polling payloads, protocol 4: what they are, and how they look.

A packet is one WebSocket message, or one item of the body of a poll or post.  A text packet is a
digit and its data; a binary packet is always a message and has no digit::

    "0{...}"  open      the server's first packet, with the session's data as JSON
    "1"       close     the sender ends the session
    "2" "3"   ping, pong: the server asks, the client answers
    "4text"   message   what all this is for
    "5"       upgrade   the client moves to the transport that it probed
    "6"       noop      ends a waiting poll, means nothing

Over polling several packets share a body, separated by U+001E; a binary message is ``b`` and its
base64 there, because the body is text:

>>> encode_payload(["4hello", b"\x01\x02\x03\x04"])
b'4hello\x1ebAQIDBA=='

There are functions only.  A packet stays a ``str`` or ``bytes`` until somebody wants to know what
it says; nothing here has state.

The payloads of protocol 3 are in :mod:`rawsio.engineio.payloads_v3`; :mod:`rawsio.engineio.states`
says which packet may be sent when.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

from rawsio.errors import EngineIOError, LocalProtocolError, escaped
from rawsio.layer import record
from rawsio.lazy import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Times = tuple[tuple[str, ...], float, float, int]
    """All fields of :class:`Opened` but the id."""

    Packet = str | bytes

__all__ = [
    "OPEN",
    "CLOSE",
    "PING",
    "PONG",
    "MESSAGE",
    "UPGRADE",
    "NOOP",
    "SEPARATOR",
    "Opened",
    "Message",
    "Probed",
    "Upgraded",
    "check_sid",
    "encode_open",
    "open_packet",
    "decode_open",
    "encode_base64",
    "decode_base64",
    "encode_text",
    "check_separator",
    "encode_payload",
    "decode_payload",
]

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0123456"

SEPARATOR = "\x1e"
"""Stands between the packets of a payload, and therefore in no text that travels by polling."""

OPEN_PACKET_LENGTH = 16384
"""Longest open packet that a client reads: it holds five short values."""

_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_PADDING = (b"", b"=", b"==")
# Any visible character that needs no escape in JSON: a custom id may look as it likes.
_SID = Pattern(r"[!#-\[\]-~]{1,512}")


@record
class Opened:
    """The session exists: its id, what it may be upgraded to, and the server's settings.

    Times are seconds here and milliseconds on the wire; ``max_payload`` is the longest body in
    bytes that the server takes, 0 if it did not say.
    """

    sid: str
    upgrades: tuple[str, ...]
    ping_interval: float
    ping_timeout: float
    max_payload: int


@record
class Message:
    """One message of the application, text or binary."""

    data: str | bytes


@record
class Probed:
    """The candidate transport carries packets in both directions."""


@record
class Upgraded:
    """The session goes on over the candidate transport."""


def check_sid(sid: str) -> None:
    """Raise ``LocalProtocolError`` for a session id that cannot stand in the open packet."""
    if not isinstance(sid, str) or _SID.fullmatch(sid) is None:
        raise LocalProtocolError(
            "a session id (generate_id) is a str of visible ASCII without quote and backslash, 512"
            f" characters at most, not {escaped(sid) if isinstance(sid, str) else repr(sid)[:100]}"
        )


def encode_open(opened: Opened) -> str:
    """Return the open packet; raises ``LocalProtocolError`` for an id that JSON would escape.

    >>> encode_open(Opened("kS9", ("websocket",), 0.3, 20, 1000000))
    '0{"sid":"kS9","upgrades":["websocket"],"pingInterval":300,"pingTimeout":20000,"maxPayload":1000000}'
    """
    check_sid(opened.sid)
    times = opened.upgrades, opened.ping_interval, opened.ping_timeout, opened.max_payload
    return open_packet(opened.sid, times)


def open_packet(sid: str, times: Times) -> str:
    """Return the open packet for an id that is known to be one, and what is the same for many."""
    rest = _rests.get(times)
    if rest is None:
        if len(_rests) >= _MOST_RESTS:
            _rests.clear()
        rest = _rests[times] = _rest_of_open(*times)
    return f'0{{"sid":"{sid}",{rest}'


_MOST_RESTS = 64
_rests: dict[Times, str] = {}
"""What follows the id in open packets: the same for all sessions of a server."""


def _rest_of_open(upgrades: tuple[str, ...], interval: float, timeout: float, most: int) -> str:
    names = ",".join(f'"{name}"' for name in upgrades)
    return (
        f'"upgrades":[{names}],"pingInterval":{round(interval * 1000)},'
        f'"pingTimeout":{round(timeout * 1000)},"maxPayload":{most}}}'
    )


def decode_open(text: str) -> Opened:
    """Return what the open packet says, given without its digit.

    Raises ``EngineIOError`` unless it is an object with the fields of protocol 3 or 4, each of its
    type; fields that we do not know are ignored.

    >>> decode_open('{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":300}')
    Opened(sid='a', upgrades=(), ping_interval=25.0, ping_timeout=0.3, max_payload=0)
    """
    fields = _object(text)
    sid, upgrades = fields.get("sid"), fields.get("upgrades")
    if not isinstance(sid, str) or not _SID.fullmatch(sid) or not isinstance(upgrades, list):
        raise _bad_open(text)
    return Opened(
        sid,
        tuple(name for name in upgrades if isinstance(name, str)),
        _number(fields, "pingInterval", text) / 1000,
        _number(fields, "pingTimeout", text) / 1000,
        int(_number(fields, "maxPayload", text)) if "maxPayload" in fields else 0,
    )


def _bad_open(text: str) -> EngineIOError:
    return EngineIOError(
        f"an open packet should be an object with sid, upgrades and times, not {escaped(text)}",
        "engineio-v4-handshake-open",
    )


def _object(text: str) -> dict[str, Any]:
    # Nesting is counted before parsing, because the parser of json recurses.
    if len(text) > OPEN_PACKET_LENGTH or text.count("[") + text.count("{") > 50:
        raise _bad_open(text)
    try:
        import json

        value = json.loads(text)
    except ValueError:
        raise _bad_open(text) from None
    if not isinstance(value, dict):
        raise _bad_open(text)
    return value


def _number(fields: dict[str, Any], name: str, text: str) -> float:
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 2**53:
        raise _bad_open(text)
    return value


def encode_base64(data: bytes) -> str:
    r"""Return the base64 of RFC 4648 section 4, with padding.

    >>> encode_base64(b"\x01\x02\x03\x04")
    'AQIDBA=='
    """
    return b2a_base64(data, newline=False).decode("ascii")


def decode_base64(text: str) -> bytes:
    r"""Return the bytes; raises ``EngineIOError`` for anything but whole, padded base64.

    >>> decode_base64("AQIDBA==")
    b'\x01\x02\x03\x04'
    """
    # A pattern takes twenty times as long, and a megabyte of it would hold everybody up.
    data = text.encode() if text.isascii() else b"?"
    padding = data.translate(None, _BASE64)
    if len(data) % 4 or padding not in _PADDING or not data.endswith(padding):
        raise EngineIOError(
            f"a binary packet should be base64, not {escaped(text)}", "engineio-v4-payload-base64"
        )
    return a2b_base64(data)


def encode_text(text: str) -> bytes:
    """Return UTF-8; half a surrogate pair, which JavaScript can send, becomes U+FFFD.

    >>> encode_text("\\ud83d\\ude00 \\ud83d").decode()
    '😀 �'
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def check_separator(event: Any) -> None:
    """Raise ``LocalProtocolError`` for a message whose text cannot travel by polling."""
    if event.__class__ is Message and isinstance(event.data, str) and SEPARATOR in event.data:
        raise LocalProtocolError("text with U+001E cannot travel by polling")


def encode_payload(packets: Sequence[Any]) -> bytes:
    r"""Return the body of a poll or post with these packets.

    Besides packets there may be prepared ones, which bring their part along (``payload``).  Text
    with U+001E cannot be told from two packets: whoever queues packets for polling refuses it.

    >>> encode_payload(["40", "2"])
    b'40\x1e2'
    """
    if len(packets) == 1 and packets[0].__class__ is str:  # as nearly always
        return encode_text(packets[0])
    return encode_text(
        SEPARATOR.join(
            packet
            if packet.__class__ is str
            else "b" + encode_base64(packet)
            if packet.__class__ is bytes
            else packet.payload
            for packet in packets
        )
    )


def decode_payload(body: bytes, most: int) -> list[str]:
    r"""Return the packets in a body, as text: ``b...`` stands for a binary message.

    Raises ``EngineIOError`` if the body is not UTF-8 or has more than ``most`` packets.  What a
    packet says is not looked at, so that those before a bad one count.

    >>> decode_payload(b"4hello\x1ebAQIDBA==", 10)
    ['4hello', 'bAQIDBA==']
    """
    if body.count(b"\x1e") >= most:
        raise EngineIOError(f"a payload has more than {most} packets", "engineio-v4-payload-count")
    try:
        return body.decode().split(SEPARATOR)
    except UnicodeDecodeError:
        raise EngineIOError("a payload is not UTF-8", "engineio-v4-payload-utf8") from None
