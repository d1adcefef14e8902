r"""IP packets that were cut into fragments, put together again (RFC 791 section 3.2, RFC 8200 4.5).

A :class:`Fragments` takes the fragments of a capture, in whatever order, and gives the payload of a
packet when its last piece is there.  What is held is bounded; the packet that began first is given
up for another, and counted.  Of overlapping fragments the bytes that came first count.
"""

from __future__ import annotations

from rawsio.layer import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    Key = tuple[str, str, int, int]

__all__ = ["Fragment", "Fragments"]

PACKETS = 1000
"""Most packets that are put together at a time."""
LONGEST = 65_535
"""Longest packet, in bytes."""


@record
class Fragment:
    """A piece of a packet: which packet's, where it belongs, and whether more follow."""

    key: Key
    offset: int
    more: bool
    data: bytes


class Fragments:
    """The packets of which some fragments were seen.

    >>> held = Fragments()
    >>> held.add(Fragment(("a", "b", 7, 6), 8, False, b"..."))
    >>> held.add(Fragment(("a", "b", 7, 6), 0, True, b"12345678"))
    b'12345678...'
    """

    def __init__(self) -> None:
        self.given_up = 0
        """How many packets were given up before they were whole."""
        self._open: dict[Key, dict[int, Fragment]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, fragment: Fragment) -> bytes | None:
        """Take a fragment; return the payload of the packet that it completes."""
        pieces = self._open.setdefault(fragment.key, {})
        if fragment.offset + len(fragment.data) <= LONGEST:
            pieces.setdefault(fragment.offset, fragment)
        whole = _joined(pieces)
        if whole is not None:
            del self._open[fragment.key]
        elif len(self._open) > PACKETS:
            del self._open[next(iter(self._open))]
            self.given_up += 1
        return whole


def _joined(pieces: dict[int, Fragment]) -> bytes | None:
    """Return the payload, if no piece of it is missing."""
    if 0 not in pieces or all(piece.more for piece in pieces.values()):
        return None
    made = bytearray()
    for offset in sorted(pieces):
        if offset > len(made):
            return None
        piece = pieces[offset]
        made += piece.data[len(made) - offset :]
        if not piece.more:
            return bytes(made)
    return None
