r"""TCP put together again from a capture: the byte stream of each direction, in order.

A capture holds segments as they passed: out of order, twice, overlapping, or not at all, because
the capture missed them.  A :class:`Direction` gives the stream's bytes once each and counts what
was odd.  A hole is filled by what comes later; it is declared missing when the peer acknowledges
bytes beyond it, when too much waits behind it, or when the capture ends.

Sequence numbers are 32 bits and wrap around; differences are taken modulo 2**32.
"""

from __future__ import annotations

from .transport import FIN, RST, SYN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .transport import Segment

__all__ = ["Direction", "WAITING"]

WAITING = 4_000_000
"""Most bytes that wait behind a hole."""
_SEGMENTS = 10_000


def _ahead(seq: int, base: int) -> int:
    """Return how far ``seq`` is ahead of ``base``; negative if it is behind."""
    return ((seq - base + 0x80000000) & 0xFFFFFFFF) - 0x80000000


class Direction:
    """What one side sends.

    :meth:`segment` and :meth:`acknowledged` return pieces in order: ``bytes`` of the stream, or
    ``int``, the size of a hole that the capture will not fill.
    """

    def __init__(self) -> None:
        self.next: int | None = None
        """The sequence number of the next byte of the stream."""
        self.base: int | None = None
        self.size = 0
        """Bytes of the stream so far."""
        self.segments = self.retransmitted = self.out_of_order = self.overlapping = 0
        self.missing = 0
        self.ended = self.reset = False
        self._held: dict[int, bytes] = {}
        self._held_size = 0
        self._end: int | None = None

    def segment(self, segment: Segment) -> list[bytes | int]:
        """Take a segment; return what of the stream it completes."""
        self.segments += 1
        seq, data = segment.seq, segment.data
        if segment.flags & SYN:
            seq = (seq + 1) & 0xFFFFFFFF
            if self.next is None:
                self.next = seq
        if self.next is None:
            self.next = seq
        if self.base is None:
            self.base = self.next
        if segment.flags & RST:
            self.reset = True
        if segment.flags & FIN:
            self._end = (seq + len(data)) & 0xFFFFFFFF
        pieces = self._take(seq, data) if data else []
        self._see_end()
        return pieces

    def _take(self, seq: int, data: bytes) -> list[bytes | int]:
        ahead = _ahead(seq, self.next or 0)
        if ahead > 0:
            self.out_of_order += 1
            if len(data) > len(self._held.get(seq, b"")):
                self._held_size += len(data) - len(self._held.get(seq, b""))
                self._held[seq] = data
            if self._held_size > WAITING or len(self._held) > _SEGMENTS:
                return self._skip()
            return []
        if -ahead >= len(data):
            self.retransmitted += 1
            return []
        if ahead < 0:
            self.overlapping += 1
        return [self._advance(data[-ahead:]), *self._release()]

    def _advance(self, data: bytes) -> bytes:
        self.next = ((self.next or 0) + len(data)) & 0xFFFFFFFF
        self.size += len(data)
        return data

    def _release(self) -> list[bytes | int]:
        """Return what was waiting for the bytes that came."""
        pieces: list[bytes | int] = []
        while self._held:
            seq = min(self._held, key=lambda held: _ahead(held, self.next or 0))
            ahead = _ahead(seq, self.next or 0)
            if ahead > 0:
                break
            data = self._held.pop(seq)
            self._held_size -= len(data)
            if -ahead < len(data):
                pieces.append(self._advance(data[-ahead:]))
        return pieces

    def _skip(self, upto: int | None = None) -> list[bytes | int]:
        """Give up the hole before what waits, or before ``upto``."""
        places = [_ahead(seq, self.next or 0) for seq in self._held]
        if upto is not None:
            places.append(upto)
        hole = min(places, default=0)
        if hole <= 0:
            return []
        self.next = ((self.next or 0) + hole) & 0xFFFFFFFF
        self.size += hole
        self.missing += hole
        return [hole, *self._release()]

    def acknowledged(self, ack: int) -> list[bytes | int]:
        """The peer has all before ``ack``: what of that was not captured will not be."""
        if self.next is None:
            return []
        pieces: list[bytes | int] = []
        while (ahead := _ahead(ack, self.next)) > (self._end is not None):
            skipped = self._skip(ahead - (self._end is not None))
            if not skipped:
                break
            pieces += skipped
        self._see_end()
        return pieces

    def finish(self) -> list[bytes | int]:
        """The capture is over: return what waits, with its holes."""
        pieces: list[bytes | int] = []
        while self._held:
            pieces += self._skip()
        self._see_end()
        return pieces

    def forget(self) -> None:
        """Give up what waits; the counts stay."""
        self._held.clear()
        self._held_size = 0

    def _see_end(self) -> None:
        if self._end is not None and self.next is not None and _ahead(self.next, self._end) >= 0:
            self.ended = True

    def oddities(self) -> list[str]:
        """Return what was odd, in words; empty for a capture without any."""
        counts = {
            "retransmitted": self.retransmitted,
            "out of order": self.out_of_order,
            "overlapping": self.overlapping,
        }
        found = [f"{count} {name}" for name, count in counts.items() if count]
        return [*found, f"{self.missing} bytes missing"] if self.missing else found
