r"""What some bytes or some text may be: the readings that fit, the likeliest first.

A reading *fits* if nothing in it is wrong, missing or left over.  Text is tried as packet text
first, then as hexadecimal, then as base64; bytes by their first ones.  If no reading fits, the one
that comes nearest is given, so that its mistake is explained.
"""

from __future__ import annotations

from binascii import Error, a2b_base64

from rawsio.layer import Role, record
from rawsio.lazy import Pattern

from .dns import explain_dns
from .engineio import explain_engineio, explain_payload
from .fields import Field, walk
from .http import explain_http
from .json_tree import explain_json
from .network import explain_link
from .socketio import explain_msgpack, explain_socketio
from .tls import explain_tls
from .websocket import explain_websocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rawsio.websocket.deflate import Agreement

__all__ = ["KINDS", "Reading", "explain_as", "forms", "readings"]

KINDS = {
    "packet": "an Engine.IO packet, with what it carries",
    "message": "a Socket.IO packet",
    "payload": "the body of an Engine.IO poll or post",
    "payload3": "the same in protocol 3",
    "packet3": "an Engine.IO packet in protocol 3",
    "http": "HTTP/1.1: heads and bodies of one side",
    "frames": "WebSocket frames of one side",
    "msgpack": "a Socket.IO packet in MessagePack",
    "json": "JSON",
    "tls": "TLS records of one side",
    "dns": "a DNS message",
    "ethernet": "an Ethernet frame",
    "ip": "an IPv4 or IPv6 packet",
}
"""Name of a kind -> what it is."""

_HEX = Pattern(r"(?:0x)?[0-9A-Fa-f]{2}(?:[ :\n\r\t]*[0-9A-Fa-f]{2})*")
_BASE64 = Pattern(
    r"(?:[A-Za-z0-9+/]{4})+|(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)"
)
_HTTP = Pattern(rb"(?:[A-Z]{3,20} [!-~]+ HTTP/|HTTP/[0-9])")
_CONTROLS = ("1", "2", "3", "5", "6", "2probe", "3probe")


@record
class Reading:
    """One way to understand what was given: as ``kind``, written as ``form``."""

    kind: str
    form: str
    tree: Field
    fits: bool


def explain_as(
    kind: str, data: bytes, sender: Role | None = None, deflate: Agreement | None = None
) -> Field:
    """Return the tree of bytes as one of :data:`KINDS`.

    >>> explain_as("packet", b"40").value
    'message: CONNECT to /'
    """
    if kind == "frames":
        masked = len(data) > 1 and data[1] >= 0x80
        likely = Role.CLIENT if masked else Role.SERVER
        return explain_websocket(data, sender or likely, deflate=deflate, inside=_inside)
    if kind == "http":
        likely = Role.SERVER if data[:5] == b"HTTP/" else Role.CLIENT
        return explain_http(data, sender or likely)
    if kind in ("packet", "packet3"):
        revision = 4 if kind == "packet" else 3
        return explain_engineio(_text(data), sender=sender, revision=revision)
    if kind in ("payload", "payload3"):
        return explain_payload(data, sender=sender, revision=4 if kind == "payload" else 3)
    return _PLAIN[kind](data)


_PLAIN: dict[str, Callable[[bytes], Field]] = {
    "message": lambda data: explain_socketio(_text(data)),
    "msgpack": explain_msgpack,
    "json": explain_json,
    "tls": explain_tls,
    "dns": explain_dns,
    "ethernet": lambda data: explain_link(data, 1).tree,
    "ip": lambda data: explain_link(data, 101).tree,
}


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _inside(message: str | bytes) -> Field | None:
    """Explain a message of a WebSocket of which nothing is known, if it looks like something."""
    kinds = _textual(message.encode("utf-8", "replace")) if isinstance(message, str) else []
    wanted = [kind for kind in kinds if kind in ("packet", "json")]
    return explain_as(wanted[0], str(message).encode()) if wanted else None


def forms(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield how a text may be meant, and the bytes that it then stands for.

    >>> dict(forms("4142"))
    {'text': b'4142', 'hex': b'AB', 'base64': b'\\xe3^6'}
    """
    yield "text", text.encode("utf-8", "surrogatepass")
    stripped = text.strip(" \r\n\t")
    if _HEX.fullmatch(stripped):
        digits = stripped.removeprefix("0x").translate({ord(c): None for c in " :\r\n\t"})
        yield "hex", bytes.fromhex(digits)
    compact = stripped.replace("\n", "").replace("\r", "")
    if _BASE64.fullmatch(compact):
        try:
            yield "base64", a2b_base64(compact)
        except Error:
            return


def readings(given: str | bytes) -> list[Reading]:
    """Return the readings that fit, the likeliest first; the nearest one if none does.

    >>> [(reading.kind, reading.form) for reading in readings('42["hi"]')]
    [('packet', 'text')]
    >>> [(reading.kind, reading.form) for reading in readings("8900")]
    [('frames', 'hex')]
    """
    written = forms(given) if isinstance(given, str) else iter((("bytes", given),))
    found: list[Reading] = []
    for form, data in written:
        kinds = _textual(data) if form == "text" else _binary(data)
        found += [_reading(kind, form, data) for kind in kinds]
    fitting = [reading for reading in found if reading.fits]
    return fitting or found[:1] or [_last(given)]


def _reading(kind: str, form: str, data: bytes) -> Reading:
    tree = explain_as(kind, data)
    return Reading(kind, form, tree, _fits(tree))


def _fits(tree: Field) -> bool:
    return not any(
        field.wrong
        or field.name == "rest"
        or field.meaning.startswith(("not whole", "not closed", "cut short", "more bytes"))
        for field in walk(tree)
    )


def _last(given: str | bytes) -> Reading:
    """Return the reading of what looks like nothing: as packet text, or as frames."""
    if isinstance(given, str):
        kind = "json" if given[:1] in ("{", "[") else "packet"
        return _reading(kind, "text", given.encode("utf-8", "surrogatepass"))
    return _reading("frames", "bytes", given)


def _textual(data: bytes) -> list[str]:
    """Return what a text may be, by its first characters."""
    if _HTTP.match(data):
        return ["http"]
    if b"\x1e" in data:
        return ["payload"]
    text = data.decode("utf-8", "replace")
    kinds = []
    if text in _CONTROLS or text[:2] == "0{" or (text[:1] == "4" and text[1:2] in tuple("0123456")):
        kinds.append("packet")
    if text[:1] in tuple("0123456"):
        kinds.append("message")
    if text[:1] in ("{", "["):
        kinds.append("json")
    return kinds


def _binary(data: bytes) -> list[str]:
    """Return what bytes may be, by their first ones."""
    kinds: list[str] = []
    if not data:
        return kinds
    if _HTTP.match(data):
        return ["http"]
    if data[0] in (20, 21, 22, 23) and data[1:2] == b"\x03":
        kinds.append("tls")
    if data[0] >> 4 in (4, 6) and _is_ip(data):
        kinds.append("ip")
    if data[12:14] in (b"\x08\x00", b"\x86\xdd") and _is_ip(data[14:]):
        kinds.append("ethernet")
    if data[0] & 0x0F in (0, 1, 2, 8, 9, 10):
        kinds.append("frames")
    if data[0] >> 4 == 8 or data[0] in (0xDE, 0xDF):
        kinds.append("msgpack")
    try:
        data.decode("ascii")
    except UnicodeDecodeError:
        return kinds
    return _textual(data) + kinds


def _is_ip(data: bytes) -> bool:
    if len(data) >= 20 and data[0] >> 4 == 4:
        return 20 <= int.from_bytes(data[2:4], "big") <= len(data)
    return (
        len(data) >= 40 and data[0] >> 4 == 6 and int.from_bytes(data[4:6], "big") + 40 <= len(data)
    )
