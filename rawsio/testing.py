"""A test kit: a real server and real clients, joined in memory, with a clock that you move.

::

    from rawsio import Server, Socket
    from rawsio.testing import TestKit

    io = Server()

    @io.on("chat message")
    def message(socket: Socket, text: str) -> str:
        socket.broadcast.emit("chat message", text)
        return "delivered"

    with TestKit(io) as kit:
        ann, bob = kit.connect(), kit.connect()
        assert ann.emit_with_ack("chat message", "hi").result() == "delivered"
        assert bob.receive() == ["chat message", "hi"]
        kit.advance(25.0)                      # a heartbeat goes by, at once

No ports, no threads, no waiting: what happens within an hour of heartbeats takes milliseconds, and
happens in the same order each time.

Only the wire is not real (:mod:`rawsio.net.memory`).  Everything at its ends (streams, HTTP,
WebSocket, sessions, handlers) is what runs in production.  Time stands still while there is
something to do, and jumps to the next timer when somebody waits.

:meth:`TestKit.hold` takes the wire into the test's hands: what is sent stays on its way, and the
test says what arrives next, in which order, and where it is split.

Handlers may be ``async def``: ``asyncio.sleep(60)`` in one takes sixty of the kit's seconds.
Handlers on an executor's threads are left out, whose time is the real one.

A kit may hold several servers, each with a URL of its own (:meth:`TestKit.serve`), and peers of
other kinds (:meth:`TestKit.listen`); what its servers and clients connect to is found there.
"""

from __future__ import annotations

from functools import partial
from random import Random

from rawsio.app.reply import check_seconds
from rawsio.client import Client
from rawsio.client.connector import turn_until_done
from rawsio.client.options import parse_url
from rawsio.errors import ConnectionClosed
from rawsio.net.loop import Loop
from rawsio.net.memory import PATIENCE, START, DatagramNetwork, MemoryDatagrams, Switchboard
from rawsio.server import Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.client.socket import ClientSocket
    from rawsio.net.memory import Wire
    from rawsio.net.tasks import TaskLoop

__all__ = ["TestKit"]


def _check_server(io: Any) -> None:
    if not isinstance(io, Server):
        raise TypeError(f"TestKit: a server is expected, as Server(), not {io!r}")


class _Call:
    """A connection on its way; as :class:`rawsio.net.connecting.Connecting`."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class TestKit:
    """A server, its clients, and the clock; a context manager.

    ``io`` is a server that serves nobody yet; it stays on the kit's loop.  ``url`` is the address
    that clients give for it.  ``tls`` is the server's ``ssl.SSLContext``, for ``https`` in ``url``;
    clients take theirs as always.  While ``refusing`` is true, new connections are refused.

    >>> from rawsio import Server
    >>> io = Server()
    >>> @io.on("add")
    ... def add(socket, a, b):
    ...     return a + b
    >>> with TestKit(io) as kit:
    ...     kit.connect().emit_with_ack("add", 1, 2).result()
    3
    """

    __test__ = False  # a class named Test..., but not one of pytest's

    def __init__(
        self, io: Server, *, url: str = "http://testkit", tls: Any = None, seed: int = 0
    ) -> None:
        _check_server(io)
        self.board = Switchboard()
        self.loop = Loop(self.board, self.board.time)  # type: ignore[arg-type]  # what it asks for
        self.url = url
        self._tls = tls
        self.refusing = False
        self.clients: list[Client] = []
        self._random = Random(seed)  # noqa: S311 - the same in each run is the point
        self._servers: list[Server] = []
        # Who listens where: (host, port) -> what accepts a connection and the address of its peer.
        self._peers: dict[tuple[str, int], Callable[[Wire, Any], object]] = {}
        self.datagrams = DatagramNetwork(self.loop.call_soon)
        """Where datagrams go: ``lose(data)`` may be replaced, and says which are lost."""
        self._tasks: TaskLoop | None = None
        self._closed = False
        self.serve(io)

    def serve(self, io: Server, url: str | None = None) -> None:
        """Let this server take the connections that are made to ``url`` from now on.

        By default that is the kit's URL.  It may be called again, for a server that another one
        took the place of.

        >>> from rawsio import Client, Server
        >>> kit = TestKit(Server())
        >>> kit.serve(Server(), "http://other:3000")
        >>> other = kit.client(url="http://other:3000").main.connect()
        >>> kit.run()
        >>> other.connected, len(kit.io.sockets)
        (True, 1)
        >>> kit.close()
        """
        _check_server(io)
        self._check_open()
        address = parse_url(self.url if url is None else url)
        if io in self._servers:
            self._servers.remove(io)
        else:
            io.net.start(self.loop, self)
        self._servers.append(io)
        tls = self._tls if address.secure else None
        self.listen(address.host, address.port, partial(io.net.accept, tls=tls))

    def listen(self, host: str, port: int, accept: Callable[[Wire, Any], object]) -> None:
        """Call ``accept(wire, address)`` for each connection that is made to a host and port."""
        self._check_open()
        self._peers[host, port] = accept

    @property
    def io(self) -> Server:
        """The server that began, or began anew, last."""
        return self._servers[-1]

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectionClosed("the test kit is closed: make a new one")

    # The world of its servers and clients (:class:`rawsio.runtime.World`)

    def wall(self) -> float:
        """Return the time of day: the clock that you move."""
        return self.board.time()

    def random_bytes(self, size: int) -> bytes:
        """Return the next bytes of the seed."""
        return self._random.randbytes(size)

    def create_task(self, coroutine: Any) -> Any:
        """Run a coroutine on the kit's clock."""
        if self._tasks is None:
            from rawsio.net.tasks import TaskLoop

            self._tasks = TaskLoop(self.loop)
        return self._tasks.create_task(coroutine)

    def must_await(self) -> bool:
        """Tell whether a turn is being made."""
        return self.loop.turning

    def wait(self, reply: Any, timeout: float | None) -> None:
        """Let happen what happens until ``reply.done()``: nobody else turns the loop."""
        turn_until_done(self.loop, reply, timeout)

    # Clients

    def client(self, namespace: str = "/", *, url: str | None = None, **options: Any) -> Client:
        """Return a client that does not connect yet; the options are those of :class:`Client`.

        ``url`` is another one than the kit's.
        It uses WebSocket at once, unless you name other ``transports``: the upgrade from polling
        takes 0.1 virtual seconds.
        """
        self._check_open()
        if not isinstance(namespace, str):
            raise TypeError(f"the name of a namespace is a str, as '/admin', not {namespace!r}")
        more = {"transports": ["websocket"], "random_bytes": self.random_bytes, **options}
        made = Client((self.url if url is None else url) + namespace, world=self, **more)
        self.clients.append(made)
        return made

    def connect(self, namespace: str = "/", **options: Any) -> ClientSocket:
        """Return a new client's socket, connected; raises what :func:`rawsio.connect` raises."""
        socket = self.client(namespace, **options).main
        socket.connect().opening.result(PATIENCE)
        self.run()
        return socket

    def connect_tcp(
        self,
        loop: Any,
        host: str,
        port: int,
        done: Callable[[Any], object],
        failed: Callable[[str], object],
    ) -> _Call:
        """Join whoever asks to the peer that listens there; called by clients and servers."""
        call = _Call()
        self.loop.call_soon(self._join, call, (host, port), done, failed)
        return call

    def open_datagram(
        self,
        receive: Callable[[bytes, Any], object],
        host: str,
        port: int,
        *,
        group: str | None = None,
    ) -> MemoryDatagrams:
        """Return what takes the datagrams for a port, or for a group; called by extensions."""
        self._check_open()
        return self.datagrams.open(receive, host, port, group)

    def _join(
        self,
        call: _Call,
        where: tuple[str, int],
        done: Callable[[Any], object],
        failed: Callable[[str], object],
    ) -> None:
        if call.cancelled:
            return
        if self.refusing or where not in self._peers:
            failed("connection refused")
            return
        done(self._dial(where, "testkit"))

    def _dial(self, where: tuple[str, int], address: str) -> Wire:
        here, there = self.board.pair()
        self._peers[where](there, (address, there.fileno()))
        return here

    def dial(self, url: str | None = None, *, address: str = "testkit") -> Wire:
        """Return the client's end of a new connection on which nothing has been said.

        ``url`` names the peer, by default the kit's own URL; ``address`` is where the connection
        comes from.  For what no client of ours would say: ``send`` bytes, :meth:`run`, and ``recv``
        the answer (``BlockingIOError``: there is none; ``b""``: the server has hung up).
        ``ConnectionRefusedError`` if nobody listens there.

        >>> from rawsio import Server
        >>> with TestKit(Server()) as kit:
        ...     wire = kit.dial()
        ...     wire.send(b"GET /socket.io/ HTTP/2.0\\r\\nHost: a\\r\\n\\r\\n")
        ...     kit.run()
        ...     wire.recv(1000).split(b"\\r\\n")[0]
        37
        b'HTTP/1.1 505 HTTP Version Not Supported'
        """
        self._check_open()
        to = parse_url(self.url if url is None else url)
        if (to.host, to.port) not in self._peers:
            raise ConnectionRefusedError(f"nobody listens at {to.authority} in this kit")
        return self._dial((to.host, to.port), address)

    # Time

    @property
    def time(self) -> float:
        """Virtual seconds since the beginning."""
        return self.board.now - START

    def run(self) -> None:
        """Let everything happen that can happen now; time does not pass."""
        self._check_open()
        self.board.waited = 0.0
        while True:
            self.loop.step(0)
            due = self.loop.next_deadline()
            if not self.board.ready() and (due is None or due > self.board.now):
                return

    def advance(self, seconds: float) -> None:
        """Let so much time pass, and everything happen that happens meanwhile, in its order."""
        check_seconds(seconds)
        end = self.board.now + seconds
        self.run()
        while True:
            due = self.loop.next_deadline()
            if due is None or due > end:
                break
            self.board.now = due
            self.run()
        self.board.now = end
        self.run()

    # What may go wrong

    def wires(self, socket: ClientSocket) -> list[Wire]:
        """Return the client's ends of the connections that a socket has now."""
        if not hasattr(socket, "client"):
            raise TypeError(f"a client's socket is expected, as of connect(), not {socket!r}")
        ends: list[Any] = [stream.sock for stream in socket.client.net.streams]
        return ends

    def cut(self, socket: ClientSocket, *, silent: bool = False) -> None:
        """Break the connections of a client; ``silent``: nobody learns it but by its clock."""
        for wire in self.wires(socket):
            (wire.cut if silent else wire.reset)()
        self.run()

    def stall(self, socket: ClientSocket) -> None:
        """Let a client read nothing any more, so that what is sent to it piles up."""
        for wire in self.wires(socket):
            wire.stalled = True

    def resume(self, socket: ClientSocket) -> None:
        """Let it read again."""
        for wire in self.wires(socket):
            wire.stalled = False
        self.run()

    # The wire, piece by piece

    def hold(self) -> None:
        """From now on let nothing arrive, on any connection, until it is delivered.

        >>> from rawsio import Server
        >>> with TestKit(Server()) as kit:
        ...     socket = kit.connect()
        ...     kit.hold()
        ...     kit.io.emit("news", 1)
        ...     kit.run()
        ...     (end,) = kit.coming
        ...     end.deliver(3), end.coming
        ...     kit.release()
        ...     socket.receive()
        (b'\\x81\\x0c4', (b'2["news",1]',))
        ['news', 1]
        """
        self.board.held = True
        for wire in self.board.wires:
            wire.held = True

    def release(self) -> None:
        """Deliver everything, and hold nothing any more."""
        self.board.held = False
        for wire in self.board.wires:
            wire.held = False
        while self.coming:
            for wire in self.coming:
                wire.deliver()
            self.run()
        self.run()

    @property
    def coming(self) -> list[Wire]:
        """The ends of connections to which something is on its way (:attr:`Wire.coming`)."""
        return [wire for wire in self.board.wires if wire.coming]

    # The end

    def close(self) -> None:
        """End clients and servers, and free the loop."""
        if self._closed or all(io.closed for io in self._servers):
            return
        self.release()
        for client in self.clients:
            client.close(0.0)
        self.run()
        for io in self._servers:
            io.close(0.0)
        self.run()
        for runtime in [io.host for io in self._servers] + [c.host for c in self.clients]:
            runtime.cancel_tasks()
        self.run()
        for io in self._servers:
            io.core.end()
        self._closed = True
        self.loop.close()

    def __enter__(self) -> TestKit:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
