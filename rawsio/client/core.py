"""The client without sockets: when to connect, what to do when a connection ends, and who hears it.

A :class:`ClientCore` is a state and one session at most.  Sockets say whether they want to be
connected; while any does, a session is opened, and opened again after a back-off when it ends for
a reason that was not ours.  Sockets, handlers and what waits to be sent outlive sessions.

A *host* has the connections: it makes one whenever a session wants one (:meth:`ClientHost.dial`),
feeds its session with what comes in, and hands the events to :meth:`ClientCore.take`.
:mod:`rawsio.client.connector` is the host on sockets.
"""

from __future__ import annotations

from enum import Enum

from rawsio.app.dispatch import EventQueue
from rawsio.app.lifecycle_events import announce
from rawsio.app.watchdog import Watchdog
from rawsio.engineio.client.session import EngineIOClient
from rawsio.engineio.packets import Opened
from rawsio.errors import ConnectionClosed, LocalProtocolError, leaves_the_loop
from rawsio.extension import Extensions
from rawsio.layer import Closed, Failed, Role
from rawsio.log import ERROR
from rawsio.reading import Reading
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.packets import Disconnect

from .express import ClientExpress
from .membership import ClientHandlers, Membership, Space
from .options import Backoff, check_headers
from .session import ClientSession, reason_of_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol

    from rawsio.app.interfaces import Handle
    from rawsio.extension import Extension
    from rawsio.prepared import Prepared
    from rawsio.runtime import Runtime
    from rawsio.socketio.connection import Parser

    from .options import Address, ClientOptions, Fields
    from .socket import ClientSocket
    from .stack import ClientStack

    Pairs = tuple[tuple[str, str], ...]

    class ClientHost(Protocol):
        """Who runs a core."""

        def dial(self, session: ClientSession, /) -> ClientStack:
            """Return a stack whose connection is on its way."""
            ...

        def touch(self, session: ClientSession, /) -> None:
            """Have ``session.flush()`` called at the end of the turn, and see to its deadline."""

        def pause(self, paused: bool, /) -> None:  # noqa: FBT001 - a state, not a flag
            """Stop reading from the server, or go on."""

        def close(self, timeout: float, /) -> None:
            """End everything: an extension could not begin."""

else:
    ClientHost = object

__all__ = ["CLOSED", "ClientCore", "ClientHost", "ClientState"]

CLOSED = "the client is closed: make a new one"
"""What whoever uses it still is told."""


class ClientState(Enum):
    """What a client is doing."""

    IDLE = "idle"
    """No socket wants to be connected, or all attempts are used up."""
    OPENING = "opening"
    OPEN = "open"
    WAITING = "waiting"
    """The next attempt comes after the back-off."""
    CLOSED = "closed"
    """``close`` was called: it never connects again."""


class _NoHost:
    """Stands for the host before there is one: nothing is connected."""

    def close(self, timeout: float) -> None:
        """Nothing has begun."""

    def dial(self, session: ClientSession) -> ClientStack:
        """Refuse: there is nobody to connect."""
        raise RuntimeError(f"{session!r} wants a connection, and no host runs the client")

    def touch(self, session: ClientSession) -> None:
        """There is no session."""

    def pause(self, paused: bool) -> None:  # noqa: FBT001 - a state, not a flag
        """There is no connection."""


class ClientCore:
    """The sockets of one client, and the session that carries them; see the module.

    ``headers`` are those of every request, or a function that is called before each attempt;
    ``query`` is that of the URL.
    """

    _hooks = None

    def __init__(
        self,
        runtime: Runtime,
        options: ClientOptions,
        address: Address,
        *,
        headers: Pairs | Callable[[], Fields | None] = (),
        query: Pairs = (),
        parser: Parser | None = None,
        extensions: Iterable[Extension] = (),
    ) -> None:
        self.runtime = runtime
        self.extensions = Extensions(runtime, extensions)
        self.options = options
        self.address = address
        self.state = ClientState.IDLE
        self.sockets: dict[str, ClientSocket] = {}
        self.queue = EventQueue(runtime, self)
        self._handlers = ClientHandlers()
        self._space = Space("the client", runtime)
        self.headers: Pairs = ()
        """The header fields of the attempt in work."""
        self._host: ClientHost = _NoHost()
        self._given_headers = headers
        self._query = query
        self._parser = parser
        self._session: ClientSession | None = None
        self._backoff = Backoff(options, runtime.random_bytes)
        self._timer: Handle | None = None
        self._most = 0
        # How plain events are read; made when the first WebSocket opens.
        self._reading: Reading | None = None

    def start(self, host: ClientHost) -> None:
        """Run on this host, whose loop the runtime has, or will have."""
        self._host = host

    def begin(self) -> None:
        """Let the extensions begin: the host has a loop.

        What one of them raises comes out here, or, if it was waited for, closes the client.
        """
        failed: list[BaseException] = []
        at_once = True

        def started(error: BaseException | None) -> None:
            if error is None:
                return
            if at_once:
                failed.append(error)
            else:
                self.runtime.log("server", ERROR, "the client closes: it cannot begin", error)
                self._host.close(0.0)

        self.extensions.start(started, [Watchdog(self.runtime.limits)])
        at_once = False
        if failed:
            raise failed[0]

    def pause(self, paused: bool) -> None:  # noqa: FBT001 - a state, not a flag
        """Stop reading from the server while too many of its events wait for their handlers."""
        self._host.pause(paused)
        if self._session is not None:
            self._session.pause(paused)

    def _active(self) -> list[ClientSocket]:
        # A copy: other threads may make sockets meanwhile.
        return [socket for socket in list(self.sockets.values()) if socket.active]

    def _announce(self, name: str, *values: Any) -> None:
        self.queue.perform(announce, self.queue, Membership(self, self), name, *values)

    # What sockets ask of it

    def check_open(self) -> None:
        """Raise ``ConnectionClosed`` after ``close``."""
        if self.state is ClientState.CLOSED:
            raise ConnectionClosed(CLOSED)

    def check_size(self, prepared: Prepared) -> None:
        """Raise ``LocalProtocolError`` for a packet longer than the server takes."""
        most, session = self._most, self._session
        if not most:
            return
        if session is not None and session.transport == "polling":
            size = len(prepared.payload.encode("utf-8", "surrogatepass"))
        else:
            size = max(_size(packet) for packet in prepared.packets())
        if size > most:
            raise LocalProtocolError(
                f"the packet has {size} bytes, and this server takes {most} at a time"
                " (max_http_buffer_size there)"
            )

    def socket_in(self, namespace: str) -> ClientSocket | None:
        """Return the socket of a namespace."""
        return self.sockets.get(namespace)

    @property
    def session(self) -> object | None:
        """What tells one session from the next; ``None`` while there is none."""
        return self._session

    @property
    def writable(self) -> bool:
        """Whether what is sent now goes out at once."""
        return self._session is not None and self._session.writable

    def transmit(self, prepared: Prepared) -> None:
        """Send a packet that was encoded before."""
        session = self._session
        if session is not None and not session.over:
            quick = session.quick
            if quick is None or not quick.put(prepared):
                session.send_prepared(prepared)
                self._host.touch(session)

    def send(self, packet: Any) -> None:
        """Send a packet."""
        session = self._session
        if session is not None and not session.over:
            session.send(packet)
            self._host.touch(session)

    def activate(self, socket: ClientSocket) -> None:
        """A socket wants to be connected."""
        if self.state is ClientState.OPEN:
            self._join(socket)
        elif self.state is ClientState.IDLE:
            self._backoff.reset()
            self._open()

    def leave(self, socket: ClientSocket) -> None:
        """A socket leaves its namespace."""
        if self.state is ClientState.OPEN:
            self.send(Disconnect(socket.namespace))
        self.left(socket)

    def left(self, _socket: ClientSocket) -> None:
        """A socket is out of its namespace: the last one ends the connection."""
        if self._active() or self.state is ClientState.CLOSED:
            return
        self._stop_timer()
        self.state = ClientState.IDLE
        self._end_session()

    # Sessions

    def _open(self) -> None:
        given = self._given_headers
        try:
            self.headers = check_headers(given()) if callable(given) else given
        except BaseException as error:
            self.state = ClientState.IDLE
            for socket in self._active():
                self._refuse(socket, error)
            if leaves_the_loop(error):
                raise
            return
        self.state = ClientState.OPENING
        options = self.options
        engine = EngineIOClient(
            options.full_path(),
            query=self._query,
            transports=tuple(options.transports),
            upgrade=options.upgrade,
            limits=self.runtime.limits,
        )
        protocol = SocketIOConnection(Role.CLIENT, self.runtime.limits, parser=self._parser)
        session = ClientSession(engine, protocol, self._host.dial, self.broke, self._ready)
        self._session = session
        if options.timeout is not None:
            self._timer = self.runtime.call_later(options.timeout, self._late, session)
        self._host.touch(session)

    def _late(self, session: ClientSession) -> None:
        self._timer = None
        session.discard()
        self._over(session, "timeout", f"no answer within {self.options.timeout} s")

    def take(self, session: ClientSession, events: list[Any]) -> None:
        """Handle events of a session, or a share of them: what is left is put back."""
        rest, end = iter(events), self.runtime.time() + self.runtime.limits.turn_time
        try:
            for event in () if session.waits else rest:
                self._handle(session, event)
                if self.runtime.time() >= end:
                    break
        finally:
            session.put_back(list(rest))
        self._host.touch(session)

    def _handle(self, session: ClientSession, event: Any) -> None:
        kind = event.__class__
        if kind is Closed or kind is Failed:
            text = event.reason if kind is Closed else event.message
            self._over(session, reason_of_end(event), text)
        elif session is not self._session:
            return
        elif kind is Opened:
            self._opened(event)
        else:
            socket = self.sockets.get(event.namespace)
            if socket is not None:
                socket._take_packet(event)

    def _opened(self, opened: Opened) -> None:
        self._stop_timer()
        self.state = ClientState.OPEN
        self._most = opened.max_payload
        attempts = self._backoff.attempts
        self._backoff.reset()
        for socket in self._active():
            self._join(socket)
        if attempts:
            self._announce("reconnect", attempts)

    def _join(self, socket: ClientSocket) -> None:
        try:
            socket._join()
        except BaseException as error:
            self._refuse(socket, error)
            self.left(socket)
            if leaves_the_loop(error):
                raise

    @staticmethod
    def _refuse(socket: ClientSocket, error: BaseException) -> None:
        """Take note that a function of the user keeps a socket from being connected."""
        if isinstance(error, Exception):
            socket._fail_for_good(error)
        else:  # no handler is called while the program ends
            socket.active = False
            socket._opening.fail(ConnectionClosed(f"{type(error).__name__} was raised"))

    def _ready(self, session: ClientSession, stack: ClientStack) -> None:
        """Have a WebSocket that has just opened go the short way, if that is possible."""
        websocket = stack.plain
        if websocket is None or self._parser is not None:
            return
        if self._reading is None:
            self._reading = Reading(self.runtime.limits)
        session.quick = ClientExpress(self, session, stack, websocket, self._reading)
        stack.offer(session.quick)

    def broke(self, session: ClientSession, reason: str) -> None:
        """Take note that a session ended by a failure of ours."""
        self._over(session, "transport error", reason)

    def _over(self, session: ClientSession, reason: str, text: str) -> None:
        if session is not self._session:
            return
        self._session = None
        opening = self.state is ClientState.OPENING
        self._stop_timer()
        self.state = ClientState.IDLE
        active = self._active()
        try:
            if opening:
                self._tell_failed(active, session.broken or text)
            else:
                for socket in active:
                    self._tell_lost(socket, reason, text)
        finally:  # a handler may have raised SystemExit
            self._reconnect()

    def _tell_lost(self, socket: ClientSocket, reason: str, text: str) -> None:
        if socket.connected:
            socket._ended(reason, text)
            return
        where = f"{socket.namespace!r} at {self.address.origin}"
        why = f"the connection ended before {where} was joined: {text or reason}"
        socket._failed(ConnectionClosed(why))

    def _tell_failed(self, active: list[ClientSocket], why: str) -> None:
        error = ConnectionClosed(f"cannot connect to {self.address.origin}: {why}")
        self.runtime.doubt(self.address.host, self.address.port)
        if self._backoff.attempts:
            self._announce("reconnect_error", error)
        for socket in active:
            socket._failed(error)

    def _reconnect(self) -> None:
        # A handler may have connected or closed meanwhile.
        if self.state is not ClientState.IDLE or not self._active():
            return
        most = self.options.reconnection_attempts
        if not self.options.reconnection or (most is not None and self._backoff.attempts >= most):
            failed = self.options.reconnection
            for socket in self._active():
                socket._give_up()
            if failed:
                self._announce("reconnect_failed")
            return
        self.state = ClientState.WAITING
        self._timer = self.runtime.call_later(self._backoff.next(), self._attempt)

    def _attempt(self) -> None:
        self._timer = None
        self._announce("reconnect_attempt", self._backoff.attempts)
        if self.state is ClientState.WAITING:
            self._open()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
            self._host.touch(session)

    # How it stands

    @property
    def transport(self) -> str | None:
        """``"polling"`` or ``"websocket"``, as it is now; ``None`` without a connection."""
        return self._session.transport if self._session is not None else None

    def end(self, deadline: float, ended: Callable[[], None]) -> None:
        """Do what ``close`` asks for, on the loop's thread.

        The extensions end last, not later than ``deadline``; then ``ended()`` is called.
        """
        # The end of the connection is all that is said.  A DISCONNECT would make official servers
        # overlook what was emitted just before it.
        self.state = ClientState.CLOSED
        for socket in list(self.sockets.values()):
            socket._leave()
            socket._conclude("the client is closed")
        self._stop_timer()
        self._end_session()
        self.extensions.stop(deadline, ended)


def _size(packet: str | bytes) -> int:
    if isinstance(packet, bytes) or packet.isascii():
        return len(packet)
    return len(packet.encode("utf-8", "surrogatepass"))
