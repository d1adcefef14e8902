r"""A proxy that passes every byte on as it came, and records a copy.

Theory of operation
===================
A connection has two sides, each a :class:`~rawsio.net.pipes.Pipe`, with TLS on top where that side
is encrypted.  What one side says is put on a :class:`~rawsio.tracing.badness.Line`, comes out when
its time has come (at once, on a good network), is written to the other side, and then told to the
recorder, in shares where it takes time (:mod:`rawsio.tracing.backlog`).  So the bytes are forwarded
first, exactly as they came, and nothing that the recorder makes of them can change them.

Ends pass as they are: a side that sends no more is half-closed on the other, a reset is a reset.
What one side does not take, or is not told yet, waits up to :data:`HIGH` bytes; then the other is
not read.  An upstream
that cannot be reached resets the client's connection, which is what no proxy would have meant.
"""

from __future__ import annotations

from rawsio.errors import LocalProtocolError
from rawsio.layer import Closed, Closing, Failed, Role, record
from rawsio.net.connecting import connect_tcp
from rawsio.net.driver import Driver
from rawsio.net.listener import Listener, listen_tcp
from rawsio.net.pipes import Pipe
from rawsio.tls import TLSConnection

from .backlog import Backlog
from .badness import Badness, Fate, Line

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable
    from random import Random
    from typing import Any

    from rawsio.net.connecting import Connecting
    from rawsio.net.loop_timers import AnyLoop, Cancellable

    from .recorder import Recorder

__all__ = ["HIGH", "Proxy", "Upstream"]

HIGH = 1_000_000
"""Bytes that wait for one side, are under way to it, or are not told yet, at which the other is not
read."""
_LOW = HIGH // 4
_LAST = 1.0
"""Seconds for what is not told yet when a proxy closes."""
_NOTHING = Badness()


@record
class Upstream:
    """The server that is traced; ``tls`` is the context if it is encrypted."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


class Proxy:
    """Listens, and passes connections on to ``upstream``.

    ``random`` decides what happens on a bad network; ``say(text)`` hears what went wrong, a line a
    time; ``tls`` is the context with which clients are served.
    """

    def __init__(
        self,
        loop: AnyLoop,
        upstream: Upstream,
        recorder: Recorder,
        random: Random,
        *,
        badness: Badness = _NOTHING,
        tls: ssl.SSLContext | None = None,
        say: Callable[[str], object] = print,
    ) -> None:
        self.loop = loop
        self.upstream = upstream
        self.recorder = recorder
        self.random = random
        self.badness = badness
        self.tls = tls
        self.say = say
        self.backlog = Backlog(loop)
        self.links: set[_Link] = set()
        """The connections that are open."""
        self._listener: Listener | None = None

    def listen(self, host: str = "127.0.0.1", port: int = 0) -> tuple[str, int]:
        """Listen; returns host and port.  Raises ``OSError``."""
        self._listener = Listener(Driver(self.loop), listen_tcp(host, port), self._accept)
        address = self._listener.address
        return address[0], address[1]

    def close(self) -> None:
        """Stop listening, and close what is open."""
        if self._listener is not None:
            self._listener.close()
        for link in list(self.links):
            link.close()
        self.backlog.finish(_LAST)

    def _accept(self, sock: socket.socket, address: Any) -> None:
        client = (address[0], address[1]) if isinstance(address, tuple) else ("", 0)
        self.links.add(_Link(self, sock, client))


class _Side:
    """One side of a connection: plain bytes for the link, TLS below where there is some."""

    def __init__(self, link: _Link, role: Role, pipe_sock: socket.socket) -> None:
        self.role = role
        self.pipe = Pipe(link.proxy.loop, pipe_sock, self)
        self.over = False
        self._said_end = False
        self._link = link
        self._tls = link.tls_of(role)
        self._timer: Cancellable | None = None
        if self._tls is not None:
            self._tick()

    # What the link asks for

    def write(self, data: bytes) -> None:
        """Send plain bytes."""
        if self._tls is None:
            self.pipe.write(data)
            return
        try:
            self._tls.send(data)
        except LocalProtocolError:
            return  # it is closing: the peer does not listen any more
        self._push()

    def end(self) -> None:
        """Send no more."""
        if self._tls is not None:
            try:
                self._tls.send(Closed())
            except LocalProtocolError:
                self.pipe.end()
                return
            self._push()
        self.pipe.end()

    def abort(self, *, reset: bool) -> None:
        """Close at once."""
        self.over = True
        if self._timer is not None:
            self._timer.cancel()
        self.pipe.abort(reset=reset)

    # What the pipe tells

    def received(self, _pipe: Pipe, data: bytes) -> None:
        """Bytes have come."""
        if self._tls is None:
            self._link.heard(self, data)
        else:
            self._events(self._tls.receive(data))

    def ended(self, _pipe: Pipe) -> None:
        """The peer sends no more."""
        if self._tls is not None:
            # Many close their connection without a closing alert, and mean no more than an end.
            shaken = self._tls.deadline is None
            events = self._tls.receive_eof()
            self._events([] if shaken else events)
        self._say_end()

    def _say_end(self) -> None:
        """Tell the link, once, that this side sends no more."""
        if not self._said_end:
            self._said_end = True
            self._link.heard(self, None)

    def drained(self, _pipe: Pipe) -> None:
        """All is sent."""
        self._link.drained(self)

    def lost(self, _pipe: Pipe, reason: str, *, reset: bool) -> None:
        """The connection broke."""
        self.over = True
        self._link.broke(self, "" if reset else reason)

    def closed(self, _pipe: Pipe) -> None:
        """Both directions have ended."""
        self.over = True
        self._link.finished()

    # TLS

    def _events(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Failed):
                self._push()
                self._link.broke(self, event.message)
                return
            if isinstance(event, Closed):
                self._say_end()
            else:
                self._link.heard(self, event)
        self._push()

    def _push(self) -> None:
        if self._tls is None:
            return
        for data in self._tls.data_to_send():
            self.pipe.write(data)
        if self._tls.closing is not Closing.OPEN:
            self.pipe.end()

    def _tick(self) -> None:
        """Tell TLS the time: its handshake has a deadline."""
        if self._tls is None or self.over:
            return
        loop = self._link.proxy.loop
        self._events(self._tls.tick(loop.time()))
        deadline = self._tls.deadline
        if deadline is not None and not self.over:
            self._timer = loop.call_later(max(deadline - loop.time(), 0.0), self._tick)


class _Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, sock: socket.socket, client: tuple[str, int]) -> None:
        self.proxy = proxy
        upstream = proxy.upstream
        tap = proxy.recorder.tap(client, (upstream.host, upstream.port), tls=proxy.tls is not None)
        self._tap = proxy.backlog.tap(tap, self._told)
        badness, random = proxy.badness, proxy.random
        self._fate = Fate(badness, random)
        self._lines = {
            Role.CLIENT: Line(badness, 0, random),
            Role.SERVER: Line(badness, 1, random),
        }
        self._stalled_until = 0.0
        self._timer: Cancellable | None = None
        self._over = False
        self._connecting: Connecting | None = None
        self._sides: dict[Role, _Side] = {Role.CLIENT: _Side(self, Role.CLIENT, sock)}
        if self._fate.reset:
            self._end_all(Role.SERVER, reset=True)
            return
        self._connecting = connect_tcp(
            proxy.loop, upstream.host, upstream.port, self._connected, self._unreachable
        )

    def tls_of(self, role: Role) -> TLSConnection | None:
        """Return the TLS of one side, if it has any."""
        proxy = self.proxy
        if role is Role.CLIENT:
            return None if proxy.tls is None else TLSConnection(proxy.tls, Role.SERVER)
        upstream = proxy.upstream
        if upstream.tls is None:
            return None
        return TLSConnection(upstream.tls, Role.CLIENT, server_hostname=upstream.host)

    def _connected(self, sock: socket.socket) -> None:
        self._sides[Role.SERVER] = _Side(self, Role.SERVER, sock)
        for side in self._sides.values():
            side.pipe.resume()

    def _unreachable(self, reason: str) -> None:
        upstream = self.proxy.upstream
        self.proxy.say(f"{upstream.host}:{upstream.port} cannot be reached: {reason}")
        self._end_all(Role.SERVER, reset=True)

    # Bytes

    def heard(self, side: _Side, data: bytes | None) -> None:
        """A side has said something, or (``None``) that it says no more."""
        if self._over:
            return
        loop = self.proxy.loop
        self._lines[side.role].put(loop.time(), data)
        self._move()
        self._balance(side.role)

    def _move(self) -> None:
        """Pass on what has come out of the lines, and be called again for the rest."""
        now = self.proxy.loop.time()
        deadlines = []
        for role, line in self._lines.items():
            if now >= self._stalled_until:
                self._take(role, line.take(now))
            if self._over:
                return
            if line.deadline is not None:
                deadlines.append(max(line.deadline, self._stalled_until))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if deadlines:
            self._timer = self.proxy.loop.call_later(max(min(deadlines) - now, 0.0), self._move)

    def _take(self, sender: Role, pieces: list[bytes | None]) -> None:
        for piece in pieces:
            if not self._over:
                self._pass(sender, piece)
        self._balance(sender)

    def _pass(self, sender: Role, piece: bytes | None) -> None:
        other = self._sides.get(sender.peer)
        if piece is None:
            if other is not None:
                other.end()
            self._tap.end(sender)
            self.finished()
            return
        piece = piece[: self._fate.admit(len(piece))]
        if other is not None:
            other.write(piece)
        self._tap.data(sender, piece)
        if self._fate.cut:
            self._end_all(sender, reset=False)
        elif self._fate.stalls:
            self._stalled_until = self.proxy.loop.time() + self.proxy.badness.stall

    def _balance(self, sender: Role) -> None:
        """Read a side only while what it says finds its way."""
        side, other = self._sides.get(sender), self._sides.get(sender.peer)
        waiting = self._lines[sender].held + (other.pipe.unsent if other is not None else 0)
        waiting = max(waiting, self._tap.waiting)
        if side is None or self._over:
            return
        if waiting > HIGH:
            side.pipe.pause()
        elif waiting <= _LOW and other is not None:
            side.pipe.resume()

    def _told(self) -> None:
        """Less waits to be told: perhaps both sides may be read again."""
        for role in self._sides:
            self._balance(role)

    def drained(self, side: _Side) -> None:
        """A side has taken all: the other may be read again."""
        self._balance(side.role.peer)

    # The end

    def broke(self, side: _Side, reason: str) -> None:
        """A side was reset, or broke for a reason that is told."""
        if self._over:
            return
        if reason:
            who = "the client" if side.role is Role.CLIENT else "the server"
            self.proxy.say(f"{who}'s connection broke: {reason}")
        self._end_all(side.role, reset=True)

    def finished(self) -> None:
        """A side has ended both its directions: perhaps the last one."""
        if not self._over and all(side.over for side in self._sides.values()):
            self._end_all(Role.CLIENT, reset=False)

    def close(self) -> None:
        """The proxy closes."""
        self._end_all(Role.SERVER, reset=False)

    def _end_all(self, sender: Role, *, reset: bool) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        for side in self._sides.values():
            side.abort(reset=reset)
        if reset:
            self._tap.reset(sender)
        else:
            for role in Role:
                self._tap.end(role)
        self.proxy.links.discard(self)
