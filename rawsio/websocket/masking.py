"""Masking (RFC 6455 section 5.3): payload byte i is combined with byte i mod 4 of the key.

Python has no fast loop over bytes, but two things in C that come near to one:

- arithmetic on integers of any size.  A payload, read as one integer, is masked by a single XOR
  with the key repeated to the same length.  Frames that are not long, which are nearly all frames,
  take the repeated key from a multiplication with a tabled 0x...00000001_00000001;
- ``bytearray.translate``.  Every fourth byte is masked with the same byte of the key, which is a
  table of 256.  Four slices, each translated and put back, cost more to begin with and a third less
  for each byte: an integer is made of digits of 30 bits, into which and out of which bytes have to
  be shifted.  (Slices of a ``bytes`` would do, but its ``translate`` looks whether anything has
  changed, which costs as much as all the rest.)

Masking and unmasking are the same operation.  A loop over bytes would take dozens of times longer.
"""

from __future__ import annotations

import sys

__all__ = [
    "SHORT",
    "LONG",
    "FACTORS",
    "mask",
    "unmask_behind_key",
    "unmask_short",
    "rotated",
]

SHORT = 125
"""Payloads up to this many bytes have a one byte length, and their tables are kept."""

LONG = 768 if sys.version_info >= (3, 11) else 4096
"""Payloads from so many bytes on are masked by tables."""

_EVERY_BYTE = bytes(range(256))


_TABLES: list[bytes] = []
"""By byte of a key: what each byte becomes under it.  They are made for the first long payload."""


def mask(data: bytes | bytearray | memoryview, key: bytes) -> bytes:
    """Return ``data`` masked, or unmasked, with the four bytes of ``key``.

    >>> mask(b"Hello", bytes.fromhex("37fa213d")).hex()
    '7f9f4d5158'
    """
    size = len(data)
    if key == b"\0\0\0\0":
        return bytes(data)
    if size < LONG:
        pad = (key * (size // 4 + 1))[:size]
        number = int.from_bytes(data, "little") ^ int.from_bytes(pad, "little")
        return number.to_bytes(size, "little")
    masked = bytearray(data)
    _translate(masked, key)
    return bytes(masked)


_FIRSTS, _SECONDS, _THIRDS, _FOURTHS = (slice(at, None, 4) for at in range(4))


def _translate(data: bytearray, key: bytes) -> None:
    """Mask a long payload in place; written out, as a loop costs as much as 300 bytes."""
    if not _TABLES:
        _TABLES.extend(mask(_EVERY_BYTE, bytes((byte,)) * 4) for byte in range(256))
    one, two, three, four = key
    data[_FIRSTS] = data[_FIRSTS].translate(_TABLES[one])
    data[_SECONDS] = data[_SECONDS].translate(_TABLES[two])
    data[_THIRDS] = data[_THIRDS].translate(_TABLES[three])
    data[_FOURTHS] = data[_FOURTHS].translate(_TABLES[four])


def _factor(size: int) -> tuple[int, int]:
    """Return what times a key is the key repeated over itself and ``size`` bytes, and a mask.

    The product may go beyond: ``and`` it with the mask.

    >>> times, ones = _factor(5)
    >>> (0xA1B2C3D4 * times & ones).to_bytes(9, "little").hex()
    'd4c3b2a1d4c3b2a1d4'
    """
    ones = (1 << 8 * size + 32) - 1
    return int.from_bytes(b"\1\0\0\0" * (size // 4 + 2), "little") & ones, ones


FACTORS = [_factor(size) for size in range(SHORT + 1)]
"""For short payloads: what times a key is the key repeated over itself and them, and a mask."""


# The same for payloads that are not long, by how many times four bytes they are with their key.
# What is unmasked goes up to three bytes beyond, and is cut off: so few factors are enough.
_FACTORS_OF_WORDS = [0] * (LONG // 4 + 2)


def unmask_behind_key(data: bytes, at: int, size: int) -> bytes:
    r"""Return four zeros and the payload of a frame whose key is at ``at``, before ``size`` bytes.

    Key and payload are read as one integer, and the key, masked with itself, becomes the zeros.

    >>> unmask_behind_key(bytes.fromhex("8185 37fa213d 7f9f4d5158"), 2, 5)
    b'\x00\x00\x00\x00Hello'
    """
    if size >= LONG:
        both = bytearray(data[at : at + 4 + size])
        _translate(both, data[at : at + 4])
        return bytes(both)
    words = (size + 7) >> 2
    times = _FACTORS_OF_WORDS[words]
    if not times:
        times = _FACTORS_OF_WORDS[words] = int.from_bytes(b"\1\0\0\0" * words, "little")
    number = int.from_bytes(data[at : at + 4 * words], "little")
    number ^= (number & 0xFFFFFFFF) * times
    return number.to_bytes(4 * words, "little")[: size + 4]


def unmask_short(data: bytes, at: int, size: int) -> bytes:
    """Return the payload of a short frame whose mask key is at ``at``, before ``size`` bytes.

    >>> unmask_short(bytes.fromhex("8185 37fa213d 7f9f4d5158"), 2, 5)
    b'Hello'
    """
    number = int.from_bytes(data[at : at + 4 + size], "little")
    times, ones = FACTORS[size]
    return (number ^ (number & 0xFFFFFFFF) * times & ones).to_bytes(size + 4, "little")[4:]


def rotated(key: bytes, count: int) -> bytes:
    """Return the key for the payload that follows the first ``count`` bytes.

    >>> rotated(b"abcd", 5)
    b'bcda'
    """
    turn = count & 3
    return key[turn:] + key[:turn]
