"""The methods that register functions for events: the same ones on a server and on a client.

:class:`Listening` has ``on``, ``once`` and ``off``; servers, namespaces, clients and sockets have
them.  :class:`SocketListening` adds what only sockets have: middleware for events, and listeners
to all of them.  Every method works as a decorator and returns the function that it was given, so a
checker still knows the function's type.
"""

from __future__ import annotations

from functools import partial

from .handlers import (
    LIBRARY,
    Handler,
    check_function,
    check_kind,
    check_listenable,
    check_plain,
    warn_of_near_miss,
    without_last,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol, TypeVar, overload

    from .handlers import Handlers, Listener
    from .interfaces import RuntimeLike
    from .states import SocketState

    AnyFunction = Callable[..., Any]
    FunctionT = TypeVar("FunctionT", bound=AnyFunction)

    class HandlerSocket(Listener, Protocol):
        """Whose handlers run: a server's socket, or one stay of a client's in its namespace."""

        @property
        def _hooks(self) -> Hooks | None: ...
        @property
        def _state(self) -> SocketState: ...
        def _answer(self, values: list[Any], packet_id: int, /) -> None: ...
        def _acknowledge(self, prepared: Any, /) -> None: ...


__all__ = ["Hooks", "Listening", "SocketListening"]


class Listening:
    """``on``, ``once`` and ``off``, for whatever has a table of handlers."""

    __slots__ = ()

    _takes_socket = False
    _raised = LIBRARY
    """The names that the library itself raises here."""

    def _own_handlers(self) -> Handlers:
        raise NotImplementedError

    def _own_host(self) -> RuntimeLike:
        raise NotImplementedError

    def _check_name(self, name: str | int) -> None:
        check_listenable(name)

    if TYPE_CHECKING:

        @overload
        def on(
            self, name: str | int, handler: None = None, *, ack: bool = ..., concurrent: bool = ...
        ) -> Callable[[FunctionT], FunctionT]: ...
        @overload
        def on(
            self, name: str | int, handler: FunctionT, *, ack: bool = ..., concurrent: bool = ...
        ) -> FunctionT: ...

    def on(
        self,
        name: str | int,
        handler: FunctionT | None = None,
        *,
        ack: bool = False,
        concurrent: bool = False,
    ) -> FunctionT | Callable[[FunctionT], FunctionT]:
        """Call a function for each event of this name; also a decorator.

        The value that it returns is the acknowledgement: a tuple means several values, nothing an
        empty one, ``(None,)`` a null.  ``ack=True`` passes a function ``ack(*values)`` as the last
        argument instead, to be called later, from any thread, or never.  ``concurrent=True``
        lets the next event start before this handler has ended.  Returns the function unchanged.
        ``ValueError`` if no event can ever have that name.
        """
        self._check_name(name)
        if handler is None:
            return partial(self._listen, name, ack=ack, concurrent=concurrent)
        return self._listen(name, handler, ack=ack, concurrent=concurrent)

    if TYPE_CHECKING:

        @overload
        def once(
            self, name: str | int, handler: None = None, *, ack: bool = ...
        ) -> Callable[[FunctionT], FunctionT]: ...
        @overload
        def once(self, name: str | int, handler: FunctionT, *, ack: bool = ...) -> FunctionT: ...

    def once(
        self, name: str | int, handler: FunctionT | None = None, *, ack: bool = False
    ) -> FunctionT | Callable[[FunctionT], FunctionT]:
        """Call a function for the next event of this name only; otherwise as :meth:`on`."""
        self._check_name(name)
        if handler is None:
            return partial(self._listen, name, ack=ack, once=True)
        return self._listen(name, handler, ack=ack, once=True)

    def off(self, name: str | int, handler: AnyFunction | None = None) -> None:
        """Take off a function, or all of this name."""
        check_kind(name)
        self._remove_handlers(name, handler)

    def _listen(self, name: str | int, handler: FunctionT, **options: bool) -> FunctionT:
        made = Handler(handler, takes_socket=self._takes_socket, **options)
        host = self._own_host()
        host.expect(handler)
        warn_of_near_miss(host, name, self._raised)
        self._add_handler(name, made)
        return handler

    def _add_handler(self, name: str | int, handler: Handler) -> None:
        self._own_handlers().add(name, handler)

    def _remove_handlers(self, name: str | int, fn: AnyFunction | None) -> None:
        self._own_handlers().remove(name, fn)


class Hooks:
    """What few sockets have: middleware for events, and listeners to all of them.

    ``handled(socket)`` is ours, called when the handlers of an event have ended.
    """

    __slots__ = ("middleware", "incoming", "outgoing", "handled")

    def __init__(
        self,
        middleware: tuple[AnyFunction, ...] = (),
        incoming: tuple[AnyFunction, ...] = (),
        outgoing: tuple[AnyFunction, ...] = (),
    ) -> None:
        self.middleware = middleware
        self.incoming = incoming
        self.outgoing = outgoing
        self.handled: Callable[[Any], None] | None = None


class SocketListening(Listening):
    """What a socket has besides: ``use``, ``on_any`` and ``on_any_outgoing``."""

    __slots__ = ("_hooks",)

    def __init__(self) -> None:
        self._hooks: Hooks | None = None

    def _own_hooks(self) -> Hooks:
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks

    def use(self, middleware: FunctionT) -> FunctionT:
        """Call ``middleware(name, args)`` before the handlers of each incoming event.

        Whatever it raises stops the event, and so does whatever it returns but ``None`` and
        ``True``: nobody handles or acknowledges it.  On a server, handlers of ``error`` are called
        with the exception.  If there are none, and on a client, it is logged, unless it is
        :class:`~rawsio.errors.Refused` (or ``False``, which means that).  ``args`` is a list, and
        may be changed in place.  Also a decorator.
        """
        check_function(middleware, "middleware")
        self._own_host().expect(middleware)
        hooks = self._own_hooks()
        hooks.middleware = (*hooks.middleware, middleware)
        return middleware

    def on_any(self, listener: FunctionT) -> FunctionT:
        """Call ``listener(name, *args)`` for every incoming event, before its handlers."""
        check_function(listener, "a listener")
        self._own_host().expect(listener)
        hooks = self._own_hooks()
        hooks.incoming = (*hooks.incoming, listener)
        return listener

    def prepend_any(self, listener: FunctionT) -> FunctionT:
        """As :meth:`on_any`, before the listeners that are there."""
        check_function(listener, "a listener")
        self._own_host().expect(listener)
        hooks = self._own_hooks()
        hooks.incoming = (listener, *hooks.incoming)
        return listener

    @property
    def listeners_any(self) -> tuple[AnyFunction, ...]:
        """The listeners of :meth:`on_any`, in their order."""
        return () if self._hooks is None else self._hooks.incoming

    def off_any(self, listener: AnyFunction | None = None) -> None:
        """Take off one listener of :meth:`on_any`, or all."""
        hooks = self._own_hooks()
        left = without_last(hooks.incoming, lambda fn: fn == listener)
        hooks.incoming = left if listener is not None else ()

    def on_any_outgoing(self, listener: FunctionT) -> FunctionT:
        """Call ``listener(name, *args)`` for every event that this socket sends, when it does."""
        check_plain(listener, "a listener of outgoing events")
        hooks = self._own_hooks()
        hooks.outgoing = (*hooks.outgoing, listener)
        return listener

    def prepend_any_outgoing(self, listener: FunctionT) -> FunctionT:
        """As :meth:`on_any_outgoing`, before the listeners that are there."""
        check_plain(listener, "a listener of outgoing events")
        hooks = self._own_hooks()
        hooks.outgoing = (listener, *hooks.outgoing)
        return listener

    @property
    def listeners_any_outgoing(self) -> tuple[AnyFunction, ...]:
        """The listeners of :meth:`on_any_outgoing`, in their order."""
        return () if self._hooks is None else self._hooks.outgoing

    def off_any_outgoing(self, listener: AnyFunction | None = None) -> None:
        """Take off one listener of :meth:`on_any_outgoing`, or all."""
        hooks = self._own_hooks()
        left = without_last(hooks.outgoing, lambda fn: fn == listener)
        hooks.outgoing = left if listener is not None else ()
