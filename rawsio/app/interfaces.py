"""What the application model needs of the world around it, as types.

Namespaces, sockets and multiplexers have no clock, thread, loop or transport.  A server gives them
one :class:`RuntimeLike`, and each multiplexer one :class:`SessionPort`, its way to an Engine.IO
session.  The docstrings below are the contracts.

Everything that changes state runs on one thread, the owner of the loop.  What other threads may
call (``emit``, ``join``, ``disconnect``, ...) checks and encodes where it is called, and hands the
change to :meth:`RuntimeLike.call`, which keeps the order.

:class:`NamespaceLike` and :class:`MultiplexerLike` are what the parts of the model need of each
other; they break the circle of imports between a socket, its namespace and its multiplexer.  All of
this exists for type checkers only; at run time the names are ``object``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Protocol, TypeVar, overload

    from rawsio.http.messages import Request
    from rawsio.limits import Limits
    from rawsio.net.tcp_info import TCPInfo

    Done = Callable[[Any, BaseException | None], None]
    FunctionT = TypeVar("FunctionT", bound=Callable[..., object])

__all__ = [
    "Connection",
    "FetchedSocket",
    "Handle",
    "Joined",
    "Lane",
    "RuntimeLike",
    "MultiplexerLike",
    "Prepared",
    "Route",
    "SessionPort",
    "NamespaceLike",
]

if TYPE_CHECKING:

    class Handle(Protocol):
        """A timer."""

        def cancel(self) -> None:
            """Never run it, if it has not run yet."""

    class Prepared(Protocol):
        """One encoded Socket.IO packet (``rawsio.prepared.Prepared``)."""

        checked: Limits | None
        """Which limits it is known to keep."""
        compress: bool
        """Whether it is worth compressing."""

        @property
        def size(self) -> int:
            """How long its messages are together."""
            ...

        @property
        def frame(self) -> bytes:
            """It as unmasked WebSocket frames."""
            ...

        @property
        def event(self) -> Any:
            """What it was made of."""

        @property
        def messages(self) -> tuple[str | bytes, ...]:
            """Its Engine.IO messages."""
            ...

        @property
        def parser(self) -> Any:
            """Whose form they have; ``None``: the standard form."""

    class Told(Protocol):
        """A function that is told of errors (``rawsio.app.handlers.Handler``)."""

        @property
        def fn(self) -> Callable[..., Any]:
            """The function."""
            ...

        def arguments(self, socket: Any, values: list[Any], /) -> tuple[Any, ...]:
            """Return as many of the values as it takes."""
            ...

    class RuntimeLike(Protocol):
        """The server (or client) around the model: clock, loop, threads, encoder, log."""

        limits: Limits
        """The bounds (:mod:`rawsio.limits`)."""
        inline: bool
        """Handlers that are no coroutine functions run at once, on the loop thread."""
        watchdog: Any
        """A :class:`~rawsio.app.watchdog.Watchdog`, or ``None``."""
        slow_handler: float
        """Seconds for which a function may block the loop before the watchdog is told."""
        recovery: Any
        """A :class:`~rawsio.app.recovery.Recovery`, or ``None``: no state is kept."""
        error_handlers: tuple[Told, ...]
        """Who is told of errors in the application's functions (``on_error``)."""
        random_bytes: Callable[[int], bytes]
        """Unpredictable bytes (``os.urandom``), for ids."""

        def watch(self, watchdog: Any, /) -> None:
            """Tell this watchdog, or nobody (``None``), of functions that block the loop."""

        def expect(self, fn: Any, /) -> None:
            """Take note of a function; ``TypeError`` if nobody could await it."""

        def prepare(self, event: Any, /, *, compress: bool = True) -> Prepared:
            """Encode a packet; raises ``LocalProtocolError`` if it cannot be.  Any thread."""
            ...

        def time(self) -> float:
            """Return the loop's clock, in seconds."""
            ...

        def wall(self) -> float:
            """Return the time of day, in seconds since 1970."""
            ...

        def call_later(self, delay: float, fn: Callable[..., None], /, *args: Any) -> Handle:
            """Run ``fn`` on the loop thread after ``delay`` seconds."""
            ...

        def on_loop(self) -> bool:
            """Tell whether the calling thread owns the loop (or nobody does yet)."""
            ...

        def call(self, fn: Callable[..., None], /, *args: Any) -> None:
            """Run ``fn`` now if this thread owns the loop, else queue it in order."""

        def start(self, fn: Callable[..., Any], args: tuple[Any, ...], done: Done, /) -> None:
            """Run a user's handler by the policy (on the loop, an executor, as a task).

            If ``fn`` gives a coroutine, it is driven to its end and its result counts.  ``done
            (result, error)`` is called exactly once, on the loop thread, at once or later;
            ``error`` is the exception that the handler raised.
            """

        def wait(self, reply: Any, timeout: float | None, /) -> None:
            """Block until ``reply.done()``; ``TimeoutError`` after ``timeout`` seconds.

            Raises ``RuntimeError`` at once on the thread that owns the loop.
            """

        def log(
            self, channel: str, level: int, message: str, error: BaseException | None = None, /
        ) -> None:
            """Write one line of log."""

    class Connection(Protocol):
        """One Engine.IO session as users see it: ``socket.conn``."""

        @property
        def id(self) -> str:
            """The Engine.IO session id, a secret."""
            ...

        @property
        def transport(self) -> str:
            """``"polling"`` or ``"websocket"``, as it is now."""
            ...

        @property
        def address(self) -> str:
            """Where the client's first request came from."""
            ...

        @property
        def certificate(self) -> dict[str, Any] | None:
            """The certificate that the client has shown (mutual TLS), or ``None``."""
            ...

        @property
        def tcp_info(self) -> TCPInfo | None:
            """What the kernel knows of the TCP connection now; ``None`` where it knows nothing."""
            ...

        @property
        def secure(self) -> bool:
            """Whether that was by TLS."""
            ...

        @property
        def issued(self) -> float:
            """When that was, in seconds since 1970."""
            ...

        @property
        def request(self) -> Request:
            """The first request of the session."""
            ...

        def glance(self) -> Request:
            """Return the same for who looks at it once."""
            ...

        @property
        def buffered_amount(self) -> int:
            """Bytes that wait for the client to take them."""
            ...

        @property
        def writable(self) -> bool:
            """Whether little enough waits to be sent that a volatile packet may join it."""
            ...

        @overload
        def on(self, name: str, fn: None = None, /) -> Callable[[FunctionT], FunctionT]: ...
        @overload
        def on(self, name: str, fn: FunctionT, /) -> FunctionT: ...

        def close(self, reason: str = ..., /) -> None:
            """End the session, and with it every socket of the connection."""

    class FetchedSocket(Protocol):
        """What ``fetch_sockets`` gives: a socket of this server, or of another one."""

        @property
        def id(self) -> str:
            """Its id."""
            ...

        @property
        def rooms(self) -> frozenset[str]:
            """The rooms that it is in."""
            ...

        @property
        def handshake(self) -> Any:
            """How the client introduced itself."""
            ...

        data: Any
        """What the application keeps with it; of another server's socket it is a copy."""

        def emit(self, name: str | int, /, *args: Any) -> None:
            """Send an event to it."""

        def join(self, *rooms: str | Iterable[str]) -> None:
            """Put it into rooms."""

        def leave(self, *rooms: str | Iterable[str]) -> None:
            """Take it out of rooms."""

        def disconnect(self, *, close: bool = False) -> None:
            """Disconnect it; ``close`` ends its whole connection."""

    class SessionPort(Connection, Protocol):
        """One Engine.IO session as a peer writes to it.

        No method raises, and after the end of the session all do nothing.
        """

        def route(self, multiplexer: Any, /) -> Route:
            """Choose the way of packets; asked anew when the transport changes, or one watches."""
            ...

        def send(self, units: list[Any], /) -> None:
            """Send Engine.IO messages: ``str``, ``bytes``, or ``Prepared`` in place of several."""

        def pause(self, paused: bool, /) -> None:  # noqa: FBT001
            """Stop or go on reading: the queue of events is over its limit, or no longer."""

        def joined(self) -> None:
            """Take note that the client has joined a namespace."""

        def told(self, name: str, /, *values: Any) -> None:
            """Hear of the session: ``upgrade``, ``drain``, ``close`` with the reason."""

    class Route(Protocol):
        """The way of a session's packets down (:mod:`rawsio.routes`)."""

        def send(self, packet: Any, /) -> None:
            """Send a packet; ``LocalProtocolError`` if it cannot be sent."""

        def transmit(self, prepared: Prepared, /) -> None:
            """Send an encoded packet; one that is illegal now is dropped."""

        def acknowledge(self, namespace: str, values: list[Any], packet_id: int, /) -> None:
            """Send an acknowledgement."""

        def welcome(self, namespace: str, data: dict[str, Any], /) -> None:
            """Send the answer to a CONNECT."""

        def give_way(self, route: Route, /) -> Route:
            """Return the route of the session when its way has changed to this one."""
            ...

        def settle(self) -> None:
            """Send what waits for something: the session is about to end."""

        def attend(self, socket: Any, /) -> None:
            """Take note that a socket has entered, has ended, or has become unusual."""

        def clog(self) -> None:
            """Take note that much waits to be sent."""

        def flow(self) -> None:
            """Take note that less waits."""

        def retire(self) -> None:
            """Stop what was begun for sockets: another route takes over, or the session ends."""

    class Lane(Protocol):
        """A way to a client on which nothing waits: what is put there leaves with this turn."""

        outbox: list[Any]
        """Where the bytes go."""
        stream: Any
        """What carries them, and is to be given to :meth:`touch`."""

        def says(
            self, space: Any, name: Any, args: tuple[Any, ...], number: int | None = None, /
        ) -> bool:
            """Send an event; ``False``, and nothing is done, if it is to be sent another way."""
            ...

        def takes(self, prepared: Prepared, /) -> bool:
            """Tell whether a packet may be put into the lanes of this server now, and count it."""
            ...

        def holds(self, size: int, /) -> bool:
            """Tell the same of so many bytes of packets that keep all limits, and count them."""
            ...

        def touch(self, streams: list[Any], /) -> None:
            """Have these send what they have; their outboxes were empty."""

        def hand_out(self, lanes: list[Any], frame: bytes, /, *, now: bool) -> None:
            """Put bytes into these lanes; ``now``: send them where nothing else is to be sent."""

    class Joined(Protocol):
        """Packets one after the other, whose bytes for a lane were made together."""

        frame: bytes
        """All of them, as unmasked WebSocket frames."""

        def __iter__(self) -> Iterator[Prepared]:
            """Give them one by one."""
            ...

    class NamespaceLike(Protocol):
        """What adapters, operators and sockets need of a namespace."""

        host: RuntimeLike
        name: str
        sockets: dict[str, Any]
        adapter: Any
        _handlers: Any
        _opening: int
        """How many sockets are being judged by middleware."""

        def _each(self) -> Iterable[Any]:
            """Return the namespaces that an operator addresses: this one, or the children."""
            ...

        def next_id(self) -> int:
            """Return an acknowledgement id that no socket of the namespace has in use."""
            ...

        def _vacated(self) -> None:
            """Take note that a socket is gone for good, or was not made after all."""

        def receive_server_event(
            self, args: list[Any], answer: Callable[..., None] | None, /
        ) -> None:
            """Take an event of another server (``server_side_emit``)."""

    class MultiplexerLike(Protocol):
        """What a socket needs of its peer."""

        host: RuntimeLike
        sink: SessionPort
        route: Route
        """The way of its packets; when the session is over, they are dropped."""
        base_id: str | None
        """What the ids of its sockets are made of, for clients of Socket.IO v2."""

        def takes_event(self, namespace: str, /) -> bool:
            """Tell whether an event may be sent to a namespace now."""
            ...

        def take(self, route: Route, /) -> None:
            """Send by this route from now on; the one before is retired."""

        def unusual(self, socket: Any, /) -> None:
            """Take note that a socket has handlers, or listeners, of its own from now on."""

        def awaited(self) -> int:
            """Return how many acknowledgements the client owes all of its sockets."""
            ...

        def wait_for_answer(self, seconds: float, reply: Any, /) -> Handle:
            """Have ``reply.late()`` called in so many seconds, unless it is cancelled."""
            ...

        def leave(
            self,
            socket: Any,
            was_open: bool,  # noqa: FBT001 - called by position
            reason: str,
            description: str | None,
            /,
        ) -> None:
            """Forget a socket that has ended, and let its handlers know in their turn."""

        def drop(self, reason: str, /) -> None:
            """End the session, for this reason."""

        def dismiss(self, reason: str, /) -> None:
            """Disconnect every socket of the connection and close it."""

else:
    Connection = FetchedSocket = Handle = Prepared = RuntimeLike = SessionPort = Route = object
    NamespaceLike = MultiplexerLike = Lane = Joined = object
