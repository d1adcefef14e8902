"""What all connections of one loop share: the list of the touched, timers, turns, limits.

*Nobody writes when asked to; everybody writes once at the end of the turn.*  Whoever puts
something into a layer's outbox touches the connection; one ``call_soon`` flushes all that were
touched.  Ten small answers to one read, or four broadcasts to a thousand clients, cost one system
call for each connection.

Anything hashable with a ``flush()`` can be touched: a :class:`~rawsio.net.tcp.TCPStream`, or a
session that answers its waiting poll with all that was queued.  What is flushed may touch others
(the session its connection), which are flushed in the same turn.  What raises while it is flushed
is logged and, if it has an ``abort(reason)``, aborted.

Taking turns
============
One read may bring more work than the others should wait for.  A layer takes a share of it and keeps
the rest; the stream then waits here (:meth:`Driver.wait`), and the loop's next turns give those who
wait one share each, in their order, until ``limits.turn_time`` is used up.  Sockets that became
readable and what was touched come before them, so who asks for little waits for little::

    select -> reads -> flush -> shares of those who wait, for 4 ms -> flush -> select ...

Three queues wait: streams with input that was not taken yet, flushes that found no time (of a
broadcast to ten thousand), and the same for streams that took much time lately (``stream.heavy``).
They are served in that order; the first two at least once in a turn, the heavy ones at least once
in two, so nobody starves.  The next slice is
a timer of zero seconds and no ``call_soon``: asyncio runs timers after the sockets that are ready.

An exception that is no ``Exception`` (a ``KeyboardInterrupt`` between two instructions) goes
through to the program.  Should that go on, nobody is forgotten: the batch in work stays in
``batch`` until it is done, and is flushed again, which does no harm.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum

from rawsio import log
from rawsio.layer import Closing
from rawsio.limits import DEFAULT

from .deadlines import Deadlines
from .write_buffer import Pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol

    from rawsio.limits import Limits

    class Meter(Protocol):
        """Hears who was busy, and who is gone."""

        def flushed(self, targets: dict[Any, Any]) -> None:
            """These are flushed in this turn."""

        def forget(self, target: Any) -> None:
            """This one is over."""

    class Resting(Protocol):
        """What has said all, and waits for the peer's next words."""

        def rest(self, now: float, /) -> list[Any] | None:
            """Begin to wait, for ``limits.idle_time``, and drain the outbox.

            ``None``, and nothing is done, if there is more to do.
            """
            ...

    from .deadlines import Report
    from .loop_timers import AnyLoop

__all__ = ["NO_LAYER", "NO_OUTBOX", "Driver", "StreamState"]


class StreamState(Enum):
    """Where a stream is on its way to the end; see the figure in :mod:`rawsio.net.tcp`."""

    OPEN = "open"
    ENDING = "ending"
    ENDED = "ended"
    LOST = "lost"
    CLOSED = "closed"


_MANY = 16
"""More targets than this are flushed with a look at the clock."""

_FEW = 4
"""How many are flushed between two looks at it."""

_NOBODY: dict[Any, bool] = {}


def _no_report(target: Any, _events: list[Any]) -> None:
    raise TypeError(f"{type(target).__name__}.tick() gave events, and nobody takes them")


class _NoLayer:
    """The layer of a stream that is closed."""

    __slots__ = ()

    deadline = None
    closing = Closing.NOW
    reading = False
    held = 0

    def receive(self, _unit: bytes) -> list[Any]:
        """Make nothing of it."""
        return []

    def send(self, _event: Any) -> None:
        """Do nothing."""

    def tick(self, _now: float) -> list[Any]:
        """Do nothing."""
        return []

    def receive_eof(self) -> list[Any]:
        """Do nothing."""
        return []

    data_to_send = receive_eof


NO_LAYER = _NoLayer()
NO_OUTBOX: list[Any] = []
"""The outbox of a layer that has to be asked for what it sends."""


class Driver:
    """The shared half of every connection on ``loop``; see the module's essay.

    ``streams`` are the open connections; ``log`` is limited in rate.  ``on_events(target, events)``
    takes the events of watched targets that have no ``on_events`` of their own.  ``pool`` counts
    what several of them have not sent yet; ``meter``, if there is one, hears who is busy.
    """

    __slots__ = (
        *("loop", "limits", "streams", "timers", "log", "time", "dirty", "crowded", "burden"),
        *("told", "joined", "add_readable"),
        "_ahead",
        *("pool", "meter", "_answered"),
        *("_call_soon", "_batch", "_late", "_waiting", "_heavy", "_going", "_spent", "_scheduled"),
        "_passed_over",
    )

    def __init__(
        self, loop: AnyLoop, limits: Limits = DEFAULT, on_events: Report = _no_report
    ) -> None:
        self.loop = loop
        self.limits = limits
        self.streams: set[Any] = set()
        self.pool = Pool()
        self.meter: Meter | None = None
        self.log = log.Log(loop.time)
        self.time = loop.time
        self.timers = Deadlines(loop, on_events, self.log, limits.turn_time)
        # What was touched, in order; true for who has just read something.  A dict, not a list:
        # touched twice is flushed once.
        self.dirty: dict[Any, bool] = {}
        # What is flushed before all that.
        self._ahead: list[Any] = []
        self.crowded = False
        """Whether the reads of this turn took so long that further ones should be small."""
        self.burden = 0
        """How many streams are heavy."""
        self._answered: list[tuple[Any, Resting]] = []
        self.told = 0
        """How many bytes were put into outboxes of many, and not counted for each, since all of
        them were empty.
        """
        self.joined: tuple[list[Any], bytes] = ([], b"")
        """What one stream sent, and joined: the next may have the same to send."""
        self.add_readable = getattr(loop, "add_readable", None) or self._add_reader
        """Has ``stream.readable()`` called."""
        self._call_soon = loop.call_soon
        self._batch = _NOBODY
        # Ordered dictionaries: taking the first out of a plain one costs more each time.
        self._late: OrderedDict[Any, None] = OrderedDict()
        self._waiting: OrderedDict[Any, None] = OrderedDict()
        self._heavy: OrderedDict[Any, None] = OrderedDict()
        self._going = False
        self._spent = 0.0
        self._scheduled = self._passed_over = False

    def _add_reader(self, fd: int, stream: Any) -> None:
        self.loop.add_reader(fd, stream.readable)

    def touch(self, target: Any) -> None:
        """Have ``target.flush()`` called at the end of this turn (outside one: of the next)."""
        dirty = self.dirty
        if not dirty:
            self.schedule()
        if target not in dirty:
            dirty[target] = False

    def touch_first(self, target: Any) -> None:
        """Have ``target.flush()`` called before those of all others."""
        if target not in self._ahead:
            self._ahead.append(target)
            self.schedule()

    def answered(self, stream: Any, source: Resting) -> None:
        """Have ``stream.send_answer(source, now)`` called at the end of this turn.

        It is less than a flush, for a stream that waits for its peer's next request then.
        """
        self._answered.append((stream, source))
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self.flush)

    def touch_all(self, targets: list[Any]) -> None:
        """Do the same for many, none of which had anything to say before."""
        if targets:
            if not self.dirty:
                self.schedule()
            # Who has read something stays before the others.
            self.dirty = {**dict.fromkeys(targets, False), **self.dirty}

    def hand_out(self, lanes: Iterable[Any], data: bytes, *, now: bool) -> None:
        """Put the same bytes into the outboxes of many, whose streams send them with this turn.

        A lane has an ``outbox``, and a ``stream`` that sends it.  With ``now`` those that have
        nothing else to send do it here, as far as the time goes: that is half of the work of a
        flush, for who has nothing to add.
        """
        size, number = len(data), 0
        fresh: list[Any] = []
        end = self.time() + self.limits.turn_time if now and not self.behind else 0.0
        lanes = iter(lanes)
        try:
            for lane in lanes:
                stream, outbox = lane.stream, lane.outbox
                if outbox:
                    outbox.append(data)
                    continue
                number += 1
                if not number % _FEW and end and self.time() >= end:
                    end = 0.0
                try:
                    sent = stream.sock.send(data) if end and stream._calm else 0
                except OSError:
                    sent = 0  # its flush meets it again
                if sent != size:
                    outbox.append(memoryview(data)[sent:] if sent else data)
                    fresh.append(stream)
        finally:
            self.touch_all(fresh)
            # Nobody is left, but for those behind an interrupt: they get what the others got.
            if rest := list(lanes):
                self.hand_out(rest, data, now=False)

    def part(self, stream: Any, last: bytes) -> None:
        """Send the last words of a stream that has nothing else to send, and close it."""
        try:
            sent = stream.sock.send(last)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            sent = len(last)  # nobody hears it
        if sent == len(last):
            stream.abort("closed")
        else:
            stream.outbox.append(memoryview(last)[sent:])
            stream.touch()

    @property
    def behind(self) -> bool:
        """Whether some have not been flushed, for want of time."""
        return bool(self._late)

    def schedule(self) -> None:
        """Have ``flush`` called: what ``touch`` does first, when nothing was touched yet."""
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self.flush)

    def watch(self, target: Any) -> None:
        """See to it that ``target`` is ticked at its deadline; call it when that may have moved."""
        self.timers.watch(target)

    def forget(self, target: Any) -> None:
        """Drop the target: it is neither flushed, nor ticked, nor given turns any more."""
        self.dirty.pop(target, None)
        if self._waiting or self._late or self._heavy:
            for queue in (self._late, self._waiting, self._heavy):
                queue.pop(target, None)
        self.timers.forget(target)
        if self.meter is not None:
            self.meter.forget(target)

    # Flushing

    def flush(self) -> None:
        """Flush all that was touched, and what that touches, now, or as far as the time goes."""
        self.crowded, self._spent = False, 0.0
        self._scheduled = True  # what is touched meanwhile needs no further call
        try:
            if self._ahead:
                self._flush_ahead()
            if self.dirty or self._batch:
                if self.meter is not None:
                    self.meter.flushed(self.dirty)
                self._flush_touched()
                if self.dirty:
                    self._flush_touched()
            if self._answered:
                self._send_answers()
        finally:
            self._scheduled = False
            if self.dirty or self._batch or self._answered or self._ahead:
                self.schedule()

    def _flush_ahead(self) -> None:
        ahead, self._ahead = self._ahead, []
        for target in ahead:
            self.flush_now(target)

    def _send_answers(self) -> None:
        answered, now = self._answered, self.time()
        many = len(answered)
        for stream, source in answered[:many]:
            try:
                stream.send_answer(source, now)
            except Exception as error:  # noqa: BLE001 - one connection must not stop the others
                self._failed(stream, error)
        del answered[:many]  # what these have led to is for the next time

    def _flush_touched(self) -> None:
        batch = {**self._batch, **self.dirty} if self._batch else self.dirty
        self._batch, self.dirty = batch, {}
        if len(batch) > _MANY:
            self._flush_many(batch)
        else:
            for target in batch:
                try:
                    target.flush()
                except Exception as error:  # noqa: BLE001 - one must not stop the others
                    self._failed(target, error)
        self._batch = _NOBODY

    def _failed(self, target: Any, error: Exception) -> None:
        whose = getattr(target, "peer", "a session")
        self.log("net", log.ERROR, f"{whose}: a flush raised an exception", error)
        abort = getattr(target, "abort", None)
        if abort is not None:
            abort("internal error")

    def flush_now(self, target: Any) -> None:
        """Flush a target that need not wait for the end of the turn."""
        try:
            target.flush()
        except Exception as error:  # noqa: BLE001 - one connection must not stop the others
            self._failed(target, error)

    def _flush_many(self, batch: dict[Any, bool]) -> None:
        """Flush those who asked for something, and then, for a while, those who are only told."""
        told = list(batch)
        if True in batch.values():
            told = [target for target, asked in batch.items() if not asked]
            for target, asked in batch.items():
                if asked:
                    self.flush_now(target)
        end = self.time() + self.limits.turn_time
        if self._late:
            self._late.update(dict.fromkeys(told))
            self._flush_late(end)
        else:
            self._late.update(dict.fromkeys(self._flush_told(told, end)))
        if self._late:
            self._keep_going()

    def _flush_told(self, told: list[Any], end: float) -> list[Any]:
        """Flush as far as the time goes; return the rest.  Most turns have none to remember."""
        for at in range(0, len(told), _FEW):
            for target in told[at : at + _FEW]:
                try:
                    target.flush()
                except Exception as error:  # noqa: BLE001 - one must not stop the others
                    self._failed(target, error)
            if self.time() >= end:
                return told[at + _FEW :]
        return []

    def _flush_late(self, end: float) -> None:
        late, done = self._late, {}
        while late:
            for _ in range(min(len(late), _FEW)):
                target = next(iter(late))
                self.flush_now(target)
                late.pop(target, None)
                done[target] = False
            if self.time() >= end:
                break
        if self.meter is not None:
            self.meter.flushed(done)

    # Taking turns

    def wait(self, stream: Any) -> None:
        """Have ``stream.go_on()`` called when its turn comes."""
        (self._heavy if stream.heavy else self._waiting)[stream] = None
        self._keep_going()

    def spend(self, seconds: float) -> None:
        """Take note that a read took so long."""
        self._spent += seconds
        if self._spent > self.limits.turn_time:
            self.crowded = True

    def _keep_going(self) -> None:
        if not self._going:
            self._going = True
            self.loop.call_later(0.0, self._go_on)

    def _go_on(self) -> None:
        """Serve each of those who wait once, or as far as the time goes."""
        self._going = False
        try:
            self.flush()
            end = self.time() + self.limits.turn_time
            self._serve(self._waiting, end)
            if self._late:
                self._flush_late(end)
            self._passed_over = self.time() >= end and not self._passed_over
            if not self._passed_over:
                self._serve(self._heavy, end)
            self.flush()
        finally:
            if self._waiting or self._heavy or self._late:
                self._keep_going()

    def _serve(self, queue: OrderedDict[Any, None], end: float) -> None:
        for _ in range(len(queue)):
            if not queue:
                return
            stream, _none = queue.popitem(last=False)
            try:
                stream.go_on()
            except BaseException:
                queue[stream] = None
                raise
            if self.time() >= end:
                return
