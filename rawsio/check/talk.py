"""One case's conversation with the peer: lines, the clock, and a record of every byte.

The judges speak through this module and know no sockets; a *world* (:mod:`rawsio.check.sockets`,
or one in memory for tests) supplies transports and the time, and knows no protocol.

A :class:`Line` is one connection.  Everything is written as plain steps in order::

    line = talk.dial()
    line.send(b"GET / HTTP/1.1\\r\\n...")
    data = line.receive(2.0)        # b"" at the end, None when nothing came

Nothing here sleeps: waiting is always for bytes, for the end, or for silence.  What one case
receives and keeps is bounded, so that a peer that floods costs a case and not the run.
"""

from __future__ import annotations

from random import Random

from rawsio.layer import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from .target import Target

    class Transport(Protocol):
        """A connection of a world, without blocking."""

        def send(self, data: bytes, /) -> int:
            """Send what can be sent now, and return how much; ``OSError`` when it is broken."""
            ...

        def receive(self) -> bytes | None:
            """Take what is there: ``b""`` at the end, ``None`` if there is nothing."""
            ...

        def wait(self, seconds: float, *, write: bool = False) -> bool:
            """Wait until something can be read (or written); say whether it can."""
            ...

        def finish(self) -> None:
            """End our direction."""

        def close(self, *, reset: bool = False) -> None:
            """Close; with ``reset`` the peer sees a reset."""

    class World(Protocol):
        """Where peers live."""

        def dial(self, where: str = "") -> Transport:
            """Connect to the target, or another of its addresses; ``OSError`` if not possible."""
            ...

        def time(self) -> float:
            """Return seconds on a clock that never goes back."""
            ...

        def pause(self, seconds: float) -> None:
            """Let time pass."""

    class Caller(Protocol):
        """Where clients come from, for the cases about clients."""

        def start(self, options: dict[str, Any]) -> None:
            """Start the client."""

        def accept(self, seconds: float) -> Transport | None:
            """Return the next connection of the client, ``None`` if none came in time."""
            ...

        def saw(self) -> list[dict[str, Any]]:
            """Return what its user has seen since the last call."""
            ...

        def stop(self) -> None:
            """End the client."""


__all__ = ["FEW_HEARD", "MOST_HEARD", "Crossing", "Line", "Stuck", "Talk"]

MOST_KEPT = 256 * 1024
"""Bytes of one case that are kept for reports, in both directions together."""
MOST_HEARD = 64 * 1024 * 1024
"""Bytes that a case takes from the peer, on all its lines, before it ends, if it loads the peer;
beside two for each byte of ours."""
FEW_HEARD = 4 * 1024 * 1024
"""The same for all other cases, which run side by side."""
MOST_UNITS = 10_000
"""Frames, packets or answers that a case takes before it ends, beside one for each byte of ours."""
SEGMENT = 0.0006
"""Seconds given to the peer to read a segment before the next one is sent."""


class Stuck(Exception):
    """The peer takes no more bytes, or sends without end; the verdict is FAILED."""


@record
class Crossing:
    """Bytes that passed: when, ``>`` (ours) or ``<``, on which line of the case."""

    at: float
    way: str
    data: bytes
    line: int


class Line:
    """One connection of a case.

    ``heard`` is all that came, ``ended`` is ``""`` while the peer has not ended its direction,
    then ``"end"`` or ``"reset"``.  ``asked`` is for judges: the requests that were sent here.
    """

    def __init__(self, talk: Talk, transport: Transport, number: int) -> None:
        self.talk = talk
        self.transport = transport
        self.number = number
        self.heard = bytearray()
        self.total = 0
        self.ended = ""
        self.asked: list[str] = []

    def send(
        self, data: bytes, *, cut: bool = False, stop: Callable[[bytearray], bool] | None = None
    ) -> None:
        """Send bytes; with ``cut`` in the segments that this run of the case asks for.

        Stops without a word once the peer has ended the connection, or ``stop`` of what was heard
        is true.  Raises :class:`Stuck` if the peer reads nothing
        for the patience of the case.
        """
        pieces = self.talk.segments(data) if cut else (data,)
        for index, piece in enumerate(pieces):
            if index and self.transport.wait(SEGMENT):
                self._take()
            if self.ended or (index and stop is not None and stop(self.heard)):
                return
            self._send_all(piece)

    def _send_all(self, data: bytes) -> None:
        self.talk.check_time()
        self.talk.note(">", data, self.number)
        self.talk.said += len(data)
        view = memoryview(data)
        limit = self.talk.time() + max(self.talk.patience, 5.0)
        while view and self.ended != "reset":
            try:
                sent = self.transport.send(bytes(view[: 1 << 18]))
            except OSError:
                self._take()
                self.ended = self.ended or "reset"
                return
            view = view[sent:]
            if sent:
                limit = self.talk.time() + max(self.talk.patience, 5.0)
            elif self.talk.time() > limit:
                raise Stuck(f"the peer takes no more bytes: {len(view)} are unsent")
            elif not self.transport.wait(0.05, write=True) or self.transport.wait(0.0):
                self._take()

    def _take(self) -> bytes | None:
        if self.ended:
            return b""
        try:
            data = self.transport.receive()
        except OSError:
            self.ended = "reset"
            return b""
        if data is None:
            return None
        if not data:
            self.ended = "end"
            return b""
        self.talk.note("<", data, self.number)
        self.heard += data
        self.total += len(data)
        self.talk.heard += len(data)
        if self.talk.heard > self.talk.most_heard + 2 * self.talk.said:
            raise Stuck(f"the peer sent more than {self.talk.most_heard >> 20} MiB")
        return data

    def receive(self, seconds: float | None = None) -> bytes | None:
        """Return the next bytes; ``b""`` at the end, ``None`` after so much silence."""
        self.talk.check_time()
        if seconds is None:
            seconds = self.talk.patience
        data = self._take()
        if data is None and self.transport.wait(seconds):
            data = self._take()
        return data

    def until_end(self, seconds: float | None = None) -> bool:
        """Read on until the peer ends the connection; False after so much silence."""
        while not self.ended:
            if self.receive(seconds) is None:
                return False
        return True

    def finish(self) -> None:
        """End our direction, and go on reading."""
        self.talk.note(">", b"", self.number)
        try:
            self.transport.finish()
        except OSError:
            self.ended = self.ended or "reset"

    def close(self, *, reset: bool = False) -> None:
        """Close the connection."""
        self.transport.close(reset=reset)


class Talk:
    """What a judge has at hand: the target, lines to it, the clock, random bytes.

    ``cut`` says how :meth:`Line.send` cuts: ``None`` not at all, ``0`` one byte a segment, ``n``
    behind byte n.  ``most`` is how many seconds the whole case may take, ``most_heard`` how many
    bytes all lines may bring; ``heard`` and ``said`` are how many came and went.  Once ``over()``
    is true, the case is broken off.
    """

    def __init__(
        self,
        world: World,
        target: Target,
        seed: str,
        *,
        cut: int | None = None,
        patience: float = 2.0,
        most: float = 60.0,
        caller: Caller | None = None,
    ) -> None:
        self.world = world
        self.target = target
        self.random = Random(seed)  # noqa: S311 - the same bytes for the same seed is the point
        self.cut = cut
        self.patience = patience
        self.most = most
        self.most_heard = FEW_HEARD
        self.heard = self.said = self.units = 0
        self.over: Callable[[], bool] = bool
        self.caller = caller
        self.lines: list[Line] = []
        self.crossings: list[Crossing] = []
        self.kept = 0
        self.began = world.time()
        self.facts: dict[str, Any] = {}

    def time(self) -> float:
        """Return the world's time."""
        return self.world.time()

    def check_time(self) -> None:
        """Raise :class:`Stuck` when the case has taken longer than any case may, or is over."""
        if self.over():
            raise Stuck("the run was interrupted")
        if self.time() - self.began > self.most:
            raise Stuck(f"the case was not decided within {self.most:.0f} s")

    def counts(self, units: int = 1) -> None:
        """Count what was made of bytes of the peer; raises :class:`Stuck` if it is too much.

        Each takes a hundred times the memory of its two bytes.
        """
        self.units += units
        if self.units > MOST_UNITS + self.said:
            raise Stuck(f"the peer sent more than {MOST_UNITS} frames or packets unasked")

    def dial(self, where: str = "") -> Line:
        """Return a new connection to the target; ``OSError`` if there is none to be had.

        ``where`` names another address of it: ``echo`` or ``engine``.
        """
        return self.adopt(self.world.dial(where))

    def adopt(self, transport: Transport) -> Line:
        """Return a line over a transport that somebody else connected."""
        line = Line(self, transport, len(self.lines))
        self.lines.append(line)
        return line

    def segments(self, data: bytes) -> list[bytes]:
        """Cut bytes as this run of the case asks for."""
        if self.cut is None or len(data) < 2:
            return [data]
        if self.cut == 0:
            if len(data) > 2000:
                step = len(data) // 1000
                return [data[at : at + step] for at in range(0, len(data), step)]
            return [data[at : at + 1] for at in range(len(data))]
        at = self.cut % len(data) or 1
        return [data[:at], data[at:]]

    def note(self, way: str, data: bytes, line: int) -> None:
        """Keep bytes for the report, as long as there is room."""
        data = data[: max(0, MOST_KEPT - self.kept)]
        self.kept += len(data)
        if data or self.kept < MOST_KEPT:
            self.crossings.append(Crossing(self.time() - self.began, way, data, line))

    def shorten(self, most: int) -> None:
        """Keep no more than so many bytes of what was noted."""
        crossings, self.crossings, self.kept = self.crossings, [], MOST_KEPT - most
        for crossing in crossings:
            if self.kept >= MOST_KEPT:
                break
            crossing.data = crossing.data[: MOST_KEPT - self.kept]
            self.kept += len(crossing.data)
            self.crossings.append(crossing)
        self.kept -= MOST_KEPT - most

    def bytes(self, count: int) -> bytes:
        """Return random bytes, the same for the same seed."""
        return self.random.randbytes(count)

    def end(self) -> str:
        """Close every line; say how the first that spoke ended."""
        marks = [line.ended or "open" for line in self.lines]
        for line in self.lines:
            line.close()
        return marks[0] if marks else "none"
