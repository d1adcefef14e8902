"""``socket.conn``: one Engine.IO session, as the Socket.IO side and the application see it.

It is the only door between the two.  The model above sends messages and prepared packets through
it and asks how much waits; it never sees links, streams or frames, and nothing here raises for
what the peer did: a session that is over takes no more and says nothing.

Because everything goes through it, this is also where a client that takes less than it is sent
is dealt with.  What waits for a client is counted in bytes: what the kernel did not take, what the
layers hold until the end of the turn, and over polling what no poll has taken yet.  Three marks
of :class:`~rawsio.limits.Limits` matter, and the server's option ``backpressure``:

- above ``low_water``, volatile packets are dropped, whatever the policy;
- at ``high_water`` the policy takes hold.  ``"pause"``, the default, stops reading from the
  client, so that its requests make no more answers.  ``"drop-volatile"`` goes on reading: for
  clients whose words must be heard (its pongs, too) while ours may be lost.  ``"disconnect"`` cuts
  it off;
- at ``queue`` it is cut off under every policy: that is what a client that never reads can cost.

When what waits falls back to ``low_water``, the handlers of ``drain`` are called.  A client that
polls makes a new connection for each word, so there is nothing to pause; it drains when a poll
takes the queue, and ``queue`` bounds it like the others.

A client is cut off at the end of the turn, because an emit to many is no place to lose sockets in;
what is sent to it until then is dropped.  So an emit of more than ``queue`` bytes to one client
in one turn, in several packets, loses that client: look at ``buffered_amount``, and go on at
``drain``.

What is left out: receiving, which :mod:`rawsio.server.server` hands upwards.
"""

from __future__ import annotations

from enum import Enum

from rawsio.engineio.packets import Message
from rawsio.errors import LocalProtocolError
from rawsio.log import WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar, overload

    from rawsio.engineio.server.session import Session
    from rawsio.http.messages import Request
    from rawsio.net.tcp_info import TCPInfo
    from rawsio.runtime import Runtime

    from .session_events import SessionEvents

    FunctionT = TypeVar("FunctionT", bound=Callable[..., object])

__all__ = ["BackPressure", "Conn"]

_POLICIES = ("pause", "drop-volatile", "disconnect")

_OVERHEAD = 16
"""More than the header of a frame is long."""


class BackPressure:
    """The policy of one server for clients that take less than they are sent.

    ``most`` bytes may wait for one client, ``high`` is where the policy takes hold, and ``pauses``
    tells whether it stops reading there.
    """

    __slots__ = ("host", "policy", "high", "most", "pauses")

    def __init__(self, host: Runtime, policy: str) -> None:
        if policy not in _POLICIES:
            raise ValueError(f"backpressure is one of {', '.join(_POLICIES)}, not {policy!r}")
        limits = host.limits
        self.host = host
        self.policy = policy
        self.pauses = policy != "drop-volatile"
        self.high = limits.high_water
        self.most = limits.high_water if policy == "disconnect" else limits.queue


class _Queue(Enum):
    """How full the queue of a connection was when it was last measured."""

    OPEN = "open"
    FULL = "full"
    CUT = "cut"


_OPEN = _Queue.OPEN


class Conn:
    """One connection of one client, which all its namespaces share.

    ``session`` is the Engine.IO session; the other names are for the application.
    """

    __slots__ = ("session", "_pressure", "_queue", "_room", "_watchers")

    def __init__(self, session: Session, pressure: BackPressure) -> None:
        self.session = session
        self._pressure = pressure
        self._queue = _OPEN
        self._room = 0
        self._watchers: SessionEvents | None = None

    @property
    def id(self) -> str:
        """The Engine.IO session id.  It is a secret: who knows it can speak for the client."""
        return self.session.id

    @property
    def transport(self) -> str:
        """``"polling"`` or ``"websocket"``, as it is now."""
        return self.session.transport

    @property
    def address(self) -> str:
        """Where the client's first request came from."""
        return self.session.address

    @property
    def certificate(self) -> dict[str, Any] | None:
        """The certificate that the client has shown, as ``ssl.SSLSocket.getpeercert()`` gives it.

        ``None`` unless the ``ssl.SSLContext`` asks for one (``verify_mode``): mutual TLS.
        """
        return self.session.certificate

    @property
    def tcp_info(self) -> TCPInfo | None:
        """What the kernel knows of the TCP connection now: round trip, losses, what is under way.

        A :class:`~rawsio.net.tcp_info.TCPInfo`; ``None`` on systems other than Linux, on links that
        are no TCP connection, and between two polls.
        """
        info: TCPInfo | None = getattr(self.session.carrier, "tcp_info", None)
        return info

    @property
    def request(self) -> Request:
        """The first request of the session."""
        return self.session.request

    @property
    def buffered_amount(self) -> int:
        """Bytes that wait for the client to take them, what was sent in this turn included."""
        return self.session.buffered_amount

    @property
    def writable(self) -> bool:
        """Whether little enough waits that a volatile packet may join it."""
        return self.session.writable

    def send(self, units: list[Any]) -> None:
        """Send Engine.IO messages: ``str``, ``bytes``, or a ``Prepared`` in place of several.

        They are dropped if the session is over, or if it is about to be cut off.
        """
        if self._queue is not _OPEN and self._refuses():
            return
        session, size = self.session, 0
        try:
            for unit in units:
                if unit.__class__ is str or unit.__class__ is bytes:
                    size += len(unit) + _OVERHEAD
                    session.send(Message(unit))
                else:
                    size += unit.size + _OVERHEAD
                    session.send_prepared(unit)
        except LocalProtocolError:
            # The session ended in this very turn; its end is on its way up.
            return
        # To ask what waits costs as much as to send.  It is asked when what was sent since the
        # last time can have reached the next mark.
        self._room -= size
        if self._room < 0:
            self._measure()

    def put(self, frame: bytes, size: int) -> bool:
        """Send a message of this length that is framed already; ``False`` if it needs more.

        :meth:`send` in one step, on an open session: for :mod:`rawsio.fused`.
        """
        link: Any = self.session.link
        if self._queue is not _OPEN or not link.put_frame(frame):
            return False
        self._room -= size + _OVERHEAD
        if self._room < 0:
            self._measure()
        return True

    def _measure(self) -> None:
        """See how much waits, and how much may be sent before that is worth seeing again."""
        pressure, waiting = self._pressure, self.buffered_amount
        if waiting >= pressure.most:
            self._queue = _Queue.FULL
        mark = pressure.most
        if waiting < pressure.high:
            mark = pressure.high
        else:
            self._await_drain()
        # A character is at most four bytes, and a message may be a header and little else.
        self._room = (mark - waiting) // 4

    def _await_drain(self) -> None:
        session = self.session
        stream = getattr(session.link, "stream", None)
        if stream is not None:
            stream.enter_high_water()
        elif session.polling is not None:
            session.polling.taken = self._taken

    def _taken(self) -> None:
        if self.session.user is not None:
            self.session.user.drained()

    def _refuses(self) -> bool:
        if self._queue is _Queue.FULL:
            self._queue = _OPEN
            self._measure()
            if self._queue is _Queue.FULL:
                self._queue = _Queue.CUT
                self._pressure.host.call_soon(self._cut_off)
        return self._queue is not _OPEN

    def _cut_off(self) -> None:
        message = f"{self.buffered_amount} bytes wait for a client that does not take them"
        self.cut_off(message, "layers-backpressure-queue")

    def cut_off(self, message: str, rule: str) -> None:
        """End the session at once, whatever waits, with a line in the log."""
        session = self.session
        self._pressure.host.log("net", WARNING, f"{self.address}: {message} [{rule}]")
        stream = getattr(session.link, "stream", None)
        if session.user is not None:
            session.user.ended("transport error", message)
        session.close("transport error", discard=True)
        if stream is not None:
            stream.abort(message)

    def close(self, reason: str = "forced close") -> None:
        """End the session, and with it every socket of the connection."""
        if self.session.user is not None:
            self.session.user.ended(reason)
        self.session.close(reason)

    def pause(self, paused: bool) -> None:  # noqa: FBT001 - a state, not a flag
        """Stop reading from the client while ``paused``.

        It is held back by TCP; over polling by the answer to its next POST, which waits.
        """
        stream, polling = getattr(self.session.link, "stream", None), self.session.polling
        if stream is not None:
            (stream.pause if paused else stream.resume)()
        elif polling is not None and paused:
            polling.paused = True
        elif polling is not None:
            polling.release()

    if TYPE_CHECKING:

        @overload
        def on(self, name: str, fn: None = None) -> Callable[[FunctionT], FunctionT]: ...
        @overload
        def on(self, name: str, fn: FunctionT) -> FunctionT: ...

    def on(
        self, name: str, fn: FunctionT | None = None
    ) -> FunctionT | Callable[[FunctionT], FunctionT]:
        """Call a function for what happens to the session below Socket.IO; also a decorator.

        ``name`` is one of :data:`rawsio.server.session_events.NAMES`; see there.
        """
        if self._watchers is None:
            from .session_events import SessionEvents

            self._watchers = SessionEvents(self.session, self._pressure.host.log)
        return self._watchers.on(name, fn)

    def joined(self) -> None:
        """Take note that the client is in a namespace: it has a place of its own from now on."""
        self.session.confirm()

    def told(self, name: str, *values: Any) -> None:
        """Hear of the session."""
        if self._watchers is not None:
            self._watchers.tell(name, *values)

    def __repr__(self) -> str:
        return f"<Conn {self.transport} from {self.address}>"
