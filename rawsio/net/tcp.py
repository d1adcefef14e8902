"""A stream socket that drives any layer which keeps the contract of :mod:`rawsio.layer`.

Theory of operation
===================
*Reading.*  Each readable event costs one ``recv`` (level-triggered: what is left makes the next
event), ``layer.tick(now)``, ``layer.receive(data)``, and one call of ``on_events(tag, events)``.
The connection is then *touched*, and flushed at the end of the turn together with all others
(:mod:`rawsio.net.driver`).  Before the layer a read is *offered*: if ``offer(tag, data, now)``
takes it, with all that follows from it, nothing else is done.

*Taking turns.*  A layer takes a share of its input, and keeps the rest: ``deadline`` is 0.0 and
``reading`` false.  The stream waits for its turn then, and ticks the layer once (:mod:`.turns`).

*Flushing.*  What the layer has in its outbox is joined into one ``send``.  What the kernel does
not take is kept as it is (references, no copies), and only then the socket is registered for
writing.  Long parts go out by ``sendmsg``, unjoined.

*Holding back.*  Reading stops for any of four reasons, bits of one number: the owner paused it,
the layer can only store what comes, our answers pile up unsent above the high-water mark, or the
peer has ended.  Meanwhile the socket is not registered for reading, and wakes nobody.

*Ending*, when ``layer.closing`` says so and everything is sent::

    OPEN --closing--> ENDING --HALF: shutdown(SHUT_WR)--> ENDED --peer ends, 1 MiB or 2 s--> CLOSED
                        +------NOW, or the peer has ended already------------------------------^

The detour exists because a close with unread input makes TCP reset the connection, and the peer
may then never see our last words.

An error of the socket is an end like any other: ``receive_eof``, what the layer still works off
(the state is LOST meanwhile), then ``on_closed(tag, reason)``, the last call of every stream.  An
exception out of the layer or of ``on_events`` is our mistake: it is logged, the connection cut.
"""

from __future__ import annotations

import errno
import socket

from rawsio import log
from rawsio.layer import Closing, Generic

from .driver import NO_LAYER, NO_OUTBOX, Driver, StreamState
from .turns import SHORT, TurnTaker, fitting
from .write_buffer import JOIN, WriteBuffer, send_parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from typing_extensions import TypeVar

    from rawsio.layer import AnyLayer, Taker

    from .driver import Resting
    from .tcp_info import TCPInfo
    from .veil import Veil

    TagT = TypeVar("TagT", default=Any)
else:
    TagT = None

__all__ = ["Driver", "StreamState", "TCPStream"]

_AGAIN = (BlockingIOError, InterruptedError)

_OWNER, _LAYER, _WRITES, _EOF = 1, 2, 4, 8  # why we do not read: bits of one number
_STOPS = _OWNER | _WRITES  # those for which input that waits is not worked off, either
_SMALL = 256  # bytes that are read where others took long: who asks for something sends less
_AT_A_TIME = 16  # how many pipelined requests are a share

_OPEN = Closing.OPEN
_OPENED, _LOST, _CLOSED = StreamState.OPEN, StreamState.LOST, StreamState.CLOSED


class TCPStream(TurnTaker, Generic[TagT]):
    """A connected stream socket and the layer that it drives; see the module's essay.

    ``sock`` becomes non-blocking and belongs to the stream.  ``on_events(tag, events)`` gets
    what the layer makes of the input and of time.  ``on_closed(tag, reason)`` comes once, at
    the end; ``on_high(tag)`` when the unsent bytes reach ``limits.high_water`` and
    ``on_drain(tag)`` when they are back at ``limits.low_water``.  ``tag`` is what the owner knows
    the connection by; without one it is the stream itself.  ``until`` is the deadline of a layer
    that was told the time, and has nothing to say before something comes.
    """

    __slots__ = (
        *("sock", "layer", "on_events", "on_closed", "on_high", "on_drain", "tag"),
        *("state", "_fd", "_hold", "_high", "_unsent", "_cutoff", "_discarded", "_reason"),
        *("offer", "quick", "outbox", "veil", "_calm", "__weakref__"),
    )

    def __init__(
        self,
        driver: Driver,
        sock: socket.socket,
        layer: AnyLayer,
        on_events: Callable[[TagT, list[Any]], object],
        on_closed: Callable[[TagT, str], object] | None = None,
        tag: TagT | None = None,
        *,
        until: float | None = None,
    ) -> None:
        TurnTaker.__init__(self, driver)  # super() makes an object, for each connection
        self.sock, self.layer = sock, layer
        self.on_events, self.on_closed = on_events, on_closed
        self.offer: Callable[[TagT, bytes, float], bool] | None = None
        self.on_high: Callable[[TagT], object] | None = None
        self.on_drain: Callable[[TagT], object] | None = None
        itself: Any = self
        self.tag: TagT = itself if tag is None else tag
        self._fd, self.state, self._hold, self._high = sock.fileno(), _OPENED, 0, False
        self._unsent: WriteBuffer | None = None
        self._cutoff: float | None = None
        self._discarded, self._reason = 0, ""
        self.quick: Taker | None = None  # who is offered what comes first
        self.veil: Veil | None = None  # what deciphers, and is the socket while it does
        # What the layer sends, if it need not be asked; and whether that is all.
        self.outbox, self._calm = NO_OUTBOX, until is not None
        if sock.gettimeout() != 0.0:
            sock.setblocking(False)
        driver.streams.add(self)
        driver.add_readable(self._fd, self)
        if until is None:
            driver.touch(self)  # what a new layer has to say, and its first tick
        else:
            driver.timers.expect(self, until)

    # For the owner

    @property
    def buffered_amount(self) -> int:
        """How many bytes the kernel has not taken yet."""
        return 0 if self._unsent is None else self._unsent.size

    @property
    def tcp_info(self) -> TCPInfo | None:
        """What the kernel knows of the connection; ``None`` where it does not tell."""
        from .tcp_info import tcp_info

        return tcp_info(self.sock)

    @property
    def peer(self) -> str:
        """Who is at the other end, as a line of the log names it."""
        from .tcp_info import peer_of

        return peer_of(self.sock)

    @property
    def own(self) -> int:
        """How many of them are in parts that no other stream can share (:class:`.unsent.Pool`)."""
        own = 0 if self._unsent is None else self._unsent.own
        return own if self.veil is None else own + self.veil.held

    def pause(self) -> None:
        """Do not read from the peer until ``resume``; TCP then slows it down."""
        self._set_hold(_OWNER, on=True)

    def resume(self) -> None:
        """Read from the peer again."""
        self._set_hold(_OWNER, on=False)

    def ignore_high_water(self) -> None:
        """Read although too much is unsent, until that happens anew; for ``on_high``."""
        self._set_hold(_WRITES, on=False)

    def enter_high_water(self) -> None:
        """Be told that too much waits in the layer: as if it were unsent already."""
        if not self._high:
            self._set_high(high=True)

    def touch(self) -> None:
        """Have the outbox flushed at the end of this turn; call it after ``layer.send``."""
        self._calm = False
        dirty = self.driver.dirty  # touch(), written out: this runs for nearly every packet
        if not dirty:
            self.driver.schedule()
        if self not in dirty:
            dirty[self] = False

    def send_soon(self) -> None:
        """Do the same, where the outbox got more to send, and nothing else has changed."""
        calm = self._calm
        self.touch()
        self._calm = calm

    # Reading

    def _sip(self) -> None:
        """Read what most of those send who ask for something, and wait for a turn if it is more."""
        if not (more := self._may_be_long()):
            size = self.readable(_SMALL)
            # Over TLS less comes out than was read, and nothing of the first part of a record.
            more = size == _SMALL if self.veil is None else not 0 < size < _SMALL * 3 // 4
        if more and self.state is _OPENED and not self._hold:
            self._wait()

    def readable(self, most: int = 0) -> int:
        """Read once, and return how many bytes came; the loop calls it for whoever is light."""
        driver = self.driver
        if not most and driver.crowded:
            self._sip()
            return 0
        try:
            data = fitting(self.sock.recv(most), most) if most else self.sock.recv(self._size)
        except OSError as error:
            return self._not_read(error)
        if not data:
            return self._peer_ended()
        size, now, quick = len(data), driver.time(), self.quick
        try:
            taken = (
                quick.read(data, now)
                if quick is not None and quick.layer.clear
                else (0 if self.offer is None else self.offer(self.tag, data, now) * size)
            )
            if taken < size:
                layer, self._calm = self.layer, False
                early = layer.tick(now)
                events = layer.receive(data[taken:] if taken else data)
                if early or events:
                    self.on_events(self.tag, early + events)
            elif quick is not None and self not in driver.dirty:
                self.flush()  # nobody else has to say anything: who has asked is answered
            elif quick is not None:
                driver.dirty[self] = True  # it goes before those who are only told
        except Exception as error:  # noqa: BLE001 - it ends this connection, and no other
            self._broken(error)
            return 0
        seconds = driver.time() - now
        if seconds > SHORT or size >= self._size or self._size != driver.limits.receive_size:
            self._weigh(seconds, size)
        if taken < size:
            if not driver.dirty:  # touch(), written out: this runs once for every read
                driver.schedule()
            driver.dirty[self] = True
        return size

    def _not_read(self, error: OSError) -> int:
        if not isinstance(error, _AGAIN):
            self._lost(error)
        return 0

    # Taking turns

    def go_on(self) -> None:
        """Take a share of the work that waits; the driver calls it when it is our turn."""
        began, layer = self._end_wait(), self.layer
        if self.state is _CLOSED:
            return
        if layer.deadline == 0.0:
            for _ in range(_AT_A_TIME):
                self._report(layer.tick, began)
                # Pipelined requests are answered one for each tick, and most of them are small.
                if layer.deadline != 0.0 or not layer.reading:
                    break
                if self.driver.time() - began > SHORT:
                    break
            self._weigh(self.driver.time() - began, 0)
            self.touch()
        elif not self._hold and self.state is _OPENED:
            self.readable(self._size)
        elif not self._hold:
            self._discard()

    def _listen_anew(self) -> None:
        if not self._hold and self.state is _OPENED:
            self.driver.loop.add_reader(self._fd, self._listener())

    def _listener(self) -> Callable[[], object]:
        """Return what is to be called when the socket is readable."""
        if self.state is not _OPENED:
            return self._discard
        return self._queue_up if self.heavy else self.readable

    def _discard(self) -> None:
        """Read while ending: the layer sees what comes, but only so much of it."""
        try:
            data = self.sock.recv(self._size)
        except _AGAIN:
            return
        except OSError as error:
            self._lost(error)
            return
        if not data:
            self._peer_ended()
            return
        self._discarded += len(data)
        if self._discarded > self.driver.limits.discard:
            self.abort("closed; the peer went on sending")
            return
        self._report(self.layer.receive, data)
        self.driver.touch(self)

    def _peer_ended(self) -> int:
        layer = self.layer
        if self.quick is None or layer.deadline is not None:
            self._report(layer.tick, self.driver.time())
        self._report(layer.receive_eof)
        if layer.closing is Closing.NOW and (self.quick is None or self.outbox):
            self.driver.flush_now(self)
        elif layer.closing is Closing.NOW:
            self._end()
        if self.state is not _CLOSED:
            # Else the socket would be readable for ever, and a half-open peer spin the loop.
            self._set_hold(_EOF, on=True)
            self.driver.touch(self)
        return 0

    def _lost(self, error: OSError) -> None:
        """End after an error of the socket, or a time-out: nothing can be sent any more."""
        if self.state is _LOST:
            return
        self._report(self.layer.tick, self.driver.time())
        self._report(self.layer.receive_eof)
        reason = error.strerror or type(error).__name__
        if self.state is _CLOSED or not self._keeps_input():
            self.abort(reason)
            return
        # What came before the error is worked off, as if the end had come by itself.
        self._leave()
        self.state, self._reason = _LOST, reason
        self._hold = _EOF
        self.touch()

    def _keeps_input(self) -> bool:
        """Return whether the layer has input that waits for a share."""
        return self.layer.deadline == 0.0 and not self.layer.reading

    def _leave(self) -> None:
        """Let go of the socket."""
        if self._fd >= 0:
            if not self._hold:
                self.driver.loop.remove_reader(self._fd)
            if self._unsent is not None:
                self.driver.loop.remove_writer(self._fd)
            self._fd = -1
        if self._unsent is not None:
            self._unsent.clear()
            self._unsent = None
        self._cutoff = None
        self.sock.close()

    def _report(self, feed: Callable[..., list[Any]], *arguments: Any) -> None:
        if self.state is _CLOSED:
            return
        self._calm = False
        try:
            events = feed(*arguments)
            if events:
                self.on_events(self.tag, events)
        except Exception as error:  # noqa: BLE001 - it ends this connection, and no other
            self._broken(error)

    def _broken(self, error: Exception) -> None:
        message = f"{self.peer}: the connection is cut after an exception"
        self.driver.log("net", log.ERROR, message, error)
        self.abort("internal error")

    def _set_hold(self, bit: int, *, on: bool) -> None:
        before, self._calm = self._hold, False
        self._hold = hold = before | bit if on else before & ~bit
        if before & _STOPS and not hold & _STOPS:
            self.touch()  # for the input that waits
        if (hold != 0) == (before != 0) or self.state is _CLOSED:
            return
        loop = self.driver.loop
        if hold:
            loop.remove_reader(self._fd)
        else:
            loop.add_reader(self._fd, self._listener())

    # Time

    @property
    def deadline(self) -> float | None:
        """When ``tick`` wants to be called: the layer's deadline, or that of a stalled write."""
        if self.state is _CLOSED:
            return None
        own = self._cutoff
        layers = None if self._keeps_input() else self.layer.deadline  # its turns are the driver's
        if own is None or layers is None:
            return layers if own is None else own
        return min(own, layers)

    def tick(self, now: float) -> list[Any]:
        """Tell the layer the time, and end what takes too long; no events, they are reported."""
        if self.state is _CLOSED:
            return []
        if self._cutoff is None or now < self._cutoff:
            self._report(self.layer.tick, now)
            self.driver.touch(self)
        elif self.state is StreamState.ENDED:
            self.abort("closed; the peer did not")
        else:
            self._lost(TimeoutError(errno.ETIMEDOUT, "the peer takes no data"))
        return []

    # Writing

    def flush(self) -> None:
        """Send what the layer has in its outbox, and do as it says; used by the driver."""
        if self._calm:
            outbox = self.outbox
            if not outbox:
                return
            joined, data = self.driver.joined, outbox[0]
            if len(outbox) > 1:
                if outbox != joined[0]:  # the same objects: that takes no time
                    whole = b"".join(outbox) if sum(map(len, outbox)) <= JOIN else b""
                    self.driver.joined = joined = [*outbox], whole
                data = joined[1]
            try:
                sent = self.sock.send(data) if data else 0
            except OSError:
                sent = 0  # the layer's way meets it again
            if sent == len(data) > 0:
                outbox.clear()
                return
            if sent:
                outbox[:] = [memoryview(data)[sent:]]
        self._flush_layer()

    def _flush_layer(self) -> None:
        """Send what the layer has in its outbox, and do as it says."""
        if self.state is _CLOSED:
            return
        layer = self.layer
        units = layer.data_to_send()
        deadline = layer.deadline
        if deadline == 0.0 and layer.reading:
            units, deadline = self._tick_again(units)
        if units:
            self._write(units)
        if self.state is _CLOSED:
            return
        if deadline:
            self.driver.timers.expect(self, deadline)
        elif deadline is not None and not self._hold & _STOPS:
            self._wait()
        if layer.closing is not _OPEN:
            self._end()
        elif self._hold or not layer.reading:
            self._set_hold(_LAYER, on=not layer.reading)
            if self.state is _LOST and deadline != 0.0:
                self.abort(self._reason)
        elif deadline is None and self._unsent is None:
            self._calm = self.outbox is not NO_OUTBOX

    def _tick_again(self, units: list[Any]) -> tuple[list[Any], float | None]:
        """Tell a layer the time that wants to know it, or has the next of some requests.

        Returns what is to be sent then, and its new deadline.
        """
        self._report(self.layer.tick, self.driver.time())
        units += self.layer.data_to_send()
        self.driver.dirty.pop(self, None)  # by its own answers, which are here already
        return ([], None) if self.state is _CLOSED else (units, self.layer.deadline)

    def send_answer(self, source: Resting, now: float) -> None:
        """Send an answer, which is in the outbox of ``source``; used by the driver."""
        units = source.rest(now) if self.state is _OPENED else None
        if units is None:  # there is more to be seen to
            self.flush()
            return
        if len(units) == 1 and self._unsent is None and not self._high:
            data = units[0]
            try:
                sent = self.sock.send(data)
            except OSError:
                sent = 0  # it is met again
            units = [] if sent == len(data) else [memoryview(data)[sent:]]
        if units:
            self._write(units)
        if self._unsent is None and self.state is _OPENED:
            self.driver.timers.watch_until(self, now + self.driver.limits.idle_time)
        else:
            self.touch()  # the meter hears of what waits

    def _write(self, units: list[Any]) -> None:
        if self._unsent is not None:
            self._unsent.extend(units)
            self._check_high()
            return
        size = len(units[0])
        if len(units) > 1:
            size = sum(map(len, units))
            if size <= JOIN or self.veil is not None:  # which takes all, and never a part
                units = [b"".join(units)]
        try:
            sent = self.sock.send(units[0]) if size <= JOIN else send_parts(self.sock, units)
        except _AGAIN:
            sent = 0
        except OSError as error:
            self._lost(error)
            return
        if sent != size:
            self.keep_unsent(units, sent)
        elif self._high:
            self._check_high()

    def keep_unsent(self, units: list[Any], sent: int) -> None:
        """Keep what the kernel has not taken, but for so many bytes, until it does."""
        self._unsent, self._calm = WriteBuffer(units, self.driver.pool, sent), False
        if self.quick is not None:
            self.quick.clog()
        self.driver.loop.add_writer(self._fd, self._send_unsent)
        self._postpone(self.driver.limits.write_time)
        self._check_high()

    def _postpone(self, seconds: float) -> None:
        self._cutoff = self.driver.time() + seconds
        self.driver.timers.watch_until(self, self._cutoff)

    def _send_unsent(self) -> None:
        unsent, limits = self._unsent, self.driver.limits
        if unsent is None:
            return
        try:
            unsent.send(self.sock)
        except OSError as error:
            self._lost(error)
            return
        if not unsent.size:
            self._unsent = self._cutoff = None
            self.driver.loop.remove_writer(self._fd)
            if self.quick is not None:
                self.quick.flow()
        elif unsent.took(limits.write_rate * limits.write_time):
            self._postpone(limits.write_time)
        self._check_high()
        if self._unsent is None and self.state is not _CLOSED and self.layer.closing is not _OPEN:
            self._end()

    def _check_high(self) -> None:
        limits, size, high = self.driver.limits, self.buffered_amount, self._high
        if (size <= limits.low_water) if high else (size >= limits.high_water):
            self._set_high(high=not high)

    def _set_high(self, *, high: bool) -> None:
        self._high = high
        self._set_hold(_WRITES, on=high)
        callback = self.on_high if high else self.on_drain
        if callback is not None:
            callback(self.tag)

    # The end

    def _end(self) -> None:
        if self.state is _LOST:
            self.abort(self._reason)
            return
        if self.veil is not None and self.veil.put_back():  # TLS has last words of its own
            self._flush_layer()
            return
        over = self.layer.closing is Closing.NOW or self._hold & _EOF
        if over and self._unsent is None:
            self.abort("closed")
            return
        if self.state is StreamState.OPEN:
            self.state = StreamState.ENDING
            if not self._hold:
                self.driver.loop.add_reader(self._fd, self._discard)
            self._set_hold(_OWNER | _LAYER, on=False)
        if self._unsent is None and self.state is StreamState.ENDING:
            self._half_close()

    def _half_close(self) -> None:
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._lost(error)
            return
        self.state = StreamState.ENDED
        self._postpone(self.driver.limits.discard_time)

    def abort(self, reason: str = "aborted") -> None:
        """Close at once; what is unsent is lost, and the layer is not told."""
        if self.state is _CLOSED:
            return
        self.state = _CLOSED
        driver = self.driver
        self._leave()
        self._lighten()
        driver.forget(self)
        driver.streams.discard(self)
        if self.on_closed is not None:
            try:
                self.on_closed(self.tag, reason)
            except Exception as error:  # noqa: BLE001 - the owner's mistake, and nobody else's
                driver.log("net", log.ERROR, "on_closed raised an exception", error)
        # They know this stream: what a connection leaves must not be a ring.
        gone: Any = None
        if self.veil is not None:
            self.veil.drop()
        self.layer, self.tag, self.quick, self.veil = NO_LAYER, gone, None, None
        self.outbox, self._calm = NO_OUTBOX, False
