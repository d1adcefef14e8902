"""The certificate of a client, from the worker that deciphers for it to the one that serves it.

It is what ``ssl.SSLSocket.getpeercert()`` gives: texts, numbers, and tuples of them in tuples.
"""

from __future__ import annotations

from rawsio.limits import DEFAULT
from rawsio.socketio.values import decode_value, encode_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["decode_certificate", "encode_certificate"]


def encode_certificate(certificate: dict[str, Any] | None) -> bytes:
    """Return a certificate as bytes; none are none.

    >>> shown = {"version": 3, "subject": ((("commonName", "a"),),)}
    >>> decode_certificate(encode_certificate(shown)) == shown
    True
    >>> encode_certificate(None), decode_certificate(b"")
    (b'', None)
    """
    return encode_plain(certificate).encode() if certificate else b""


def decode_certificate(data: bytes) -> dict[str, Any] | None:
    """Return the certificate in bytes, or ``None`` where there are none."""
    if not data:
        return None
    found: dict[str, Any] = decode_value(str(data, "utf-8"), 0, DEFAULT)
    return {name: _tuples(value) for name, value in found.items()}


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
