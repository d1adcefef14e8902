"""The client: one connection to a server, kept up, and sockets for the namespaces on it.

::

    import rawsio

    with rawsio.connect("http://localhost:3000", auth={"token": "..."}) as socket:

        @socket.on("chat message")
        def show(text: str) -> None:
            print(text)

        reply = socket.emit_with_ack("chat message", "hello").result(timeout=5)

:func:`connect` runs the loop in a thread of its own.  A :class:`Client` can also be driven by
``step``, beside a loop of yours, or on asyncio (``async with Client(url) as socket``).

This is the public face of two objects: ``core`` (:class:`~rawsio.client.core.ClientCore`) is the
client without sockets, ``net`` (:class:`~rawsio.client.connector.Connector`) runs it.  There are no
proxies, no cookies, and no Socket.IO v2.
"""

from __future__ import annotations

from os import urandom

from rawsio.app.handlers import Handler
from rawsio.app.listeners import Listening
from rawsio.app.reply import check_seconds
from rawsio.errors import sendable
from rawsio.extension import check_extensions
from rawsio.prepared import prepare, preparer

from .connector import ClientRuntime, Connector
from .core import ClientCore, ClientState
from .membership import MANAGED, check_client_name
from .options import (
    CLIENT_LIMITS,
    check_auth,
    check_brought,
    check_named,
    escaped_query,
    given_headers,
    make_options,
    parse_url,
)
from .socket import ClientSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor
    from ssl import SSLContext
    from typing import Any, NoReturn, TypeVar

    from typing_extensions import Unpack

    from rawsio.app.handlers import Handlers
    from rawsio.extension import Extension
    from rawsio.limits import Limits
    from rawsio.socketio.connection import Parser
    from rawsio.trace import ClientTrace

    from .options import Auth, ClientKeywords, ConnectKeywords, Fields, Parameters

    FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

__all__ = ["Client", "ClientState", "connect"]


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
        extensions: Iterable[Extension] = (),
        random_bytes: Callable[[int], bytes] = urandom,
        world: Any = None,
        **options: Unpack[ClientKeywords],
    ) -> None:
        check_named(misplaced)
        self.options, self.address = make_options(options), parse_url(url)
        brought = {"executor": executor, "parser": parser, "limits": limits}
        check_brought(self.address, auth, tls=tls, trace=trace, **brought)
        self.host = ClientRuntime(
            CLIENT_LIMITS if limits is None else limits,
            executor=executor,
            encode=prepare if parser is None else preparer(parser),
            random_bytes=random_bytes,
        )
        self.core = ClientCore(
            self.host,
            self.options,
            self.address,
            headers=given_headers(headers),
            query=escaped_query(self.address, query),
            parser=parser,
            extensions=check_extensions(extensions),
        )
        self.net = Connector(self.core, self.host, world, tls=tls, trace=trace)
        self.main = self._socket(self.address.namespace, auth)

    # Namespaces

    def socket(self, namespace: str, auth: Auth | None = None) -> ClientSocket:
        """Return the socket of a namespace, made (and on its way in) if it is new.

        ``auth`` is for this namespace alone.
        """
        known = self.core.sockets.get(namespace) if isinstance(namespace, str) else None
        return known if known is not None else self._socket(namespace, auth).connect()

    def _socket(self, namespace: str, auth: Auth | None) -> ClientSocket:
        if not isinstance(namespace, str):
            raise TypeError(f"the name of a namespace is a str, as '/admin', not {namespace!r}")
        if not namespace.startswith("/") or "," in namespace:
            raise ValueError(
                f"the name of a namespace begins with a slash, and has no comma: {namespace!r}"
            )
        if not sendable(namespace):
            raise ValueError(f"the name of a namespace has no lone surrogates: {namespace!r}")
        check_auth(auth)
        made = self.core.sockets[namespace] = ClientSocket(self, namespace, auth)
        return made

    def _own_handlers(self) -> Handlers:
        return self.core._handlers

    def _own_host(self) -> ClientRuntime:
        return self.host

    def _check_name(self, name: str | int) -> None:
        check_client_name(name, managed=True)

    def _add_handler(self, name: str | int, handler: Handler) -> None:
        self.host.call(self.core._handlers.add, name, handler)

    def _remove_handlers(self, name: str | int, fn: Callable[..., Any] | None) -> None:
        self.host.call(self.core._handlers.remove, name, fn)

    def on_error(self, fn: FunctionT) -> FunctionT:
        """Call ``fn(error, socket, event, args)`` when a handler fails; also a decorator.

        It may take fewer parameters.  The log has its line in any case.
        """
        made = Handler(fn)
        self.host.expect(fn)
        self.host.error_handlers = (*self.host.error_handlers, made)
        return fn

    # How it stands

    @property
    def sockets(self) -> dict[str, ClientSocket]:
        """The sockets of this client, by namespace."""
        return self.core.sockets

    @property
    def state(self) -> ClientState:
        """What it is doing."""
        return self.core.state

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self.core.state is ClientState.OPEN

    @property
    def transport(self) -> str | None:
        """``"polling"`` or ``"websocket"``, as it is now; ``None`` without a connection."""
        return self.core.transport

    # The ways to run it

    def start(self) -> Client:
        """Run the loop in a thread of its own, until ``close``."""
        self.net.host.begin_turns("`async with Client(url) as socket` instead")
        self.net.start()
        return self

    def step(self, timeout: float | None = None) -> None:
        """Make one turn of the loop, instead of ``start``; wait at most ``timeout`` seconds."""
        check_seconds(timeout)
        if not self.net.leaving:
            self.net.host.begin_turns("`async with Client(url) as socket` instead")
        self.net.step(timeout)

    def fileno(self) -> int:
        """Return a descriptor that is readable when ``step(0)`` has something to do."""
        return self.net.loop.fileno()

    def next_deadline(self) -> float | None:
        """Return the time (of ``client.host.time()``) when ``step`` wants to be called."""
        return self.net.loop.next_deadline()

    @property
    def closed(self) -> bool:
        """Whether everything is over after :meth:`close`."""
        return self.net.closed

    def close(self, timeout: float = 1.0) -> None:
        """Leave every namespace and end the connection for good; idempotent.

        With a thread of its own this waits until what was emitted is sent, at most ``timeout``
        seconds; otherwise make turns until :attr:`closed`.
        """
        check_seconds(timeout)
        self.net.close(timeout)

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
        self.net.move_to_asyncio()
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
        await self.net.close_on_asyncio(1.0)


def connect(url: str, *misplaced: NoReturn, **options: Unpack[ConnectKeywords]) -> ClientSocket:
    """Connect to a server and return the socket, connected; the loop runs in a thread.

    The options are those of :class:`Client`.  Raises :class:`~rawsio.errors.Refused` with what the
    server said if it refused, :class:`~rawsio.errors.ConnectionClosed` if it cannot be reached
    (unless ``retry=True``), and ``TimeoutError`` after the option ``timeout``.
    """
    return Client(url, *misplaced, **options).__enter__()
