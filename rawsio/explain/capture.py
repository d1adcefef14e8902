r"""Capture files: pcap and pcapng, read packet by packet from anything that has ``read``.

Both byte orders, microseconds and nanoseconds, several sections and interfaces; blocks of other
kinds are skipped, a comment of a packet is kept.  A file that is cut, or whose lengths lie, gives
the packets before that and raises :class:`BadCapture` with the place.  At most one packet of at
most :data:`LONGEST` bytes is held.

Sources: the drafts "PCAP Capture File Format" and "PCAP Next Generation Capture File Format" of the
IETF's opsawg.
"""

from __future__ import annotations

from struct import Struct

from rawsio.layer import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["BadCapture", "Captured", "is_capture", "read_capture"]

LONGEST = 1 << 24
"""Longest packet or block, in bytes."""

_SECTION, _INTERFACE, _SIMPLE, _PACKET = 0x0A0D0D0A, 1, 3, 6
_PCAP = {
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\x3c\x4d": (">", 1),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
}


class BadCapture(Exception):
    """The file is no capture, or breaks off; the message says where."""


@record
class Captured:
    """A packet: its number from 1, nanoseconds since 1970, link type, bytes, length on the wire."""

    number: int
    time: int
    link: int
    data: bytes
    original: int
    comment: str = ""


def is_capture(start: bytes) -> bool:
    """Say whether a file that begins so is a capture.

    >>> is_capture(b"\\xd4\\xc3\\xb2\\xa1"), is_capture(b"42[]")
    (True, False)
    """
    return start[:4] in _PCAP or start[:4] == b"\x0a\x0d\x0d\x0a"


def read_capture(read: Callable[[int], bytes]) -> Iterator[Captured]:
    """Yield the packets of a capture; ``read(n)`` gives ``n`` bytes, fewer at the end only.

    Raises ``BadCapture``.
    """
    source = _Source(read)
    magic = source.take(4, "the first four bytes")
    if magic in _PCAP:
        yield from _read_pcap(source, *_PCAP[magic])
    elif magic == b"\x0a\x0d\x0d\x0a":
        yield from _Sections(source).packets()
    else:
        raise BadCapture(f"this is no pcap or pcapng file: it begins with {magic.hex(' ')}")


class _Source:
    """Reads exactly; knows where it is."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.at = 0

    def take(self, size: int, what: str) -> bytes:
        """Return ``size`` bytes."""
        data = self._read(size)
        if len(data) < size:
            raise BadCapture(
                f"the file ends at byte {self.at + len(data)}, in the middle of {what}"
            )
        self.at += size
        return data

    def more(self, size: int, what: str) -> bytes | None:
        """Return ``size`` bytes, or ``None`` if the file ends before the first of them."""
        first = self._read(1)
        if not first:
            return None
        self.at += 1
        return first + self.take(size - 1, what)


def _read_pcap(source: _Source, order: str, unit: int) -> Iterator[Captured]:
    link = Struct(order + "16xI").unpack(source.take(20, "the file header"))[0] & 0x0FFFFFFF
    head = Struct(order + "IIII")
    number = 0
    while (raw := source.more(16, "a packet header")) is not None:
        seconds, part, size, original = head.unpack(raw)
        number += 1
        if size > LONGEST:
            raise BadCapture(f"packet {number} at byte {source.at - 16} claims {size} bytes")
        data = source.take(size, f"packet {number}")
        yield Captured(number, seconds * 10**9 + part * unit, link, data, original)


class _Sections:
    """The blocks of a pcapng file."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._order = "<"
        self._interfaces: list[tuple[int, int, int]] = []  # link, units a second, snap length
        self._number = 0

    def packets(self) -> Iterator[Captured]:
        """Yield the packets; the type of the first block was read."""
        raw: bytes | None = b"\x0a\x0d\x0d\x0a"
        while raw is not None:
            made = self._block(raw)
            if made is not None:
                yield made
            raw = self._source.more(4, "a block")

    def _block(self, raw: bytes) -> Captured | None:
        source, start = self._source, self._source.at - 4
        if raw == b"\x0a\x0d\x0d\x0a":
            size_raw = source.take(4, "a section header")
            magic = source.take(4, "a section header")
            orders = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
            if magic not in orders:
                raise BadCapture(f"the section at byte {start} has no byte order")
            self._order = orders[magic]
            self._interfaces = []
            size, read = Struct(self._order + "I").unpack(size_raw)[0], 12
        else:
            size, read = Struct(self._order + "I").unpack(source.take(4, "a block"))[0], 8
        if size % 4 or not read + 4 <= size <= LONGEST:
            raise BadCapture(f"the block at byte {start} claims {size} bytes")
        body = source.take(size - read, "a block")[:-4]
        kind = Struct(self._order + "I").unpack(raw)[0]
        if kind == _INTERFACE and len(body) >= 8:
            self._interface(body)
        elif kind == _PACKET and len(body) >= 20:
            return self._packet(body, start)
        elif kind == _SIMPLE and len(body) >= 4:
            return self._simple(body, start)
        return None

    def _interface(self, body: bytes) -> None:
        link, _, snap = Struct(self._order + "HHI").unpack(body[:8])
        units = 10**6
        for code, value in self._options(body[8:]):
            if code == 9 and value:
                exponent = value[0] & 0x7F
                units = 2 ** min(exponent, 64) if value[0] >> 7 else 10 ** min(exponent, 19)
        self._interfaces.append((link, units, snap))

    def _packet(self, body: bytes, start: int) -> Captured:
        interface, high, low, size, original = Struct(self._order + "IIIII").unpack(body[:20])
        self._number += 1
        if interface >= len(self._interfaces) or size > len(body) - 20:
            raise BadCapture(f"packet {self._number} at byte {start} does not fit its block")
        link, units, _ = self._interfaces[interface]
        time = ((high << 32 | low) * 10**9) // units
        comment = ""
        for code, value in self._options(body[20 + (size + 3) // 4 * 4 :]):
            if code == 1:
                comment = value.decode("utf-8", "replace")
        return Captured(self._number, time, link, body[20 : 20 + size], original, comment)

    def _simple(self, body: bytes, start: int) -> Captured:
        original = Struct(self._order + "I").unpack(body[:4])[0]
        self._number += 1
        if not self._interfaces:
            raise BadCapture(f"packet {self._number} at byte {start} has no interface")
        link, _, snap = self._interfaces[0]
        size = min(original, snap or original, len(body) - 4)
        return Captured(self._number, 0, link, body[4 : 4 + size], original)

    def _options(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        head = Struct(self._order + "HH")
        at = 0
        while at + 4 <= len(data):
            code, size = head.unpack_from(data, at)
            if not code:
                return
            yield code, data[at + 4 : at + 4 + size]
            at += 4 + (size + 3) // 4 * 4
