"""Addresses as people write them, and the checksum that IP, TCP and UDP share.

Nothing here asks the system: an address of a capture is not looked up.
"""

from __future__ import annotations

__all__ = ["address_text", "checksum"]


def address_text(raw: bytes) -> str:
    """Return an address of 4, 6 or 16 bytes as people write it.

    >>> address_text(bytes([127, 0, 0, 1])), address_text(bytes(15) + b"\\x01")
    ('127.0.0.1', '::1')
    """
    if len(raw) == 4:
        return ".".join(map(str, raw))
    if len(raw) != 16:
        return raw.hex(":")
    groups = [f"{raw[at] << 8 | raw[at + 1]:x}" for at in range(0, 16, 2)]
    # The longest run of zeros, the first of equals, is left out (RFC 5952).
    runs = [
        (n, at) for at in range(8) for n in range(2, 9 - at) if groups[at : at + n] == ["0"] * n
    ]
    if not runs:
        return ":".join(groups)
    size, at = max(runs, key=lambda run: (run[0], -run[1]))
    return ":".join(groups[:at]) + "::" + ":".join(groups[at + size :])


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071); 0 for data that has its own right one in it.

    >>> checksum(bytes.fromhex("0001f203f4f5f6f7"))
    8717
    """
    if len(data) % 2:
        data += b"\0"
    # A sum of 16-bit words in one's complement is the number modulo 65535.
    total = int.from_bytes(data, "big")
    rest = total % 0xFFFF
    return ~(rest or (0xFFFF if total else 0)) & 0xFFFF
