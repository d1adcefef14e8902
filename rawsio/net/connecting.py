"""Making TCP connections without waiting for them.

A name is looked up first.  The system's call for that may take seconds, so it runs in a thread of
its own, except for numeric addresses, which need no looking up.  Then its addresses are tried in
the order and at the times of :mod:`rawsio.net.attempts`, until one answers.  What is reported is
one socket or one text: the reason why the last attempt failed.

A :class:`Dialer` remembers which address of a name answered, and begins with it the next time.  One
that answered and was no use, as its caller says, is the last to be tried.
"""

from __future__ import annotations

import socket
from _thread import start_new_thread
from functools import partial
from os import strerror

from .attempts import Attempts, in_order

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .loop_timers import AnyLoop, Cancellable

    Order = Callable[[list[Any]], list[Any]]

__all__ = ["Connecting", "Dialer", "check_ssl", "connect_tcp", "default_tls"]

_DOUBTED = 16
"""Most addresses of a name that are remembered as no use."""

_PENDING = (BlockingIOError, InterruptedError)


class Dialer:
    """Makes connections; remembers for each name the addresses that answered, and were no use.

    ``prepare(sock)`` is called with each socket before it begins to connect.
    """

    __slots__ = ("_good", "_doubted", "_prepare")

    def __init__(self, prepare: Callable[[socket.socket], object] | None = None) -> None:
        self._good: dict[tuple[str, int], Any] = {}
        # Those that were doubted longest ago stand first.
        self._doubted: dict[tuple[str, int], list[Any]] = {}
        self._prepare = prepare

    def connect(
        self,
        loop: AnyLoop,
        host: str,
        port: int,
        done: Callable[[socket.socket], object],
        failed: Callable[[str], object],
    ) -> Connecting:
        """Connect to a host; later ``done(sock)`` or ``failed(text)`` is called, once."""

        def connected(sock: socket.socket, address: Any) -> None:
            self._good[host, port] = address
            done(sock)

        connecting = Connecting(loop, connected, failed, self._prepare)
        key = host, port
        connecting.begin(host, port, self._good.get(key), self._doubted.get(key, ()))
        return connecting

    def doubt(self, host: str, port: int) -> None:
        """Take note that the address which answered last is no use: others are tried before it.

        It may be a machine that is not ready yet, or no longer, where another one is.
        """
        address = self._good.pop((host, port), None)
        if address is not None:
            doubted = self._doubted.setdefault((host, port), [])
            if address in doubted:
                doubted.remove(address)
            doubted.append(address)
            del doubted[:-_DOUBTED]


def connect_tcp(
    loop: AnyLoop,
    host: str,
    port: int,
    done: Callable[[socket.socket], object],
    failed: Callable[[str], object],
) -> Connecting:
    """Connect to a host; later ``done(sock)`` or ``failed(text)`` is called, once.

    >>> from rawsio.net.listener import listen_tcp
    >>> from rawsio.net.loop import Loop
    >>> loop, server, made = Loop(), listen_tcp(), []
    >>> connecting = connect_tcp(loop, *server.getsockname(), made.append, print)
    >>> loop.step(1)
    >>> made[0].getpeername() == server.getsockname()
    True
    >>> made[0].close(), server.close(), loop.close()
    (None, None, None)
    """
    return Dialer().connect(loop, host, port, done, failed)


class Connecting:
    """A connection on its way; ``done(sock, address)`` or ``failed(text)`` is called once."""

    __slots__ = (
        *("_loop", "_done", "_failed", "_prepare"),
        *("_attempts", "_socks", "_timer", "_text", "_over"),
    )

    def __init__(
        self,
        loop: AnyLoop,
        done: Callable[[socket.socket, Any], object],
        failed: Callable[[str], object],
        prepare: Callable[[socket.socket], object] | None = None,
    ) -> None:
        self._loop = loop
        self._done = done
        self._failed = failed
        self._prepare = prepare
        self._attempts = Attempts([])
        self._socks: dict[socket.socket, Any] = {}
        self._timer: Cancellable | None = None
        self._text = "the name has no address"
        self._over = False

    def begin(self, host: str, port: int, good: Any = None, doubted: Sequence[Any] = ()) -> None:
        """Look the host up, and try its addresses.

        ``good`` is the first, if it is one of them, and those in ``doubted`` are the last.
        """
        wanted = partial(in_order, good=good, doubted=doubted)
        try:
            flags = socket.AI_NUMERICHOST
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        except socket.gaierror:  # a name
            self._look_up(host, port, wanted)
        except (OSError, UnicodeError) as error:  # one that cannot be: a label of 64 bytes
            self._found([], _words(error), wanted)
        else:
            self._found(found, "", wanted)

    def try_all(self, addresses: list[Any]) -> None:
        """Try addresses as ``getaddrinfo`` gives them, in this order."""
        self._attempts = Attempts(addresses)
        self._go_on()

    def cancel(self) -> None:
        """Give it up; neither function is called any more."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        socks, self._socks = self._socks, {}
        for sock in socks:
            self._loop.remove_writer(sock.fileno())
            sock.close()

    # The name

    def _look_up(self, host: str, port: int, wanted: Order) -> None:
        def in_thread() -> None:
            result = _look_up(host, port)
            try:
                self._loop.call_soon_threadsafe(self._found, *result, wanted)
            except RuntimeError:
                return  # the loop has been closed meanwhile

        try:
            start_new_thread(in_thread, ())
        except RuntimeError:  # there are no threads, or too many
            self._found(*_look_up(host, port), wanted)

    def _found(self, found: list[Any], text: str, wanted: Order) -> None:
        if self._over:
            return
        self._text = text or self._text
        self.try_all(wanted(found))

    # Attempts

    def _go_on(self) -> None:
        attempts, now = self._attempts, self._loop.time()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while (address := attempts.next(now)) is not None:
            self._try(address)
        if attempts.deadline is not None:
            self._timer = self._loop.call_later(attempts.deadline - now, self._go_on)
        elif attempts.over:
            # Later, always: callers have one case only.
            self._loop.call_soon(self._give_up)

    def _try(self, found: Any) -> None:
        family, kind, protocol, _, address = found
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # a family that this system does not have
            self._count(error)
            return
        sock.setblocking(False)
        if self._prepare is not None:
            self._prepare(sock)
        try:
            sock.connect(address)
        except _PENDING:
            pass
        except OSError as error:
            sock.close()
            self._count(error)
            return
        self._socks[sock] = address
        self._loop.add_writer(sock.fileno(), self._settled, sock)

    def _settled(self, sock: socket.socket) -> None:
        if sock not in self._socks:
            return
        address = self._socks.pop(sock)
        self._loop.remove_writer(sock.fileno())
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            sock.close()
            self._count(OSError(code, strerror(code)))
            self._go_on()
            return
        self.cancel()  # the others
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._done(sock, address)

    def _count(self, error: OSError) -> None:
        self._text = _words(error)
        self._attempts.failed()

    def _give_up(self) -> None:
        if not self._over:
            self._over = True
            self._failed(self._text)


def _look_up(host: str, port: int) -> tuple[list[Any], str]:
    """Return the addresses of a name, or none and the reason; this may take long."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), ""
    except (OSError, UnicodeError) as error:
        return [], _words(error)


def _words(error: OSError | UnicodeError) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def check_ssl() -> None:
    """Raise ``RuntimeError`` where Python was built without ``ssl``."""
    try:
        import ssl  # noqa: F401
    except ImportError:
        message = "https needs the module ssl, which this Python was built without"
        raise RuntimeError(message) from None


def default_tls() -> Any:
    """Return an ``ssl.SSLContext`` that trusts whom the system trusts.

    A certificate counts for the names and addresses that it lists as such, never for its common
    name (RFC 9110 section 4.3.4).
    """
    from ssl import HAS_NEVER_CHECK_COMMON_NAME, create_default_context

    context = create_default_context()
    if HAS_NEVER_CHECK_COMMON_NAME:
        # 9110-4.3.4-no-common-name
        context.hostname_checks_common_name = False
    return context
