r"""A bad network, for one connection: later, slower, in small pieces, cut, reset, stalled.

TCP hides what a network does to packets; what is left of it is time and the end.  A :class:`Line`
is one direction: bytes are put in and come out in order, when their time has come.
:class:`Fate` is what happens to a connection once.  Both are functions of a seed, so a run can be
had again.

==============  ==========================================================================
``delay``       seconds that bytes are late, and by how many they vary
``rate``        bytes a second
``split``       most bytes in one write
``cut``         the connection is closed after so many bytes
``reset``       the chance, 0 to 1, that it is reset at its start
``stall``       seconds for which nothing passes, once, at a random one of the first bytes
==============  ==========================================================================
"""

from __future__ import annotations

from collections import deque

from rawsio.layer import record
from rawsio.lazy import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from random import Random

__all__ = ["Badness", "Fate", "Line", "parse_chance", "parse_delay", "parse_seconds", "parse_size"]

STALL_WITHIN = 10_000
"""The stall comes at one of the first so many bytes."""
_SLICE = 0.05
"""Seconds of a rate that pass in one piece."""

_SECONDS = Pattern(r"([0-9]+(?:\.[0-9]+)?)(ms|s|)")
_SIZE = Pattern(r"([0-9]+(?:\.[0-9]+)?) ?([kKmM]?)(?:i?[bB])?(?:/s)?")


@record
class Badness:
    """How bad the network is; ``delay``, ``rate`` and ``split`` for each direction, up and down."""

    delay: tuple[float, float] = (0.0, 0.0)
    jitter: tuple[float, float] = (0.0, 0.0)
    rate: tuple[float, float] = (0.0, 0.0)
    split: tuple[int, int] = (0, 0)
    cut: int = 0
    reset: float = 0.0
    stall: float = 0.0
    seed: int = 0

    @property
    def any(self) -> bool:
        """Whether it is bad at all.

        >>> Badness().any, Badness(split=(0, 1)).any
        (False, True)
        """
        plain = Badness(seed=self.seed)
        return self != plain


def parse_seconds(text: str) -> float:
    """Return seconds.

    >>> parse_seconds("200ms"), parse_seconds("5s"), parse_seconds("1.5")
    (0.2, 5.0, 1.5)
    """
    found = _SECONDS.fullmatch(text)
    if not found:
        raise ValueError(f"a time looks like 200ms or 5s, not {text!r}")
    return float(found[1]) / (1000 if found[2] == "ms" else 1)


def parse_delay(text: str) -> tuple[float, float]:
    """Return a delay and by how much it varies.

    >>> parse_delay("200ms±50"), parse_delay("0.2s+-100ms"), parse_delay("5ms")
    ((0.2, 0.05), (0.2, 0.1), (0.005, 0.0))
    """
    delay, _, jitter = text.replace("+-", "±").partition("±")
    if jitter and delay.endswith("ms") and not jitter.endswith("s"):
        jitter += "ms"
    return parse_seconds(delay), parse_seconds(jitter) if jitter else 0.0


def parse_size(text: str) -> int:
    """Return bytes, or bytes a second; k is 1000, M a million.

    >>> parse_size("64k"), parse_size("10kB"), parse_size("1.5M"), parse_size("7")
    (64000, 10000, 1500000, 7)
    """
    found = _SIZE.fullmatch(text)
    if not found:
        raise ValueError(f"a size looks like 64k or 10kB, not {text!r}")
    return int(float(found[1]) * {"": 1, "k": 1000, "m": 10**6}[found[2].lower()])


def parse_chance(text: str) -> float:
    """Return a chance.

    >>> parse_chance("1%"), parse_chance("0.5")
    (0.01, 0.5)
    """
    try:
        chance = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        chance = -1.0
    if not 0 <= chance <= 1:
        raise ValueError(f"a chance looks like 1%, not {text!r}")
    return chance


class Line:
    """One direction: ``put`` bytes in, ``take`` them out when ``deadline`` has come.

    ``direction`` is 0 for what the client sends, 1 for what the server sends.
    """

    def __init__(self, badness: Badness, direction: int, random: Random) -> None:
        self.held = 0
        """Bytes that are under way."""
        self._delay = badness.delay[direction]
        self._jitter = badness.jitter[direction]
        self._rate = badness.rate[direction]
        self._split = badness.split[direction]
        self._random = random
        self._queue: deque[tuple[float, bytes | None]] = deque()
        self._last = 0.0

    def put(self, now: float, data: bytes | None) -> None:
        """Send bytes, or ``None`` for the end."""
        late = self._delay
        if self._jitter:
            late += self._random.uniform(-self._jitter, self._jitter)
        at = max(now + max(late, 0.0), self._last)
        pieces: list[bytes | None] = [None] if data is None else list(self._cut(data))
        for piece in pieces:
            size = len(piece or b"")
            if self._rate:
                at += size / self._rate
            self._queue.append((at, piece))
            self.held += size
        self._last = at

    def _cut(self, data: bytes) -> list[bytes]:
        size = self._split or len(data) or 1
        if self._rate:
            size = max(1, min(size, int(self._rate * _SLICE)))
        return [data[at : at + size] for at in range(0, len(data), size)]

    @property
    def deadline(self) -> float | None:
        """When something comes out; ``None`` if nothing is under way."""
        return self._queue[0][0] if self._queue else None

    def take(self, now: float) -> list[bytes | None]:
        """Return what has come by now; of what is split one piece, since each is a write."""
        taken: list[bytes | None] = []
        while self._queue and self._queue[0][0] <= now:
            piece = self._queue.popleft()[1]
            self.held -= len(piece or b"")
            taken.append(piece)
            if self._split:
                break
        return taken


class Fate:
    """What happens once to a connection, decided when it begins."""

    def __init__(self, badness: Badness, random: Random) -> None:
        self.reset = random.random() < badness.reset
        """Whether it is reset at its start."""
        self.stall_at = random.randrange(STALL_WITHIN) if badness.stall else -1
        self._cut = badness.cut
        self._passed = 0

    def admit(self, size: int) -> int:
        """Count bytes that are to pass; return how many still may before the cut."""
        if not self._cut:
            self._passed += size
            return size
        left = max(self._cut - self._passed, 0)
        self._passed += size
        return min(size, left)

    @property
    def cut(self) -> bool:
        """Whether the connection is to be closed now."""
        return bool(self._cut) and self._passed >= self._cut

    @property
    def stalls(self) -> bool:
        """Whether it is to stall now; once."""
        if 0 <= self.stall_at < self._passed:
            self.stall_at = -1
            return True
        return False
