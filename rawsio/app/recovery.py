"""Connection state recovery: a client that was cut off goes on where it was.

With recovery on, every event that asks for no acknowledgement and is not volatile is kept for a
while, and an *offset* is appended to its arguments.  When a client's connection is lost, its
session (id, rooms, data) is kept, too.  A client that comes back with the session's secret
(``pid``) and the last offset that it saw gets the same id and rooms, and what it missed.  The wire
format is the reference server's, so its clients recover here.

All of it is in a :class:`~rawsio.app.recovery_log.RecoveryLog`, in memory.  With a ``path`` the log
is written into a SQLite file as well (:mod:`rawsio.queue.recovery_file`), and clients come back
after the server itself has been started again.

What differs from the reference, on purpose:

- a session can be restored once; if its old connection seems alive, it is ended first (a client
  notices a dead connection before we do), so that no two sockets have one id;
- the log and the sessions are bounded in number, bytes and time, and need no timer;
- a client that has seen no offset yet gets everything since it entered: no first event is needed;
- the answer to its CONNECT has an offset, too: by that our client knows that every event without an
  id ends with one, and takes it off; official clients guess, and hand it to their handlers;
- a packet counts as missed by who was in its rooms *when it was sent*, so what rooms a client has
  joined or left since makes no difference;
- a volatile event carries the offset of the packet before it, because the official client takes any
  text at the end of an event for an offset, and would otherwise lose its place.
"""

from __future__ import annotations

from binascii import b2a_hex

from rawsio.layer import record
from rawsio.socketio.packets import Event

from .adapter import Adapter, Targets
from .recovery_log import Positions, RecoveryLog, Session
from .states import SocketState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from os import PathLike
    from typing import Any

    from .gate import Gate
    from .interfaces import NamespaceLike, Prepared, RuntimeLike
    from .socket import Socket

__all__ = ["ConnectionStateRecovery", "Recovery", "RecoveringAdapter"]


@record
class Recovery:
    """The options of ``connection_state_recovery``.

    A lost session is kept ``max_disconnection_duration`` seconds.  With ``skip_middlewares`` the
    middleware of the namespace is not asked again.  ``path`` is a SQLite file, which may be the
    application's own, and that of its queues.
    """

    max_disconnection_duration: float = 120.0
    """Seconds that a lost session is kept."""
    skip_middlewares: bool = True
    """Whether the middleware of the namespace is not asked again."""
    path: str | PathLike[str] | None = None
    """The file that sessions and packets are kept in, so that clients come back after the server
    has ended, however it did; without one they are in memory."""
    synchronous: str = "NORMAL"
    """``"NORMAL"``: what clients have seen survives the end of the process, and the last second
    may be gone after a loss of power; ``"FULL"``: it survives that, too, and each event waits for
    the disk."""


class ConnectionStateRecovery:
    """The extension of a server that recovers: it makes the adapters, and counts what they keep.

    ``bytes`` is how much all of them keep together; ``gate`` is where packets wait until they are
    stored, and ``stores`` are the files, if there are any.
    """

    stores: Any = None
    gate: Gate | None = None

    def __init__(self, options: Recovery) -> None:
        self.options = options
        self.bytes = 0
        self._adapters: list[RecoveringAdapter] = []

    def adapter(self, namespace: NamespaceLike) -> RecoveringAdapter:
        """Return the adapter of a namespace."""
        made = RecoveringAdapter(namespace, self)
        self._adapters.append(made)
        return made

    def log(self, host: RuntimeLike) -> RecoveryLog:
        """Return a new log in memory."""
        positions = Positions(b2a_hex(host.random_bytes(4)).decode("ascii") + ".")
        duration = self.options.max_disconnection_duration

        def clock() -> float:
            return host.time()  # another function once a host has begun

        return RecoveryLog(clock, host.limits, duration, self, positions)

    def forget(self, adapter: RecoveringAdapter) -> None:
        """Take note that an adapter has ended."""
        if adapter in self._adapters:
            self._adapters.remove(adapter)

    def start(self, _runtime: Any) -> None:
        """Nothing begins: what is kept is looked through whenever something is added."""

    def stop(self, _deadline: float) -> Any:
        """Keep nothing any more: nobody can come back."""
        for adapter in self._adapters.copy():
            adapter.close()


class RecoveringAdapter(Adapter):
    """Rooms in memory, with a log of packets and the sessions that were lost."""

    recovers = True

    def __init__(self, namespace: NamespaceLike, recovery: ConnectionStateRecovery) -> None:
        super().__init__(namespace)
        self._recovery = recovery
        self.log = recovery.log(namespace.host)
        self._live: dict[str, Any] = {}

    def begin(self, log: RecoveryLog) -> None:
        """Go on with this log: nobody has been here yet, but something may have been emitted."""
        before, self.log = self.log, log
        for kept in before.packets:
            event = kept.prepared.event
            host = self.namespace.host
            again = host.prepare(Event(event.namespace, event.args[:-1]))
            self.stamp(again, kept.targets)
        before.clear()

    # Membership, with its history

    def add_all(self, sid: str, rooms: Iterable[str]) -> None:
        """Put a socket into rooms."""
        rooms = tuple(room for room in rooms if room != sid)
        self.log.join(sid, rooms)
        super().add_all(sid, rooms)

    def remove(self, sid: str, room: str) -> None:
        """Take a socket out of a room."""
        if room in self.sids.get(sid, ()):
            self.log.leave(sid, room)
        super().remove(sid, room)

    def remove_all(self, sid: str, *, was_connected: bool = False) -> None:
        """Take a socket out of every room."""
        self.log.stays.pop(sid, None)
        super().remove_all(sid, was_connected=was_connected)

    # The log

    def stamp(self, prepared: Prepared, targets: Targets) -> Prepared | None:
        """Append the offset to a packet, and keep it unless it is volatile."""
        event = prepared.event
        if event.id is not None:
            return prepared
        log = self.log
        position = log.end - 1 if targets.volatile else log.positions.take()
        marked = Event(event.namespace, [*event.args, log.positions.offset(position)])
        prepared = self.namespace.host.prepare(marked, compress=targets.compress)
        if not targets.volatile:
            log.add(position, prepared, targets)
        return prepared

    def shrink(self) -> None:
        """Forget the older half of packets and sessions: the server has too little memory."""
        self.log.shrink()

    def close(self) -> None:
        """Forget everything."""
        self.log.clear()
        self._recovery.forget(self)
        super().close()

    # Sessions

    def begin_session(self, socket: Socket) -> dict[str, str]:
        """Return the secret by which this socket can be recovered, and where it begins."""
        session, log = socket._session, self.log
        if session is None:
            secret = b2a_hex(self.namespace.host.random_bytes(16)).decode("ascii")
            session = Session(socket.id, secret, log.end, log.end)
            socket._session = session
        log.begin(session)
        if log.journal.durable:
            socket._own_hooks().handled = self._handled
            self._handled(socket)
        self._live[session.secret] = socket
        return {"pid": session.secret, "offset": log.positions.offset(log.end - 1)}

    def _handled(self, socket: Socket) -> None:
        """A function of the application has ended, which may have changed the socket's data."""
        session = socket._session
        if session is not None and self.log.is_here(session):
            session.data = socket._data
            self.log.journal.changed(session, socket._data)

    def persist_session(self, socket: Socket) -> None:
        """Keep what is needed to restore a socket that lost its connection."""
        session = socket._session
        if session is not None:
            self.log.lose(session, tuple(self.sids.get(socket.id, ())), socket._data)

    def keep_session(self, session: Session) -> None:
        """Keep a session that was restored for a client that is gone again."""
        self.log.keep(session)

    def forget_session(self, socket: Socket) -> None:
        """Take note that a socket has left its rooms."""
        session = socket._session
        if session is not None:
            if self._live.get(session.secret) is socket:
                del self._live[session.secret]
            self.log.end_session(session)

    def restore_session(
        self, secret: str, offset: str | None, found: Callable[[Session | None], None]
    ) -> None:
        """Call ``found`` with the lost session of this secret, once, if all it missed is here."""
        alive = self._live.get(secret)
        # One that has left is still here until its handlers have had their turn.  Its connection
        # may live on, and even be the one that asks.
        if alive is not None and (alive.connected or alive._state is SocketState.OPENING):
            alive._drop("transport close")
        found(self.log.restore(secret, offset))

    def missed(self, socket: Socket) -> Iterator[Prepared | None]:
        """Give the packets that a restored socket has missed, oldest first, share by share."""
        session, log = socket._session, self.log
        self._live[session.secret] = socket
        while True:
            if session.resume < log.first:  # forgotten while others had their turn
                self._live.pop(session.secret, None)
                socket._begin_anew()
                log.end_session(session)
                return
            yield from log.missed(session)
            if session.resume >= log.end:
                return
            yield None
