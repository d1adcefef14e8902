"""The incoming half of a client's socket: handlers, listeners, and events that nobody expects yet.

The one idea: **an event that comes before anybody listens to its name is kept**, for the first
handler, or for :meth:`Hearing.receive`.  A program connects first and registers its handlers then,
and loses nothing; what is kept is bounded (``limits.kept_events``, the oldest go first).

Handlers run by the same machinery as a server's (:mod:`rawsio.app.dispatch`), in the order in
which events came, for all namespaces of a connection together.  What is left out: sending, and
the life of a socket (:mod:`rawsio.client.socket`).
"""

from __future__ import annotations

from collections import deque
from functools import partial

from rawsio.app.dispatch import handlers_of, run_event
from rawsio.app.handlers import (
    Handler,
    check_function,
    check_kind,
    check_plain,
    warn_of_near_miss,
    without_last,
)
from rawsio.app.member import Hooks
from rawsio.app.reply import Reply, check_seconds
from rawsio.errors import ConnectionClosed, escaped
from rawsio.log import WARNING
from rawsio.socketio.values import weight

from .membership import MANAGED, RAISED, ClientHandlers, check_client_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from rawsio.socketio.packets import Event

    from .membership import Membership

    AnyFunction = Callable[..., Any]

__all__ = ["Hearing"]


class _Taking(Reply):
    """A ``receive`` that waits: its event goes back if nobody gets it."""

    __slots__ = ("_entry", "_hearing")

    def __init__(self, hearing: Hearing) -> None:
        super().__init__(hearing.client.host)
        self._hearing = hearing
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
                self._hearing.put_back(self._entry)
            raise


class Hearing:
    """Handlers by name, listeners to everything, and what is kept until there are any."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.active = False
        self.handlers = ClientHandlers()
        self.hooks: Hooks | None = None
        self.secret: str | None = None
        self.offset: str | None = None
        # The server has said that every event without an id ends with an offset.
        self.marked = False
        # Events that nobody has heard yet, each with its size in memory.
        self._kept: deque[tuple[Membership, Event, int]] = deque()
        self._kept_bytes = 0
        self._takers: deque[_Taking] = deque()

    # Handlers

    def on(
        self,
        name: str | int,
        handler: AnyFunction | None = None,
        *,
        ack: bool = False,
        concurrent: bool = False,
    ) -> Any:
        """Call a function for each event of this name; also a decorator.

        The value that it returns is the acknowledgement, as on the server; ``ack=True`` passes a
        function ``ack(*values)`` as the last argument instead.  Events of this name that were kept
        are delivered at once, in order.  Besides the server's there are the events ``connect``,
        ``connect_error(error)`` and ``disconnect(reason, description)``.
        """
        check_client_name(name)
        if handler is None:
            return partial(self._listen, name, ack=ack, concurrent=concurrent)
        return self._listen(name, handler, ack=ack, concurrent=concurrent)

    def once(
        self, name: str | int, handler: AnyFunction | None = None, *, ack: bool = False
    ) -> Any:
        """Call a function for the next event of this name only; otherwise as :meth:`on`."""
        check_client_name(name)
        if handler is None:
            return partial(self._listen, name, ack=ack, once=True)
        return self._listen(name, handler, ack=ack, once=True)

    def off(self, name: str | int, handler: AnyFunction | None = None) -> None:
        """Take off a function, or all of this name."""
        check_kind(name)
        self.client.host.call(self.handlers.remove, name, handler)

    def _listen(self, name: str | int, handler: AnyFunction, **options: bool) -> AnyFunction:
        # On the loop's thread, where kept events can be delivered before any that comes later.
        made = Handler(handler, **options)
        host = self.client.host
        host.expect(handler)
        warn_of_near_miss(host, name, RAISED)
        if name in MANAGED or name == "connection":
            cure = '"connect" is raised here' if name == "connection" else "see socket.client.on"
            host.log("handler", WARNING, f"on({name!r}) hears events of the server: {cure}")
        self.client.host.call(self._add, name, made)
        return handler

    def _add(self, name: str | int, handler: Handler) -> None:
        self.handlers.add(name, handler)
        claimed = [entry for entry in self._kept if entry[1].args[0] == name]
        for entry in claimed[:1] if handler.once else claimed:
            self._kept.remove(entry)
            self._kept_bytes -= entry[2]
            self.client.queue.perform(self._run_kept, *entry[:2])

    def _run_kept(self, stay: Membership, event: Event) -> bool:
        # Listeners of all events have seen it when it came.
        hooks, self.hooks = self.hooks, None
        try:
            return run_event(self.client.queue, stay, event)
        finally:
            self.hooks = hooks

    def _own_hooks(self) -> Hooks:
        if self.hooks is None:
            self.hooks = Hooks()
        return self.hooks

    def on_any(self, listener: AnyFunction) -> AnyFunction:
        """Call ``listener(name, *args)`` for every incoming event, before its handlers."""
        check_function(listener, "a listener")
        self.client.host.expect(listener)
        hooks = self._own_hooks()
        hooks.incoming = (*hooks.incoming, listener)
        return listener

    def off_any(self, listener: AnyFunction | None = None) -> None:
        """Take off one listener of :meth:`on_any`, or all."""
        hooks = self._own_hooks()
        left = without_last(hooks.incoming, lambda fn: fn == listener)
        hooks.incoming = left if listener is not None else ()

    def on_any_outgoing(self, listener: AnyFunction) -> AnyFunction:
        """Call ``listener(name, *args)`` for every event that is sent, when it is sent."""
        check_plain(listener, "a listener of outgoing events")
        hooks = self._own_hooks()
        hooks.outgoing = (*hooks.outgoing, listener)
        return listener

    def off_any_outgoing(self, listener: AnyFunction | None = None) -> None:
        """Take off one listener of :meth:`on_any_outgoing`, or all."""
        hooks = self._own_hooks()
        left = without_last(hooks.outgoing, lambda fn: fn == listener)
        hooks.outgoing = left if listener is not None else ()

    def receive(self, timeout: float | None = None) -> Any:
        """Return the next event that no handler takes, ``[name, *args]``; wait for it.

        On asyncio's loop write ``await socket.receive()``: there it returns at once, with a
        :class:`~rawsio.app.reply.Reply`.  ``TimeoutError`` after ``timeout`` seconds;
        ``ConnectionClosed`` when the socket ends.
        """
        check_seconds(timeout)
        self.client.check_open()
        host = self.client.host
        reply = _Taking(self)
        if host.on_loop() and hasattr(host.loop, "asyncio_loop"):
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

    def hear(self, stay: Membership, event: Event) -> None:
        """Take an event: for its handlers, for who waits in ``receive``, or to be kept."""
        if self.secret is not None and event.id is None:
            self._note_offset(event.args)
        queue = self.client.queue
        if handlers_of(stay, event.args[0]):
            queue.perform(run_event, queue, stay, event)
            return
        if self.hooks is not None and self.hooks.incoming:
            queue.perform(run_event, queue, stay, event)
        if not self._give((stay, event)):
            self._keep(stay, event)

    def _keep(self, stay: Membership, event: Event) -> None:
        host = self.client.host
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

    def put_back(self, entry: tuple[Membership, Event]) -> None:
        """Give an event to the next who waits, or keep it again, before all others."""
        if not self._give(entry):
            size = weight(entry[1].args, self.client.host.limits.kept_bytes)
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
            self.offset = args.pop() if self.marked else args[-1]

    def dismiss_takers(self, reason: str) -> None:
        """End the waiting of ``receive``, if no connection is to be expected any more."""
        if not self.active:
            takers, self._takers = self._takers, deque()
            for taker in takers:
                taker.fail(ConnectionClosed(f"the socket ended: {reason}"))
