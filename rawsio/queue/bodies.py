r"""Bodies of messages: as bytes in a store, as JSON on the wire, as values in Python.

A body is stored as the JSON text that Socket.IO sends, and behind it the bytes that stand in it as
attachments.  So a delivery to a client is the stored text with a head in front of it: nothing is
decoded and encoded again.

    plain    JSON text in UTF-8
    binary   00, number of attachments (1 byte), their lengths (4 bytes each), length of the text
             (4 bytes), the text, the attachments

JSON never begins with a zero byte, so the first byte tells them apart.
"""

from __future__ import annotations

from struct import pack, unpack_from

from rawsio.limits import DEFAULT
from rawsio.socketio.values import (
    HasBinary,
    check_attachments,
    check_depth,
    decode_value,
    encode_binary,
    encode_plain,
    fill_placeholders,
)

from .operations import STATES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from rawsio.limits import Limits

    from .operations import Row

__all__ = ["decode_body", "each_body", "encode_body", "pack_body", "parts_of", "shown"]


def encode_body(value: Any, limits: Limits = DEFAULT) -> bytes:
    r"""Return a value as the body of a message.

    Raises ``LocalProtocolError`` for what no peer with these limits could be sent.

    >>> encode_body({"pic": 7})
    b'{"pic":7}'
    >>> encode_body([b"ab"])[:11]
    b'\x00\x01\x00\x00\x00\x02\x00\x00\x00\x1f['
    """
    try:
        text = encode_plain(value)
    except HasBinary:
        text, attachments = encode_binary(value)
    else:
        if text.count("[") + text.count("{") > limits.json_depth:
            check_depth(text, limits)
        return text.encode()
    check_depth(text, limits)
    check_attachments((text, *attachments), limits)
    return pack_body(text.encode(), attachments)


def each_body(bodies: Any) -> Iterable[Any]:
    """Return several bodies; ``TypeError`` for one that only looks like several.

    >>> each_body("letters")
    Traceback (most recent call last):
    TypeError: publish_many: a list of bodies is expected, not 'letters'
    """
    several = hasattr(type(bodies), "__iter__")
    if not several or isinstance(bodies, (str, bytes, dict)):
        raise TypeError(f"publish_many: a list of bodies is expected, not {bodies!r}")
    given: Iterable[Any] = bodies
    return given


def pack_body(text: bytes, attachments: tuple[bytes, ...]) -> bytes:
    """Return the stored form of JSON text in UTF-8 and its attachments."""
    lengths = [len(attachment) for attachment in attachments]
    head = pack(f">BB{len(lengths)}II", 0, len(lengths), *lengths, len(text))
    return b"".join((head, text, *attachments))


def parts_of(body: bytes) -> tuple[str, tuple[bytes, ...]]:
    """Return the JSON text of a body, and its attachments.

    >>> parts_of(encode_body({"a": [b"12", b"3"]}))[1]
    (b'12', b'3')
    """
    if body[:1] != b"\0":
        return str(body, "utf-8"), ()
    count = body[1]
    *lengths, size = unpack_from(f">{count}II", body, 2)
    at = 2 + 4 * (count + 1)
    text = str(body[at : at + size], "utf-8")
    at += size
    attachments = []
    for length in lengths:
        attachments.append(bytes(body[at : at + length]))
        at += length
    return text, tuple(attachments)


def decode_body(body: bytes, limits: Limits = DEFAULT) -> Any:
    """Return the value of a body.

    >>> decode_body(encode_body({"pic": [b"12"]}))
    {'pic': [b'12']}
    """
    text, attachments = parts_of(body)
    if not attachments:
        return decode_value(text, 0, limits)
    return decode_value(text, 0, limits, fill_placeholders(list(attachments), limits))


def shown(row: Row, limits: Limits = DEFAULT) -> dict[str, Any]:
    """Return a message as those see it who look at a queue; times in seconds since 1970."""
    return {
        "id": row.id,
        "state": STATES[row.state],
        "body": decode_body(row.body, limits),
        "deliveries": row.deliveries,
        "published": row.published / 1000,
        "priority": row.priority,
        "due": row.due / 1000 if row.due else None,
        "expires": None if row.expires is None else row.expires / 1000,
        "group": row.group,
        "key": row.key,
        "error": row.error,
    }
