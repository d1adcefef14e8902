"""The incoming half of a client's socket: handlers, listeners, and events that nobody expects yet.

An event that comes before anybody listens to its name is kept, for the first handler, or for
:meth:`ClientListening.receive`.  A program connects first and registers its handlers then, and
loses nothing; what is kept is bounded (``limits.kept_events``, the oldest go first).

Handlers run by the same machinery as a server's (:mod:`rawsio.app.dispatch`), in the order in which
events came, for all namespaces of a connection together.
"""

from __future__ import annotations

from collections import deque

from rawsio.app.dispatch import handlers_of, run_event
from rawsio.app.listeners import Hooks, SocketListening
from rawsio.app.reply import Promise, check_seconds
from rawsio.errors import ConnectionClosed, escaped
from rawsio.log import WARNING
from rawsio.socketio.values import weight

from .membership import MANAGED, RAISED, ClientHandlers, check_client_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from rawsio.app.handlers import Handler, Handlers
    from rawsio.app.interfaces import RuntimeLike
    from rawsio.socketio.packets import Event

    from .client import Client
    from .membership import Membership

    AnyFunction = Callable[..., Any]

__all__ = ["ClientListening", "was_seen"]


def was_seen(event: Event, seen: str) -> bool:
    """Tell whether an event that a server repeats is not newer than the last offset seen.

    Offsets of our server are ordered: a number behind a dot, the longer one is the larger.  Of
    others nothing is known.

    >>> from rawsio.socketio.packets import Event
    >>> [was_seen(Event("/", ["e", offset]), "ab.z") for offset in ("ab.y", "ab.10", "7-1")]
    [True, False, False]
    """
    offset = event.args[-1] if len(event.args) > 1 else None
    if event.id is not None or not isinstance(offset, str):
        return False
    (run, dot, number), (known, _, last) = offset.rpartition("."), seen.rpartition(".")
    return dot == "." and run == known and (len(number), number) <= (len(last), last)


class _Taking(Promise):
    """A ``receive`` that waits: its event goes back if nobody gets it."""

    __slots__ = ("_entry", "_listening")

    def __init__(self, listening: ClientListening) -> None:
        super().__init__(listening.client.host)
        self._listening = listening
        self._entry: tuple[Membership, Event] | None = None

    def take(self, entry: tuple[Membership, Event]) -> None:
        """End with this event."""
        self._entry = entry
        self.resolve(entry[1].args)

    def _expire(self) -> None:
        self.fail(TimeoutError("no event arrived in time"))

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            return (yield from super().__await__())
        except BaseException:
            # The task was cancelled when the event had come already.
            if self._entry is not None:
                self._listening._put_back(self._entry)
            raise


class ClientListening(SocketListening):
    """Handlers by name, listeners to everything, and what is kept until there are any.

    Events that were kept are delivered to the first handler of their name at once, in order.
    Besides the server's events there are ``connect``, ``connect_error(error)`` and
    ``disconnect(reason, description)``.  An event that :meth:`receive` takes passes no middleware.
    """

    _raised = RAISED

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client
        self._core = client.core
        self.active = False
        self._handlers = ClientHandlers()
        self._secret: str | None = None
        self._offset: str | None = None
        # The server has said that every event without an id ends with an offset.
        self._marked = False
        # Events that nobody has heard yet, each with its size in memory.
        self._kept: deque[tuple[Membership, Event, int]] = deque()
        self._kept_bytes = 0
        self._takers: deque[_Taking] = deque()

    # Handlers

    def _own_handlers(self) -> Handlers:
        return self._handlers

    def _own_host(self) -> RuntimeLike:
        return self._core.runtime

    def _check_name(self, name: str | int) -> None:
        check_client_name(name)
        if name in MANAGED or name == "connection":
            cure = '"connect" is raised here' if name == "connection" else "see socket.client.on"
            line = f"on({name!r}) hears events of the server: {cure}"
            self._core.runtime.log("handler", WARNING, line)

    def _add_handler(self, name: str | int, handler: Handler) -> None:
        # On the loop's thread, where kept events can be delivered before any that comes later.
        self._core.runtime.call(self._add, name, handler)

    def _remove_handlers(self, name: str | int, fn: AnyFunction | None) -> None:
        self._core.runtime.call(self._handlers.remove, name, fn)

    def _add(self, name: str | int, handler: Handler) -> None:
        self._handlers.add(name, handler)
        claimed = [entry for entry in self._kept if entry[1].args[0] == name]
        for entry in claimed[:1] if handler.once else claimed:
            self._kept.remove(entry)
            self._kept_bytes -= entry[2]
            self._core.queue.perform(self._run_kept, *entry[:2])

    def _run_kept(self, stay: Membership, event: Event) -> bool:
        # Listeners of all events have seen it when it came.
        middleware = () if self._hooks is None else self._hooks.middleware
        return run_event(self._core.queue, stay, event, Hooks(middleware))

    def _run_listeners(self, stay: Membership, event: Event) -> bool:
        # Middleware stands before handlers, and there are none.
        return run_event(self._core.queue, stay, event, Hooks((), self.listeners_any))

    def receive(self, timeout: float | None = None) -> Any:
        """Return the next event that no handler takes, ``[name, *args]``; wait for it.

        On asyncio's loop write ``await socket.receive()``: there it returns at once, with a
        :class:`~rawsio.app.reply.Reply`.  ``TimeoutError`` after ``timeout`` seconds;
        ``ConnectionClosed`` when the socket ends.
        """
        check_seconds(timeout)
        self._core.check_open()
        host = self._core.runtime
        reply = _Taking(self)
        if host.must_await():
            if timeout is not None:
                reply.expire_after(timeout)
            self._take(reply)
            return reply
        host.call(self._take, reply)
        try:
            found: list[Any] = reply.result(timeout)
        except TimeoutError:
            if reply.cancel():
                raise TimeoutError(f"no event arrived within {timeout} s") from None
            found = reply.result()  # it came just now
        return found

    def _take(self, reply: _Taking) -> None:
        if self._kept:
            reply.take(self._unkeep())
        elif not self.active:
            reply.fail(ConnectionClosed("the socket is not connected: call connect() first"))
        else:
            self._takers.append(reply)

    # On the loop's thread

    def _hear(self, stay: Membership, event: Event) -> None:
        """Take an event: for its handlers, for who waits in ``receive``, or to be kept."""
        if self._secret is not None and event.id is None:
            self._note_offset(event.args)
        queue = self._core.queue
        if handlers_of(stay, event.args[0]):
            queue.run(stay, event)
            return
        if self._hooks is not None and self._hooks.incoming:
            queue.perform(self._run_listeners, stay, event)
        if not self._give((stay, event)):
            self._keep(stay, event)

    def _keep(self, stay: Membership, event: Event) -> None:
        host = self._core.runtime
        size = weight(event.args, host.limits.kept_bytes)
        dropped = 0
        while self._kept and (
            len(self._kept) >= host.limits.kept_events
            or self._kept_bytes + size > host.limits.kept_bytes
        ):
            self._unkeep()
            dropped += 1
        if dropped:
            shown = escaped(event.args[0]) if isinstance(event.args[0], str) else event.args[0]
            text = f"events that nobody listens to ({shown} and others): {dropped} dropped"
            host.log("socketio", WARNING, f"{text}, the oldest; register a handler or receive()")
        self._kept.append((stay, event, size))
        self._kept_bytes += size

    def _unkeep(self) -> tuple[Membership, Event]:
        stay, event, size = self._kept.popleft()
        self._kept_bytes -= size
        return stay, event

    def _put_back(self, entry: tuple[Membership, Event]) -> None:
        """Give an event to the next who waits, or keep it again, before all others."""
        if not self._give(entry):
            size = weight(entry[1].args, self._core.runtime.limits.kept_bytes)
            self._kept.appendleft((*entry, size))
            self._kept_bytes += size

    def _give(self, entry: tuple[Membership, Event]) -> bool:
        while self._takers:
            taker = self._takers.popleft()
            if not taker.done():
                taker.take(entry)
                return True
        return False

    def _note_offset(self, args: list[Any]) -> None:
        # Of other servers' events we take any text at the end for it, as official clients do.
        if len(args) > 1 and isinstance(args[-1], str):
            self._offset = args.pop() if self._marked else args[-1]

    def _dismiss_takers(self, reason: str) -> None:
        """End the waiting of ``receive``, if no connection is to be expected any more."""
        if not self.active:
            takers, self._takers = self._takers, deque()
            for taker in takers:
                taker.fail(ConnectionClosed(f"the socket ended: {reason}"))
