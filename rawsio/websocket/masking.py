"""Masking (RFC 6455 section 5.3): payload byte i is combined with byte i mod 4 of the key.

Python has no fast loop over bytes, but two things in C that come near to one:

- arithmetic on integers of any size.  A payload, read as one integer, is masked by a single XOR
  with the key repeated to the same length.  Short frames, which are nearly all frames, take the
  repeated key from a multiplication with a tabled 0x...00000001_00000001;
- ``bytes.translate``.  Every fourth byte is masked with the same byte of the key, which is a table
  of 256.  Four slices, each translated and put back, cost more to begin with and a third less for
  each byte: an integer is made of digits of 30 bits, into which and out of which bytes have to be
  shifted.

Masking and unmasking are the same operation.  A loop over bytes would take dozens of times longer.
"""

from __future__ import annotations

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

LONG = 1536
"""Payloads from so many bytes on are masked by tables."""

_EVERY_BYTE = bytes(range(256))


class _Tables(dict[int, bytes]):
    """By byte of a key: what each byte becomes under it."""

    def __missing__(self, byte: int) -> bytes:
        table = self[byte] = mask(_EVERY_BYTE, bytes((byte,)) * 4)
        return table


_TABLES = _Tables()


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
    for at in range(4):
        masked[at::4] = masked[at::4].translate(_TABLES[key[at]])
    return bytes(masked)


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


# Of others those that come first.
_FACTORS: dict[int, tuple[int, int]] = {}
_MOST_FACTORS = 256


def unmask_behind_key(data: bytes, at: int, size: int) -> bytes:
    r"""Return four zeros and the payload of a frame whose key is at ``at``, before ``size`` bytes.

    Key and payload are read as one integer, and the key, masked with itself, becomes the zeros.

    >>> unmask_behind_key(bytes.fromhex("8185 37fa213d 7f9f4d5158"), 2, 5)
    b'\x00\x00\x00\x00Hello'
    """
    if size >= LONG:
        return b"\0\0\0\0" + mask(data[at + 4 : at + 4 + size], data[at : at + 4])
    factors = _FACTORS.get(size)
    if factors is None:
        factors = _factor(size)
        if len(_FACTORS) < _MOST_FACTORS:
            _FACTORS[size] = factors
    times, ones = factors
    number = int.from_bytes(data[at : at + 4 + size], "little")
    return (number ^ (number & 0xFFFFFFFF) * times & ones).to_bytes(size + 4, "little")


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
