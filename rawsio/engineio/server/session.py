"""A session on the server: the packets of one client, over one transport after another.

A :class:`Session` owns an :class:`~rawsio.engineio.connection.EngineIOConnection`, whose outbox is
the session's queue, and the :class:`~rawsio.engineio.server.transport.Transport` that carries it.
Transports come and go, the connection stays: what one did not take is still in the queue when
another takes over, so nothing is lost or repeated.

How one takes over: a WebSocket beside the transport is a *candidate*
(:mod:`rawsio.engineio.server.candidate`).  While it is probed, the transport is asked every 100 ms
to let no request wait, because the client may go over only when none of its requests is running.

Calls go down to the transport and its links.  Upwards there are two objects: the
:class:`SessionOwner`, which is the registry, and the
:class:`~rawsio.engineio.server.interfaces.SessionUser`, which takes what the client says.
"""

from __future__ import annotations

from rawsio.engineio.connection import EngineIOConnection, reason_of
from rawsio.engineio.packets import Message, check_separator
from rawsio.engineio.states import STAGES, SessionState, Stage
from rawsio.errors import EngineIOError, LocalProtocolError
from rawsio.http.messages import Request
from rawsio.layer import Closed, Failed

from .polling import thaw
from .transport import gone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from rawsio.limits import Limits
    from rawsio.trace import Reporter, Traced

    from .candidate import Candidate
    from .interfaces import SessionUser
    from .links import Link
    from .options import EngineOptions
    from .polling import FirstRequest, Query
    from .transport import Transport

    class SessionOwner(Protocol):
        """Who keeps the sessions."""

        options: EngineOptions
        """How the server behaves."""
        limits: Limits
        """The bounds of the server."""

        def time(self) -> float:
            """Return the clock, in seconds."""
            ...

        def accepted(self, session: Session, transport: Transport, /) -> None:
            """A WebSocket is open: the session begins, or has a candidate."""

        def touched(self, session: Session, /) -> None:
            """It is to be flushed at the end of the turn."""

        def flushed(self, session: Session, /) -> None:
            """It was flushed: its deadline is to be looked at."""

        def confirmed(self, session: Session, /) -> None:
            """It has a place of its own: the layer above has taken the client in."""

        def failed(self, session: Session, failure: Failed, /) -> None:
            """The peer has made a mistake that ends it."""

        def cut(self, session: Session, message: str, rule: str, /) -> None:
            """It is cut off, for the log."""

        def ended(self, session: Session, /) -> None:
            """It is over; called once."""


__all__ = ["Session"]

# Bound once: looking a member up in its enum is slow.
_OPEN, _CLOSED, _STEADY = SessionState.OPEN, SessionState.CLOSED, Stage.STEADY


class _NoUser:
    """The user of a session that nobody has taken yet."""

    __slots__ = ()

    held = incoming = connect_data = queued_bytes = 0
    reading, paused = True, False

    def receive(self, data: str | bytes) -> None:
        """Drop a message."""

    def moved(self) -> None:
        """Do nothing."""

    reroute = drained = go_on = go_on_alone = clogged = flowing = abandon = moved

    def ended(self, reason: str, description: str | None = None) -> None:
        """Do nothing."""


_NO_USER = _NoUser()


class Session:
    """One client; made by the registry, told of its transport's doings by that.

    ``id`` is a secret: whoever knows it can speak for the client.  ``certificate`` is the one that
    it has shown (mutual TLS).  ``kind`` is its transport, ``query`` and
    ``link`` those of the first request.
    """

    __slots__ = (
        *("id", "address", "secure", "certificate", "connection", "transport", "candidate"),
        *("stage", "limits", "guest", "_user", "_owner", "_first", "_grace"),
    )

    def __init__(
        self,
        sid: str,
        connection: EngineIOConnection,
        kind: type[Transport],
        query: Query,
        owner: SessionOwner,
        link: Link,
        *,
        first: bytes | Request | FirstRequest = b"",
        guest: bool = False,
    ) -> None:
        self.id = sid
        self.address = link.address
        self.secure = link.secure
        self.certificate = link.certificate if link.secure else None
        self.connection: EngineIOConnection | Traced = connection
        self.limits = owner.limits
        self.guest = guest
        """Whether nobody has confirmed the session: it may have to make room for another one."""
        self.transport: Transport = kind(self, owner.options, query)
        self.candidate: Candidate | None = None
        self.stage = Stage.NEW
        self._user: SessionUser = _NO_USER
        self._owner = owner
        self._first = first
        # After our close: until when a request that takes the queue is waited for.
        self._grace: float | None = None

    # What the layer above asks

    def bind(self, user: SessionUser) -> None:
        """Give the layer above what comes from now on."""
        self._user = user

    @property
    def user(self) -> SessionUser:
        """The layer above."""
        return self._user

    def confirm(self) -> None:
        """Give the session a place of its own: the layer above has taken the client in."""
        if self.guest:
            self.guest = False
            self._owner.confirmed(self)

    def watch(self, report: Reporter) -> None:
        """Report every packet and event from now on (:class:`rawsio.trace.Traced`)."""
        from rawsio.trace import Traced

        self.connection = Traced(self.connection, "engineio", report)
        self._user.reroute()

    @property
    def revision(self) -> int:
        """The protocol: 4 or 3."""
        return self.connection.revision

    @property
    def state(self) -> SessionState:
        """How far the session is."""
        return self.connection.state

    @property
    def request(self) -> Request:
        """The first request of the session; from now on it is kept as an object."""
        self._first = self.glance()
        return self._first

    @property
    def head_size(self) -> int:
        """How long the head of the first request is."""
        first = self._first
        if isinstance(first, Request):
            return len(first.headers.block)
        return len(first) if isinstance(first, bytes) else first.size

    @property
    def held(self) -> int:
        """Bytes that are kept for the session, beside what waits to be sent."""
        return self.head_size + self._user.held

    def glance(self) -> Request:
        """Return the first request for who looks at it once: it is kept as it is."""
        first = self._first
        return first if isinstance(first, Request) else thaw(first)

    @property
    def buffered_amount(self) -> int:
        """Bytes that wait for the peer to take them (of queued text: characters)."""
        return self.transport.buffered_amount

    @property
    def writable(self) -> bool:
        """Whether what is sent now leaves with this turn: a volatile message asks."""
        return self.transport.writable

    @property
    def polled(self) -> bool:
        """Whether packets may wait here for a request of the client."""
        return not self.transport.immediate and self.stage is not Stage.OVER

    def owns(self, link: Link) -> bool:
        """Whether a link carries everything of the session, as long as it lasts."""
        return self.transport.immediate and self.transport.carrier is link

    # Sending

    def send(self, event: Message | Closed) -> None:
        """Send a ``Message``, or ``Closed`` to end the session.

        Raises ``LocalProtocolError``, and changes nothing, when it is illegal now.
        """
        if type(event) is Closed:
            self.close(event.reason)
            return
        # In a payload of protocol 4 nothing can be escaped; on a WebSocket nothing needs to be.
        if self.transport.payloads and self.connection.revision == 4:
            check_separator(event)
        connection = self.connection
        connection.send(event)
        if self.transport.immediate:
            self.transport.send_all(connection.data_to_send())
        else:
            self._owner.touched(self)

    def send_prepared(self, prepared: Any) -> None:
        """Send what was encoded once for many; legal exactly when a ``Message`` is."""
        connection = self.connection
        connection.send_prepared(prepared)
        if self.transport.immediate:
            self.transport.send_all(connection.data_to_send())
        else:
            self._owner.touched(self)

    def put_text(self, packet: Any) -> bool:
        """Queue a packet that is encoded; ``False`` where that is not all that is to be done."""
        connection = self.connection
        if connection.state is not _OPEN or connection.base64:
            return False
        connection.put(packet)
        self._owner.touched(self)
        return True

    put_prepared = put_text

    def flush(self) -> None:
        """Let the transport take what is queued; the driver calls it once a turn."""
        self.transport.flush()
        self._owner.flushed(self)

    def close(self, reason: str = "forced close", *, discard: bool = False) -> None:
        """End the session from our side, without a word to the layer above.

        Where no packet can leave now (no poll waits), what is queued waits for one more request,
        for ``limits.poll_grace`` seconds, or for the WebSocket that is about to take over: a client
        that goes over polls no more.  ``discard`` drops it, and a guest gets no such time.  A
        session that is over stays so.
        """
        connection, transport = self.connection, self.transport
        if connection.state is _CLOSED:
            return
        if self.guest and not transport.ready:
            discard = True
        if discard:
            connection.data_to_send()
        else:
            transport.flush()
        connection.send(Closed(0, reason))
        if discard or transport.ready:
            self.settle()
            self._let_go()
        else:
            if self.candidate is None:
                self._move(Stage.LEAVING)
            self._grace = 0.0
            self._owner.touched(self)

    def end(self, reason: str) -> None:
        """End the session from our side, and tell the layer above first."""
        self._user.ended(reason)
        self.close(reason)

    def cut_off(self, message: str, rule: str) -> None:
        """End the session at once, whatever waits, with a line in the log."""
        self._owner.cut(self, message, rule)
        self._user.ended("transport error", message)
        self.transport.abort(message)
        self.close("transport error", discard=True)

    # Receiving

    def receive(self, packet: str | bytes) -> bool:
        """Take one packet of the client; ``False`` if it was a mistake, which ends the session."""
        connection, before = self.connection, None
        if packet.__class__ is str and packet[:1] != "4":  # no message: it may be answered
            before = connection.deadline, connection.pending > 0
        events = connection.receive(packet)
        if events:
            event = events[0]
            if event.__class__ is not Message:
                self.settle()
                self._over(event)
                return event.__class__ is not Failed
            self._user.receive(event.data)
            # Nearly every message is short, and read at once.
            long = packet.__class__ is not str or len(packet) >= self.limits.turn_bytes
            if long and not self._user.reading:
                self.transport.wait_for_reader()
        elif before is not None and (connection.deadline, connection.pending > 0) != before:
            self.settle()
        return True

    @property
    def reading(self) -> bool:
        """Whether more packets are of use: not while a long message is read in steps."""
        return self._user.reading

    def read_on(self) -> None:
        """Read the next step of the long message."""
        self._user.go_on()
        self.connection.excuse()

    def read_alone(self) -> None:
        """Read a long message to its end, in turns of its own."""
        self._user.go_on_alone()

    def _over(self, event: Closed | Failed) -> None:
        message = None
        if type(event) is Failed:
            message = event.message
            self._owner.failed(self, event)
        self._user.ended(reason_of(event), message)
        self._let_go()

    def fail(self, error: EngineIOError) -> None:
        """End the session for a mistake that its requests made."""
        for event in self.connection.fail(error):
            self.settle()
            self._over(event)

    def lose(self, error: EngineIOError | None) -> None:
        """Take note that the client is gone: in an orderly way, or for this error."""
        connection = self.connection
        if error is None and connection.receive_eof():
            # What it has given is known: this is how nearly every session ends.
            if self.transport.close():
                self._end()
            self._user.ended("transport close")
            self._let_go()
        for event in () if error is None else connection.fail(error):
            # Not only the end of it: a poll may wait beside the post that was cut off.
            self.settle()
            self._over(event)

    def pause(self, paused: bool) -> None:  # noqa: FBT001 - a state, not a flag
        """Stop reading from the client while ``paused``; what it owes may come behind that."""
        self.connection.excuse()
        if paused:
            self.transport.pause()
        else:
            self.transport.resume()

    def drained(self) -> None:
        """Take note that what waited to be sent has been taken."""
        self._user.drained()

    # What a transport asks

    @property
    def pending(self) -> int:
        """How many packets wait to be sent."""
        return self.connection.pending

    @property
    def queued(self) -> int:
        """How long they are together, in bytes (of text: characters)."""
        return self.connection.buffered

    def take(self) -> list[Any]:
        """Take them: ``str``, ``bytes``, and ``Prepared`` in place of several."""
        return self.connection.data_to_send()

    def take_share(self) -> list[Any]:
        """Take ``limits.unpolled_bytes`` of them, or one; what is more waits for the next time.

        To encode and compress all of a long queue takes too long for one turn.
        """
        connection = self.connection
        if connection.pending < 2:
            return connection.data_to_send()
        return connection.take(self.limits.unpolled_bytes)

    @property
    def crowded(self) -> bool:
        """Whether so much waits that what the client sends should wait as well.

        While a WebSocket is probed the client does not poll until its post is answered.
        """
        return self.stage is Stage.STEADY and self.queued > self.limits.unpolled_bytes

    @property
    def lingers(self) -> bool:
        """Whether it was closed by us, and waits for a request that takes the last packets."""
        return self._grace is not None

    def carried_by(self, transport: Transport) -> bool:
        """Return whether it is open, and this is its transport."""
        return self.transport is transport and self.connection.state is _OPEN

    def time(self) -> float:
        """Return the clock, in seconds."""
        return self._owner.time()

    def touch(self) -> None:
        """Have it flushed at the end of the turn, and its deadline looked at."""
        self._owner.touched(self)

    def carry_on(self) -> None:
        """Take note that packets can leave now."""
        if self._grace is None:
            self.transport.flush()
        else:
            self.settle()

    def accepted(self, transport: Transport) -> None:
        """Take note that a transport has its WebSocket."""
        self._owner.accepted(self, transport)

    def begin(self) -> None:
        """Take note that the open packet is on its way."""
        self.stage = _STEADY

    # The end

    def settle(self) -> None:
        """Do what a packet, the time or a close has left to do."""
        connection, transport = self.connection, self.transport
        if connection.state is _CLOSED:
            if transport.close():
                self._end()
            return
        if connection.pending and transport.immediate:
            transport.send_all(connection.data_to_send())
        if connection.deadline == 0.0 or connection.pending:
            self._owner.touched(self)

    def _end(self) -> None:
        if self.stage is Stage.OVER:
            return
        if self.candidate is not None:
            self.drop_candidate()
        self._move(Stage.OVER)
        if self._grace is not None:  # it was closed by us, and the layer above knows
            self._grace, self._user = None, _NO_USER
        self.transport.end()
        self.transport = gone(self.transport.name)
        self.connection.data_to_send()
        self._owner.ended(self)

    def _let_go(self) -> None:
        """Forget the layer above, which knows this session: what ends must leave no ring."""
        if self.stage is Stage.OVER:
            self._user = _NO_USER

    def _move(self, stage: Stage) -> None:
        if stage not in STAGES[self.stage]:
            raise LocalProtocolError(f"a session cannot go from {self.stage} to {stage}")
        self.stage = stage

    # The upgrade

    def probe(self, transport: Transport, timeout: float) -> None:
        """Take a WebSocket as candidate; a second one is closed, and so is a late one."""
        if self.stage is not Stage.STEADY or transport.name not in self.transport.upgrades:
            transport.end()
            return
        from .candidate import Candidate

        self._move(Stage.PROBING)
        self.candidate = Candidate(self, transport, timeout)
        transport.divert(self.candidate)
        self._owner.touched(self)

    def upgrade(self, candidate: Candidate) -> None:
        """Let a candidate take over, whose probe has succeeded."""
        before, transport = self.transport, candidate.transport
        before.finish()
        if not self._user.reading:
            self._user.go_on_alone()
        if self.candidate is not candidate:
            return
        self._move(Stage.STEADY)
        self.transport, self.candidate = transport, None
        transport.divert(transport)
        transport.flush()
        before.end()
        if self.connection.state is _CLOSED:  # it was closed meanwhile
            self.settle()
        else:
            self._user.moved()

    def drop_candidate(self) -> None:
        """Give up the candidate, if there is one; the session stays where it is."""
        candidate, self.candidate = self.candidate, None
        if candidate is not None:
            self._move(Stage.STEADY)
            if self._grace is not None:
                self._move(Stage.LEAVING)
            candidate.transport.end()

    # Time

    @property
    def deadline(self) -> float | None:
        """When ``tick`` wants to be called."""
        due = self.connection.deadline
        transport = self.transport
        if transport.immediate:
            return due
        if self._overfull:
            return 0.0
        carried = transport.deadline
        if carried is None and self._grace is None and self.candidate is None:
            return due
        others = [carried, self._grace]
        if self.candidate is not None:
            others.append(self.candidate.deadline)
        for when in others:
            if when is not None and (due is None or when < due):
                due = when
        return due

    @property
    def _overfull(self) -> bool:
        connection = self.connection
        return connection.pending > self.limits.unpolled and connection.state is not _CLOSED

    def tick(self, now: float) -> list[Any]:
        """Tell the time: the heartbeat, a probe, the last wait for a poll; no events."""
        connection, transport = self.connection, self.transport
        connection.hold(transport.incoming)
        if self._user.paused or not self._user.reading:
            connection.excuse()
        events = connection.tick(now)
        if not transport.immediate:
            if self.candidate is not None:
                self.candidate.tick(now)
            self._tick_grace(now)
            if self._overfull:
                message = f"{connection.pending} packets wait for a poll, which does not come"
                error = EngineIOError(message, "engineio-v4-polling-unpolled")
                events += connection.fail(error)
            transport.tick(now)
        if events or connection.pending:
            self.settle()
        for event in events:
            self._over(event)
        return []

    def _tick_grace(self, now: float) -> None:
        grace = self._grace
        if grace == 0.0:
            self._grace = now + self.limits.poll_grace
        elif grace is not None and now >= grace:
            self._end()
