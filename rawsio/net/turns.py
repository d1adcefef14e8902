"""Who takes long: how a connection pays for the time that it takes, and waits for the others.

How long a share of work took is measured.  A connection that took an eighth of all the time lately
is *heavy*: it is read and ticked only in turns of its own, after everybody else.  Where several
are, each has to do without for as much longer.  A read that took long makes the next ones smaller;
after it, the other connections of that turn are read in sips, or wait if a share of theirs took
long before, or if they are new.

The queues that they wait in are the driver's (:mod:`rawsio.net.driver`).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .driver import Driver

__all__ = ["SHORT", "TurnTaker", "fitting"]

SHORT = 0.0005
"""Seconds of work that nobody minds, however often."""
_EIGHTH = 8.0
"""How many times what it took a stream has to do without, to count as a light one."""
_LONGEST_DEBT = 1.0
"""The most seconds for which a stream is heavy after its last share."""
_LARGEST_RECEIVE = 262144  # asked of the kernel once a read came back full: a bulk transfer
_SMALLEST_RECEIVE = 2048  # and when reads take long


def fitting(data: bytes, most: int) -> bytes:
    """Return what was read, in a block of its own length.

    Read in pieces, a message grows above the block that its last piece was read into.  Cut down
    from ``most`` that block would leave a hole below, which no later read fits into.
    """
    return data if len(data) == most else bytes(memoryview(data))


class TurnTaker:
    """What a stream knows of the time that it took; see the module.

    The driver calls ``go_on`` of one that waits, when it is its turn.
    """

    __slots__ = ("driver", "heavy", "_size", "_dear", "_light_at", "_waits_since")

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.heavy = False
        """Whether it took so much time lately that all others come before it."""
        # How much is read at a time.
        self._size = driver.limits.receive_size
        # Whether a share of it ever took long; nobody knows that of a newcomer.
        self._dear = False
        # When it has made up for what it took, or when it came.
        self._light_at = driver.time()
        self._waits_since = 0.0

    def _listen_anew(self) -> None:
        """Have the loop call what is to be called now, as it has become heavy."""
        raise NotImplementedError

    def readable(self, most: int = 0) -> int:
        """Read once."""
        raise NotImplementedError

    def _queue_up(self) -> None:
        """Be readable while heavy: wait for a turn, or be light again."""
        if self._is_light():
            self._listen_anew()
            self.readable()
        else:
            self._wait()

    def _wait(self) -> None:
        if not self._waits_since:
            self._waits_since = self.driver.time()
            self.driver.wait(self)

    def _end_wait(self) -> float:
        """Take the turn that was waited for; return the time."""
        since, self._waits_since = self._waits_since, 0.0
        now = self.driver.time()
        self._light_at += now - since  # who waits for the others does not do without
        return now

    def _may_be_long(self) -> bool:
        """Return whether a read may take long, as one did, or because nobody knows yet."""
        driver = self.driver
        new = driver.time() < self._light_at + _EIGHTH * driver.limits.turn_time
        return self._dear or self._waits_since > 0 or new

    def _is_light(self) -> bool:
        """Stop being heavy, if the time has come for that; return whether it has."""
        if self._waits_since or self.driver.time() < self._light_at:
            return False
        self._lighten()
        return True

    def _lighten(self) -> None:
        if self.heavy:
            self.heavy = False
            self.driver.burden -= 1

    def weigh(self, seconds: float) -> None:
        """Take note of how long it took to read, beside what is made of it."""
        self._weigh(seconds, 0)

    def _weigh(self, seconds: float, size: int) -> None:
        """Take note of how long a share took, and a read of ``size`` bytes (0: none)."""
        driver = self.driver
        driver.spend(seconds)
        long = seconds > driver.limits.turn_time
        if long:
            self._size = max(_SMALLEST_RECEIVE, self._size // 2)
        elif size >= self._size and 4 * seconds <= driver.limits.turn_time:
            self._size = min(_LARGEST_RECEIVE, 4 * size)
        elif 0 < 2 * size < driver.limits.receive_size < self._size:
            # The tail of one long message says little of the next: down in steps.
            self._size = max(driver.limits.receive_size, self._size // 2)
        elif 0 < size < self._size < driver.limits.receive_size:
            self._size = driver.limits.receive_size
        if seconds < SHORT:
            return
        now = driver.time()
        if not self._dear:
            self._dear, self._light_at = True, now
        debt = _EIGHTH * max(1, driver.burden) * seconds
        self._light_at = min(max(self._light_at, now) + debt, now + _LONGEST_DEBT)
        if self not in driver.streams:
            return  # it has closed meanwhile
        if not self.heavy and self._light_at - now > _EIGHTH * driver.limits.turn_time:
            self.heavy = True
            driver.burden += 1
            self._listen_anew()
