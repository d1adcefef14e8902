"""The client: one connection to a server, kept up, and sockets for the namespaces on it.

::

    import rawsio

    with rawsio.connect("http://localhost:3000", auth={"token": "..."}) as socket:

        @socket.on("chat message")
        def show(text):
            print(text)

        reply = socket.emit_with_ack("chat message", "hello").result(timeout=5)

:func:`connect` runs the loop in a thread of its own.  A :class:`Client` can also be driven by
``step``, beside a loop of yours, or on asyncio (``async with Client(url) as socket``).

The one idea: **a client is a state and one session at most.**  Sockets say whether they want to be
connected; while any does, a session is opened, and opened again after a back-off when it ends for
a reason that was not ours.  Sockets, handlers and what waits to be sent outlive sessions.

What is left out: asking for names without waiting, proxies, cookies, and Socket.IO v2.
"""

from __future__ import annotations

from enum import Enum
from os import urandom

from rawsio.app.handler_queue import HandlerQueue
from rawsio.app.handlers import Handler
from rawsio.app.lifecycle_events import announce
from rawsio.app.listeners import Listening
from rawsio.app.reply import check_seconds
from rawsio.engineio.client.session import EngineIOClient
from rawsio.engineio.packets import Opened
from rawsio.errors import ConnectionClosed, LocalProtocolError, leaves_the_loop
from rawsio.layer import Closed, Failed, Role
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.packets import Disconnect
from rawsio.stack import prepare, preparer

from .connector import CLOSED, ClientRuntime, Connector, Loop
from .membership import MANAGED, ClientHandlers, Membership, Space, check_client_name
from .options import (
    CLIENT_LIMITS,
    Backoff,
    check_auth,
    check_brought,
    check_headers,
    check_named,
    escaped_query,
    given_headers,
    make_options,
    parse_url,
)
from .session import ClientSession, reason_of_end
from .socket import ClientSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from ssl import SSLContext
    from typing import Any, NoReturn, TypeVar

    from typing_extensions import Unpack

    from rawsio.app.handlers import Handlers
    from rawsio.limits import Limits
    from rawsio.socketio.connection import Parser
    from rawsio.stack import Prepared
    from rawsio.trace import ClientTrace

    from .options import Auth, ClientKeywords, ConnectKeywords, Fields, Parameters

    FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

__all__ = ["Client", "State", "connect"]


class State(Enum):
    """What a client is doing."""

    IDLE = "idle"
    """No socket wants to be connected, or all attempts are used up."""
    OPENING = "opening"
    OPEN = "open"
    WAITING = "waiting"
    """The next attempt comes after the back-off."""
    CLOSED = "closed"
    """``close`` was called: it never connects again."""


class Client(Listening):
    """A connection to a Socket.IO server; see the module's essay.

    ``url`` is ``http(s)://host[:port][/namespace][?query]``.  ``auth`` is what each CONNECT
    carries, a dict or a function that returns one.  ``headers`` and ``query`` (mappings or pairs)
    go with every request; ``headers`` may be a function, too, called before each attempt.  ``tls``
    is an ``ssl.SSLContext``; without one the system's certificates count.  ``executor`` runs
    handlers on threads.  ``trace`` is a :class:`rawsio.Recorder` of what passes.  ``world`` is for
    those who bring a loop and a network of their own (:class:`rawsio.testing.TestKit` is one).  All
    further options, by name, are the fields of :class:`~rawsio.client.options.ClientOptions`.

    Its own events, for ``on``, ``once`` and ``off``, are ``reconnect_attempt(number)``,
    ``reconnect(number)``, ``reconnect_error(error)`` and ``reconnect_failed()``; those of a
    namespace are its socket's.
    """

    _hooks = None
    _raised = MANAGED

    def __init__(  # noqa: PLR0913 - what the user brings along, all but one by keyword
        self,
        url: str,
        *misplaced: NoReturn,
        auth: Auth | None = None,
        headers: Fields | Callable[[], Fields | None] | None = None,
        query: Parameters | None = None,
        tls: SSLContext | None = None,
        executor: Executor | None = None,
        limits: Limits | None = None,
        parser: Parser | None = None,
        trace: ClientTrace | None = None,
        random_bytes: Callable[[int], bytes] = urandom,
        world: Any = None,
        **options: Unpack[ClientKeywords],
    ) -> None:
        check_named(misplaced)
        self.options, self.address = make_options(options), parse_url(url)
        below = {"tls": tls, "trace": trace}
        check_brought(self.address, auth, executor=executor, parser=parser, limits=limits, **below)
        self._headers, self._query = given_headers(headers), escaped_query(self.address, query)
        self._parser = parser
        self.host = ClientRuntime(
            Loop() if world is None else world.loop,
            CLIENT_LIMITS if limits is None else limits,
            executor=executor,
            encode=prepare if parser is None else preparer(parser),
            random_bytes=random_bytes,
        )
        self._wires = Connector(self.host, self.address, self.options, self._take, world, **below)
        self.state = State.IDLE
        self._queue = HandlerQueue(self.host, self._wires)  # type: ignore[arg-type]  # pauses only
        self._handlers, self._space = ClientHandlers(), Space("the client", self.host)
        self.sockets: dict[str, ClientSocket] = {}
        self._session: ClientSession | None = None
        self._backoff = Backoff(self.options, random_bytes)
        self._timer: Any = None
        self._most = 0
        self.main = self._socket(self.address.namespace, auth)

    # Namespaces

    def socket(self, namespace: str, auth: Auth | None = None) -> ClientSocket:
        """Return the socket of a namespace, made (and on its way in) if it is new.

        ``auth`` is for this namespace alone.
        """
        known = self.sockets.get(namespace) if isinstance(namespace, str) else None
        return known if known is not None else self._socket(namespace, auth).connect()

    def _socket(self, namespace: str, auth: Auth | None) -> ClientSocket:
        if not isinstance(namespace, str):
            raise TypeError(f"the name of a namespace is a str, as '/admin', not {namespace!r}")
        if not namespace.startswith("/") or "," in namespace:
            raise ValueError(
                f"the name of a namespace begins with a slash, and has no comma: {namespace!r}"
            )
        check_auth(auth)
        made = self.sockets[namespace] = ClientSocket(self, namespace, auth)
        return made

    def _active(self) -> list[ClientSocket]:
        # A copy: other threads may make sockets meanwhile.
        return [socket for socket in list(self.sockets.values()) if socket.active]

    def _own_handlers(self) -> Handlers:
        return self._handlers

    def _own_host(self) -> ClientRuntime:
        return self.host

    def _check_name(self, name: str | int) -> None:
        check_client_name(name, managed=True)

    def _add_handler(self, name: str | int, handler: Handler) -> None:
        self.host.call(self._handlers.add, name, handler)

    def _remove_handlers(self, name: str | int, fn: Callable[..., Any] | None) -> None:
        self.host.call(self._handlers.remove, name, fn)

    def on_error(self, fn: FunctionT) -> FunctionT:
        """Call ``fn(error, socket, event, args)`` when a handler fails; also a decorator.

        It may take fewer parameters.  The log has its line in any case.
        """
        made = Handler(fn)
        self.host.expect(fn)
        self.host.error_handlers = (*self.host.error_handlers, made)
        return fn

    def _announce(self, name: str, *values: Any) -> None:
        self._queue.perform(announce, self._queue, Membership(self), name, *values)

    # What sockets ask of it

    def _check_open(self) -> None:
        """Raise ``ConnectionClosed`` after ``close``."""
        if self.state is State.CLOSED:
            raise ConnectionClosed(CLOSED)

    def _check_size(self, prepared: Prepared) -> None:
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

    @property
    def _writable(self) -> bool:
        """Whether what is sent now goes out at once."""
        return self._session is not None and self._session.writable

    def _transmit(self, prepared: Prepared) -> None:
        """Send a packet that was encoded before."""
        session = self._session
        if session is not None and not session.over:
            session.send_prepared(prepared)
            self._wires.touch(session)

    def _send(self, packet: Any) -> None:
        """Send a packet."""
        session = self._session
        if session is not None and not session.over:
            session.send(packet)
            self._wires.touch(session)

    def _activate(self, socket: ClientSocket) -> None:
        """A socket wants to be connected."""
        if self.state is State.OPEN:
            self._join(socket)
        elif self.state is State.IDLE:
            self._backoff.reset()
            self._open()

    def _leave(self, socket: ClientSocket) -> None:
        """A socket leaves its namespace."""
        if self.state is State.OPEN:
            self._send(Disconnect(socket.namespace))
        self._left(socket)

    def _left(self, _socket: ClientSocket) -> None:
        """A socket is out of its namespace: the last one ends the connection."""
        if self._active() or self.state is State.CLOSED:
            return
        self._stop_timer()
        self.state = State.IDLE
        self._end_session()

    # Sessions

    def _open(self) -> None:
        given = self._headers
        try:
            self._wires.headers = check_headers(given()) if callable(given) else given
        except BaseException as error:
            self.state = State.IDLE
            for socket in self._active():
                self._refuse(socket, error)
            if leaves_the_loop(error):
                raise
            return
        self.state = State.OPENING
        options = self.options
        engine = EngineIOClient(
            options.full_path(),
            query=self._query,
            transports=tuple(options.transports),
            upgrade=options.upgrade,
            limits=self.host.limits,
        )
        protocol = SocketIOConnection(Role.CLIENT, self.host.limits, parser=self._parser)
        session = ClientSession(engine, protocol, self._wires.new_stack, self._broke)
        self._session = session
        if options.timeout is not None:
            self._timer = self.host.call_later(options.timeout, self._late, session)
        self._wires.touch(session)

    def _late(self, session: ClientSession) -> None:
        self._timer = None
        session.discard()
        self._over(session, "timeout", f"no answer within {self.options.timeout} s")

    def _take(self, session: ClientSession, events: list[Any]) -> None:
        """Handle events of a session, or a share of them: what is left is put back."""
        rest, end = iter(events), self.host.time() + self.host.limits.turn_time
        try:
            for event in () if session.waits else rest:
                self._handle(session, event)
                if self.host.time() >= end:
                    break
        finally:
            session.put_back(list(rest))
        self._wires.touch(session)

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
        self.state = State.OPEN
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
            self._left(socket)
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

    def _broke(self, session: ClientSession, reason: str) -> None:
        self._over(session, "transport error", reason)

    def _over(self, session: ClientSession, reason: str, text: str) -> None:
        if session is not self._session:
            return
        self._session = None
        opening = self.state is State.OPENING
        self._stop_timer()
        self.state = State.IDLE
        active = self._active()
        try:
            if opening:
                self._tell_failed(active, session.broken or text)
            else:
                for socket in active:
                    socket._ended(reason, text)
        finally:  # a handler may have raised SystemExit
            self._reconnect()

    def _tell_failed(self, active: list[ClientSocket], why: str) -> None:
        error = ConnectionClosed(f"cannot connect to {self.address.origin}: {why}")
        if self._backoff.attempts:
            self._announce("reconnect_error", error)
        for socket in active:
            socket._failed(error)

    def _reconnect(self) -> None:
        # A handler may have connected or closed meanwhile.
        if self.state is not State.IDLE or not self._active():
            return
        most = self.options.reconnection_attempts
        if not self.options.reconnection or (most is not None and self._backoff.attempts >= most):
            failed = self.options.reconnection
            for socket in self._active():
                socket._give_up()
            if failed:
                self._announce("reconnect_failed")
            return
        self.state = State.WAITING
        self._timer = self.host.call_later(self._backoff.next(), self._attempt)

    def _attempt(self) -> None:
        self._timer = None
        self._announce("reconnect_attempt", self._backoff.attempts)
        if self.state is State.WAITING:
            self._open()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
            self._wires.touch(session)

    # How it stands

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self.state is State.OPEN

    @property
    def transport(self) -> str | None:
        """``"polling"`` or ``"websocket"``, as it is now; ``None`` without a connection."""
        return self._session.transport if self._session is not None else None

    def _end(self) -> None:
        """Do what ``close`` asks for, on the loop's thread."""
        # The end of the connection is all that is said.  A DISCONNECT would make official servers
        # overlook what was emitted just before it.
        self.state = State.CLOSED
        for socket in list(self.sockets.values()):
            socket._leave()
            socket._conclude("the client is closed")
        self._stop_timer()
        self._end_session()

    # The ways to run it

    def start(self) -> Client:
        """Run the loop in a thread of its own, until ``close``."""
        self._wires.host.begin_turns("`async with Client(url) as socket` instead")
        self._wires.start(self._end)
        return self

    def step(self, timeout: float | None = None) -> None:
        """Make one turn of the loop, instead of ``start``; wait at most ``timeout`` seconds."""
        check_seconds(timeout)
        if not self._wires.leaving:
            self._wires.host.begin_turns("`async with Client(url) as socket` instead")
        self._wires.step(timeout)

    def fileno(self) -> int:
        """Return a descriptor that is readable when ``step(0)`` has something to do."""
        return self._wires.loop.fileno()

    def next_deadline(self) -> float | None:
        """Return the time (of ``client.host.time()``) when ``step`` wants to be called."""
        return self._wires.loop.next_deadline()

    @property
    def closed(self) -> bool:
        """Whether everything is over after :meth:`close`."""
        return self._wires.closed

    def close(self, timeout: float = 1.0) -> None:
        """Leave every namespace and end the connection for good; idempotent.

        With a thread of its own this waits until what was emitted is sent, at most ``timeout``
        seconds; otherwise make turns until :attr:`closed`.
        """
        check_seconds(timeout)
        self._wires.close(self._end, timeout)

    def __enter__(self) -> ClientSocket:
        self.main.connect()
        self.start()
        try:
            self.main.opening.result(self.options.timeout)
        except TimeoutError as error:
            self.close()
            raise self._not_in_time() from error
        except BaseException:
            self.close()
            raise
        return self.main

    def _not_in_time(self) -> TimeoutError:
        trouble = self.main.trouble
        why = "" if trouble is None else f": {trouble}"
        return TimeoutError(f"not connected within {self.options.timeout} s{why}")

    def __exit__(self, *_error: object) -> None:
        self.close()

    async def __aenter__(self) -> ClientSocket:
        self._wires.move_to_asyncio()
        self.main.connect()
        seconds, opening = self.options.timeout, self.main._opening
        if seconds is not None:
            opening.set_timer(seconds, lambda: opening.fail(self._not_in_time()))
        try:
            await self.main.opening
        except BaseException:
            await self.__aexit__()
            raise
        return self.main

    async def __aexit__(self, *_error: object) -> None:
        await self._wires.close_on_asyncio(self._end, 1.0)


def connect(url: str, *misplaced: NoReturn, **options: Unpack[ConnectKeywords]) -> ClientSocket:
    """Connect to a server and return the socket, connected; the loop runs in a thread.

    The options are those of :class:`Client`.  Raises :class:`~rawsio.errors.Refused` with what the
    server said if it refused, :class:`~rawsio.errors.ConnectionClosed` if it cannot be reached
    (unless ``retry=True``), and ``TimeoutError`` after the option ``timeout``.
    """
    return Client(url, *misplaced, **options).__enter__()


def _size(packet: str | bytes) -> int:
    if isinstance(packet, bytes) or packet.isascii():
        return len(packet)
    return len(packet.encode("utf-8", "surrogatepass"))
