"""A client's socket: this program in one namespace of a server.

It has nearly the interface of the server's: handlers, listeners, ``emit`` and ``emit_with_ack``,
flags.  It outlives connections: between two of them it keeps what is emitted, and it has a new
``id`` after each, unless the server recovered its session.

Nothing is lost for being early.  What is emitted before there is a connection is kept
(``limits.kept_emits`` at most) and sent once there is one; events that come before anybody listens
wait, too (:mod:`rawsio.client.listeners`).

Like a server's socket, everything here may be called from any thread.
"""

from __future__ import annotations

from collections import deque
from itertools import count

from rawsio.app.adapter import EVERYONE, Targets, snapshot
from rawsio.app.broadcast import Flags
from rawsio.app.lifecycle_events import announce
from rawsio.app.reply import Promise, Question, Reply
from rawsio.app.states import SocketState
from rawsio.errors import ConnectionClosed, LocalProtocolError, Refused
from rawsio.log import ERROR, WARNING
from rawsio.socketio.packets import Ack, Connect, ConnectError, Event
from rawsio.socketio.values import weight

from .listeners import ClientListening, was_seen
from .membership import Membership, Space, as_refused
from .retries import Attempt, Retries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.prepared import Prepared
    from rawsio.socketio.packets import AnyEvent

    from .client import Client
    from .options import Auth
    from .queue import RemoteQueue

__all__ = ["ClientSocket"]

_OLD = "the server speaks Socket.IO v2, which this client does not: it needs v3 or later"


class ClientSocket(ClientListening):
    """This program in one namespace; see the module's essay.

    ``id`` is the server's name for it while connected.  ``recovered`` says that the server
    continued the session before.  ``namespace`` is the name, ``client`` the client whose socket it
    is, and ``auth`` what each CONNECT carries.  ``active`` says that it is in the namespace, or on
    its way there.  ``trouble`` is why the last attempt to connect failed.
    """

    def __init__(self, client: Client, namespace: str, auth: Auth | None) -> None:
        super().__init__(client)
        core = client.core
        host = core.runtime
        self.namespace = namespace
        self.auth = auth
        self.id: str | None = None
        self.recovered = False
        self._opening: Promise[ClientSocket] = Promise(host)
        self._space = Space(namespace, host)
        self.trouble: Exception | None = None
        self._stay: Membership | None = None
        self._ids = count()
        self._unsent: deque[Prepared] = deque()
        self._pending: dict[int, Promise] = {}
        self._unsent_bytes = 0
        self._early: list[Event] = []
        self._early_bytes = 0
        # Why no connection is to be expected; None: one is, or nobody has asked for one yet.
        self._end: str | None = None
        # The session in which the namespace was left: events of that stay may still come.
        self._left_in: object | None = None
        self._retries: Retries | None = None
        if core.options.retries:
            self._retries = Retries(host, core.options.retries, self._try, lambda: self.connected)

    @property
    def opening(self) -> Reply[ClientSocket]:
        """The reply that ends with the first connection, or with why there will be none."""
        return self._opening

    @property
    def connected(self) -> bool:
        """Whether it is in the namespace now."""
        return self._stay is not None

    # Sending

    def emit(self, name: str | int, *args: Any) -> None:
        """Send an event; while there is no connection, keep it until there is one.

        ``LocalProtocolError`` if it cannot be encoded, has a reserved name, or is longer than the
        server takes; ``ConnectionClosed`` if no connection will be made any more (the client was
        closed, the socket disconnected or refused), or too much is kept already.
        """
        self._emit_event(name, args, EVERYONE)

    def send(self, *args: Any) -> None:
        """Send an event named ``message``."""
        self._emit_event("message", args, EVERYONE)

    def emit_with_ack(self, name: str | int, *args: Any) -> Reply:
        """Send an event and return the :class:`~rawsio.app.reply.Reply` to it.

        It waits until the server answers or the connection is lost; ``timeout(seconds)`` sets an
        end.  Where no connection will be made any more it fails with ``ConnectionClosed``.
        """
        return self._emit_question(name, args, EVERYONE)

    def _emit_event(self, name: str | int, args: tuple[Any, ...], targets: Targets) -> None:
        """Send an event with flags."""
        if self._end is not None and not targets.volatile:
            raise self._too_late(self._end)
        if self._retries is not None and not targets.volatile:
            self._send_again(self._retries, name, args, targets)
            return
        prepared = self._prepare(Event(self.namespace, [name, *args]), targets)
        self._core.runtime.call(self._deliver, prepared, targets.volatile)

    def _emit_question(self, name: str | int, args: tuple[Any, ...], targets: Targets) -> Reply:
        """Send an event that asks for an acknowledgement, with flags."""
        host = self._core.runtime
        targets = self._timed(targets)
        if self._retries is not None and not targets.volatile:
            return self._send_again(self._retries, name, args, targets)
        number = next(self._ids)
        prepared = self._prepare(Event(self.namespace, [name, *args], number), targets)
        reply = Question(host, self, number)
        host.call(self._ask, prepared, reply, targets)
        return reply

    def _timed(self, targets: Targets) -> Targets:
        seconds = self._core.options.ack_timeout
        if seconds is None or targets.timeout is not None:
            return targets
        return Targets(volatile=targets.volatile, compress=targets.compress, timeout=seconds)

    def _send_again(
        self, retries: Retries, name: str | int, args: tuple[Any, ...], targets: Targets
    ) -> Reply:
        """Send an event until it is acknowledged, in its turn."""
        core = self._core
        targets = self._timed(targets)
        self._prepare(Event(self.namespace, [name, *args], 0), targets)
        most = core.runtime.limits.kept_emits
        if len(retries) >= most:
            raise ConnectionClosed(f"{most} events wait to be acknowledged already")
        reply = Promise(core.runtime)
        core.runtime.call(retries.add, Attempt(name, tuple(snapshot(args)), targets, reply))
        return reply

    def _try(self, attempt: Attempt, reply: Promise) -> None:
        number = next(self._ids)
        event = Event(self.namespace, [attempt.name, *attempt.args], number)
        try:
            prepared = self._core.runtime.prepare(event, compress=attempt.targets.compress)
            self._core.check_size(prepared)
        except LocalProtocolError as error:  # a new connection may allow less
            reply.fail(error)
            return
        reply.add_done_callback(lambda _: self._core.runtime.call(self._forget, number))
        self._ask(prepared, reply, attempt.targets)

    def _prepare(self, event: Event, targets: Targets) -> Prepared:
        core = self._core
        core.check_open()
        prepared = core.runtime.prepare(event, compress=targets.compress)
        core.check_size(prepared)
        limits = core.runtime.limits
        if not (self.connected or targets.volatile):
            if len(self._unsent) >= limits.kept_emits:
                number = f"{limits.kept_emits} events"
                raise ConnectionClosed(f"not connected, and {number} wait to be sent already")
            if self._unsent_bytes + prepared.size > limits.kept_bytes:
                number = f"{self._unsent_bytes} bytes"
                raise ConnectionClosed(f"not connected, and {number} wait to be sent already")
        return prepared

    def _too_late(self, why: str) -> ConnectionClosed:
        closed = self._core.state.value == "closed"
        cure = "make a new one" if closed else "call connect() first"
        return ConnectionClosed(f"an event in {self.namespace!r} cannot be sent: {why}; {cure}")

    def _deliver(self, prepared: Prepared, volatile: bool) -> None:  # noqa: FBT001 - by position
        if self._stay is not None:
            if not volatile or self._core.writable:
                self._transmit(prepared)
        elif self._end is not None:  # since it was emitted, in another thread
            self._log_unsent(1, self._end)
        elif not volatile:
            self._unsent.append(prepared)
            self._unsent_bytes += prepared.size

    def _log_unsent(self, number: int, why: str) -> None:
        self._core.runtime.log(
            "socketio", WARNING, f"events in {self.namespace!r} that were not sent: {number}; {why}"
        )

    def _transmit(self, prepared: Prepared) -> None:
        for listener in self._hooks.outgoing if self._hooks is not None else ():
            try:
                listener(*_event(prepared).args)
            except Exception as error:  # noqa: BLE001 - the user's mistake must not stop the rest
                where = f"a listener of outgoing events in {self.namespace!r} failed"
                self._core.runtime.log("handler", ERROR, where, error)
        self._core.transmit(prepared)

    def _ask(self, prepared: Prepared, reply: Promise, targets: Targets) -> None:
        if reply.done():
            return
        if self._end is not None:
            reply.fail(self._too_late(self._end))
            return
        limits, number = self._core.runtime.limits, _event(prepared).id
        if len(self._pending) >= limits.pending_acks:
            reply.fail(LocalProtocolError(f"{limits.pending_acks} acknowledgements are awaited"))
            return
        self._pending[number] = reply
        if targets.timeout is not None:
            reply.expire_after(targets.timeout)
        self._deliver(prepared, targets.volatile)

    def _forget(self, number: int) -> None:
        if self._pending.pop(number, None) is not None and self._unsent:
            left = (p for p in self._unsent if _event(p).id != number)
            self._unsent = deque(left)
            self._unsent_bytes = sum(prepared.size for prepared in self._unsent)

    def _flags(self) -> Flags[ClientSocket]:
        return Flags(self)

    @property
    def volatile(self) -> Flags[ClientSocket]:
        """Send what follows only if it goes out at once."""
        return self._flags().volatile

    def queue(self, name: str) -> RemoteQueue:
        """Return a durable queue of the server (:mod:`rawsio.client.queue`)."""
        from .queue import RemoteQueue

        return RemoteQueue(self, name)

    def compress(self, flag: bool) -> Flags[ClientSocket]:  # noqa: FBT001 - the reference's signature
        """Say whether what follows is worth compressing."""
        return self._flags().compress(flag)

    def timeout(self, seconds: float) -> Flags[ClientSocket]:
        """Set how long ``emit_with_ack`` waits."""
        return self._flags().timeout(seconds)

    # Its life: what you ask for

    def connect(self) -> ClientSocket:
        """Join the namespace, and stay in it; nothing happens if it is being done already."""
        self._core.check_open()
        self._end = None
        self._core.runtime.call(self._activate)
        return self

    def _activate(self) -> None:
        if not self.active:
            self.active = True
            if self._opening.done():
                self._opening = Promise(self._core.runtime)
            self._core.activate(self)

    def disconnect(self) -> None:
        """Leave the namespace; the last one that leaves ends the connection."""
        if not self.client.closed:
            self._core.runtime.call(self._leave)

    def _leave(self) -> None:
        """Do what ``disconnect`` asks for; on the loop's thread."""
        if not self.active:
            return
        self.active = False
        self._left_in = self._core.session
        self._core.leave(self)
        self._ended("io client disconnect", dismissed=True)
        self._opening.fail(ConnectionClosed("the socket was disconnected"))
        self._conclude("the socket was disconnected")

    # Its life: what happens (on the loop's thread)

    def _join(self) -> None:
        """Ask the server to let us in; the connection has just been made."""
        auth = self.auth() if callable(self.auth) else self.auth
        if self._secret is not None:
            known = {"offset": self._offset} if self._offset is not None else {}
            auth = {"pid": self._secret, **known, **(auth or {})}
        self._core.send(Connect(self.namespace, auth))

    def _take_packet(self, packet: AnyEvent) -> None:
        """Take a packet of the namespace."""
        if isinstance(packet, Event):
            if self._stay is not None:
                self._hear(self._stay, packet)
            elif self._left_in is None or self._left_in is not self._core.session:
                self._keep_early(packet)
        elif isinstance(packet, Ack):
            self._take_answer(packet.id, packet.args)
        elif isinstance(packet, Connect):
            self._joined(packet.data or {})
        elif isinstance(packet, ConnectError):
            self._fail_for_good(as_refused(packet.data, self.namespace))
            self._core.left(self)
        else:
            self.active = False
            self._ended("io server disconnect", dismissed=True)
            self._conclude("the server has disconnected the socket")
            self._core.left(self)

    def _take_answer(self, number: int, values: list[Any]) -> None:
        """Take an acknowledgement; one that nobody waits for is ignored."""
        reply = self._pending.pop(number, None)
        if reply is not None:
            reply.answered("", values)

    def _keep_early(self, packet: Event) -> None:
        """Keep an event that comes before the answer to our CONNECT; what is too much goes."""
        limits = self._core.runtime.limits
        size = weight(packet.args, limits.kept_bytes)
        fits = self._early_bytes + size <= limits.kept_bytes
        if fits and len(self._early) < limits.kept_events:
            self._early.append(packet)
            self._early_bytes += size

    def _take_early(self) -> list[Event]:
        early, self._early = self._early, []
        self._early_bytes = 0
        return early

    def _joined(self, data: dict[str, Any]) -> None:
        sid, secret = data.get("sid"), data.get("pid")
        if not isinstance(sid, str):
            self._fail_for_good(ConnectionClosed(_OLD))
            self._core.left(self)
            return
        self.id = sid
        self.recovered = secret is not None and secret == self._secret
        self._secret = secret if isinstance(secret, str) else None
        offset, seen = data.get("offset"), self._offset if self.recovered else None
        self._marked = isinstance(offset, str)
        if self._marked:
            self._offset = offset
        stay = self._stay = Membership(self, self._core)
        self.trouble = None
        self._left_in = None
        for event in self._take_early():
            if not (self._marked and seen is not None and was_seen(event, seen)):
                self._hear(stay, event)
        unsent, self._unsent, self._unsent_bytes = self._unsent, deque(), 0
        for prepared in unsent:
            self._send_kept(prepared)
        if self._retries is not None:
            self._retries.proceed()
        self._opening.resolve(self)
        self._core.queue.perform(announce, self._core.queue, stay, "connect")

    def _send_kept(self, prepared: Prepared) -> None:
        try:
            self._core.check_size(prepared)
            self._transmit(prepared)
        except LocalProtocolError as error:
            number = _event(prepared).id
            self._core.runtime.log("socketio", WARNING, f"a kept event is not sent: {error}")
            if number in self._pending:
                self._pending[number].fail(error)

    def _failed(self, error: Exception) -> None:
        """Take note that the namespace could not be joined, or the server not be reached."""
        queue = self._core.queue
        self.trouble = error
        self._take_early()
        heard = self._handlers.library.get("connect_error") or self._opening.awaited
        if isinstance(error, Refused) and not heard:
            message = f"{self._core.address.origin}: {error} (nobody listens to connect_error)"
            self._core.runtime.log("socketio", WARNING, message)
        queue.perform(announce, queue, Membership(self, self._core), "connect_error", error)
        if not (self.active and self._core.options.retry):
            self._opening.fail(error)
        self._dismiss_takers(str(error))

    def _ended(self, reason: str, text: str | None = None, *, dismissed: bool = False) -> None:
        """Take note that the stay in the namespace is over."""
        stay, self._stay = self._stay, None
        self._take_early()
        try:
            if stay is not None:
                self.id = None
                stay._state = SocketState.DISMISSED if dismissed else SocketState.ENDED
                queue = self._core.queue
                queue.perform(
                    announce, queue, Membership(self, self._core), "disconnect", reason, text
                )
        finally:  # a handler may have raised SystemExit
            self._lose_pending(reason)

    def _lose_pending(self, reason: str) -> None:
        kept = {_event(prepared).id for prepared in self._unsent}
        for number in [number for number in self._pending if number not in kept]:
            self._pending.pop(number).lost("", reason)
        self._dismiss_takers(reason)

    def _give_up(self) -> None:
        """Take note that no further attempt will be made."""
        self.active = False
        text = "the connection is lost, and will not be made again"
        self._opening.fail(ConnectionClosed(text))
        self._dismiss_takers(text)
        self._conclude(text)

    def _fail_for_good(self, error: Exception) -> None:
        """Take note that the namespace cannot be joined, and will not be tried again."""
        self.active = False
        self._failed(error)
        self._conclude(str(error) or "the server has refused the socket")

    def _conclude(self, why: str) -> None:
        """End everything that waits for a connection, since none is to be expected."""
        if self.active:  # a handler has called connect() meanwhile
            return
        self._end = why
        unsent, self._unsent, self._unsent_bytes = self._unsent, deque(), 0
        for number in list(self._pending):
            self._pending.pop(number).fail(self._too_late(why))
        silent = sum(_event(prepared).id is None for prepared in unsent)
        if silent:
            self._log_unsent(silent, why)
        if self._retries is not None:
            self._retries.close(ConnectionClosed(why))

    # As a context

    def __enter__(self) -> ClientSocket:
        return self

    def __exit__(self, *_error: object) -> None:
        self.client.close()

    def __repr__(self) -> str:
        state = "connected" if self.connected else "active" if self.active else "inactive"
        return f"<ClientSocket {self.id} in {self.namespace!r}, {state}>"


def _event(prepared: Prepared) -> Any:
    """Return the event that a socket has prepared: it prepares nothing else."""
    return prepared.event
