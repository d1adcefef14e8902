"""Handlers: how they are registered, and what they take.

A namespace and a socket each have a table of :class:`Handlers`.  An incoming event runs those of
the namespace first (they get the socket as first argument), then those of the socket.

Signatures are inspected once, at registration.  A :class:`Handler` knows how many arguments its
function takes (surplus ones are dropped, as in JavaScript), whether it is a coroutine function, and
whether it wants to acknowledge by itself; a call then looks at plain fields.  Arity is read from
the code object, never by catching ``TypeError``, which would hide the user's own.

The names that the library raises itself (:data:`LIBRARY`) live in a table of their own.  Packets
are looked up in the other one only, so a client that sends an event named ``drain`` or ``error``
reaches nobody.

The methods that register them are in :mod:`rawsio.app.listeners`, running them one after the
other is in :mod:`rawsio.app.handler_queue`, and what becomes of what they return in
:mod:`rawsio.app.dispatch`.
"""

from __future__ import annotations

from functools import partial
from sys import maxsize

from rawsio.layer import CO_ASYNC
from rawsio.log import WARNING
from rawsio.socketio.packets import RESERVED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol, TypeVar

    from .interfaces import RuntimeLike

    T = TypeVar("T")
    AnyFunction = Callable[..., Any]

    class HandlerNamespace(Protocol):
        """A namespace, as whoever runs handlers needs it."""

        @property
        def name(self) -> str: ...
        @property
        def host(self) -> RuntimeLike: ...
        @property
        def _handlers(self) -> Handlers: ...

    class Listener(Protocol):
        """What has handlers of its own beside those of its namespace: a socket."""

        @property
        def namespace(self) -> HandlerNamespace: ...
        @property
        def _handlers(self) -> Handlers | None: ...


__all__ = [
    "LIBRARY",
    "Handler",
    "Handlers",
    "check_catch_all",
    "check_function",
    "check_kind",
    "check_listenable",
    "check_plain",
    "shape",
    "take_off",
    "warn_of_near_miss",
    "without_last",
]

LIBRARY = frozenset(
    (
        "connection",
        "disconnect",
        "disconnecting",
        "new_namespace",
        "connection_error",
        "cluster_degraded",
        "drain",
        "error",
    )
)
"""Names of the events that the library raises; packets never reach their handlers."""

_VARARGS = 0x04


def shape(fn: Any) -> tuple[int, int | None, bool]:
    """Return the fewest and the most positional arguments of ``fn``, and whether it is async.

    ``None`` as the most means any number; so does what has no Python code (built-ins).

    >>> shape(lambda a, b=1: None), shape(lambda *args: None), shape(print)
    ((1, 2, False), (0, None, False), (0, None, False))
    """
    if isinstance(fn, partial):
        least, most, is_async = shape(fn.func)
        taken = len(fn.args)
        if most is not None:
            most = max(0, most - taken - len(fn.keywords))
        return max(0, min(least - taken, least if most is None else most)), most, is_async
    bound = 0
    if not hasattr(fn, "__code__") and not hasattr(fn, "__func__"):
        if isinstance(fn, type):
            return 0, None, False
        fn = type(fn).__call__
        bound = 1
    if hasattr(fn, "__func__"):
        fn = fn.__func__
        bound = 1
    code = getattr(fn, "__code__", None)
    if code is None:
        return 0, None, False
    most = code.co_argcount - bound
    least = max(0, most - len(fn.__defaults__ or ()))
    return (
        least,
        None if code.co_flags & _VARARGS else max(0, most),
        bool(code.co_flags & CO_ASYNC),
    )


class Handler:
    """One registered function, and what it is like.

    ``least`` and ``most`` count arguments of the event (not the socket, not the ``ack`` function),
    ``full`` is how long the list of them is at most, with the name.
    ``plain`` means that the peer's short cut may call it: synchronous, no options.  ``answers``
    is the same for one with ``ack``.
    """

    __slots__ = (
        *("fn", "least", "most", "full", "ack", "concurrent", "once", "takes_socket", "told"),
        *("plain", "answers"),
    )

    def __init__(
        self,
        fn: AnyFunction,
        *,
        takes_socket: bool = False,
        ack: bool = False,
        concurrent: bool = False,
        once: bool = False,
    ) -> None:
        check_function(fn, "a handler")
        least, most, is_async = shape(fn)
        # A namespace's handler that takes nothing at all is called with nothing at all.
        takes_socket = takes_socket and most != 0
        own = takes_socket + ack
        self.fn = fn
        self.least = max(0, least - own)
        self.most = None if most is None else max(0, most - own)
        self.full = maxsize if most is None else 1 + max(0, most - own)
        self.ack = ack
        self.concurrent = concurrent
        self.once = once
        self.takes_socket = takes_socket
        # Whether the log has said that it leaves out arguments.
        self.told = False
        short = not (is_async or concurrent or once)
        self.plain = short and not ack
        self.answers = short and ack

    def arguments(self, socket: Any, values: list[Any], ack: Any = None) -> tuple[Any, ...]:
        """Return what to call ``fn`` with: surplus values dropped, socket and ack added."""
        kept = values if self.most is None else values[: self.most]
        if self.ack:
            kept = [*kept, ack]
        return (socket, *kept) if self.takes_socket else tuple(kept)

    def __repr__(self) -> str:
        return f"<Handler {getattr(self.fn, '__qualname__', self.fn)!s}>"


def without_last(items: tuple[T, ...], fits: Callable[[T], bool]) -> tuple[T, ...]:
    """Return the items without the last one that fits: what was added twice stays once.

    >>> without_last((1, 2, 1, 3), lambda item: item == 1)
    (1, 2, 3)
    """
    for position in range(len(items) - 1, -1, -1):
        if fits(items[position]):
            return items[:position] + items[position + 1 :]
    return items


class Handlers:
    """The handlers of a namespace or of a socket, by the names of events.

    Lists are replaced, not changed: what is running is never disturbed by ``on`` and ``off``.
    """

    __slots__ = ("events", "library", "alone", "later")

    def __init__(self) -> None:
        self.events: dict[str | int, tuple[Handler, ...]] = {}
        self.library: dict[str | int, tuple[Handler, ...]] = {}
        self.alone: dict[str, Handler] = {}
        """What :meth:`only` has found."""
        self.later: dict[str, Handler] = {}
        """What :meth:`answering` has found."""

    def only(self, name: str) -> Handler | None:
        """Return the one handler that an event has, if that is plain and takes the socket."""
        if name in self.later:
            return None
        handlers = self.events.get(name, ())
        if len(handlers) != 1 or not handlers[0].plain or not handlers[0].takes_socket:
            return None
        return self._keep(self.alone, name, handlers[0])

    def answering(self, name: str) -> Handler | None:
        """Return the one handler that an event has, if it answers and takes the socket."""
        handlers = self.events.get(name, ())
        if len(handlers) != 1 or not handlers[0].answers or not handlers[0].takes_socket:
            return None
        return self._keep(self.later, name, handlers[0])

    def _keep(self, found: dict[str, Handler], name: str, handler: Handler) -> Handler:
        """Remember what was found, unless another thread has changed the handlers meanwhile.

        It changes them first, and then has everything forgotten.  So what has not changed when this
        is written is right, or is forgotten in a moment.
        """
        found[name] = handler
        if self.events.get(name) != (handler,):
            found.pop(name, None)
        return handler

    def _forget_found(self) -> None:
        self.alone.clear()
        self.later.clear()

    def update(self, other: Handlers) -> None:
        """Take the handlers of another table."""
        self.events.update(other.events)
        self.library.update(other.library)
        self._forget_found()

    def _table(self, name: str | int) -> dict[str | int, tuple[Handler, ...]]:
        return self.library if name in LIBRARY else self.events

    def add(self, name: str | int, handler: Handler) -> None:
        """Put a handler behind the others of this name."""
        table = self._table(name)
        table[name] = (*table.get(name, ()), handler)
        self._forget_found()

    def discard(self, name: str | int, handler: Handler) -> bool:
        """Take one handler off; ``False`` if it was not there any more."""
        table = self._table(name)
        before = table.get(name, ())
        after = tuple(h for h in before if h is not handler)
        self._put(table, name, after)
        return len(after) < len(before)

    def remove(self, name: str | int, fn: AnyFunction | None) -> None:
        """Take off every handler of a name, or one that is ``fn``: the one added last."""
        table = self._table(name)
        before = table.get(name, ())
        self._put(table, name, without_last(before, lambda h: h.fn == fn) if fn else ())

    def _put(
        self,
        table: dict[str | int, tuple[Handler, ...]],
        name: str | int,
        left: tuple[Handler, ...],
    ) -> None:
        if left:
            table[name] = left
        else:
            table.pop(name, None)
        self._forget_found()


def check_function(fn: object, what: str) -> None:
    """Refuse what cannot be called where it is registered, not when an event comes.

    >>> check_function(5, "a handler")
    Traceback (most recent call last):
    TypeError: a handler is a function, not 5
    """
    if not callable(fn):
        raise TypeError(f"{what} is a function, not {fn!r}")


def check_plain(fn: object, what: str) -> None:
    """Refuse what cannot be called, and ``async def`` where nobody waits for the function.

    >>> async def later(): ...
    >>> check_plain(later, "a listener")
    Traceback (most recent call last):
    TypeError: a listener is called without waiting for it: later cannot be `async def`
    """
    check_function(fn, what)
    if shape(fn)[2]:
        name = getattr(fn, "__qualname__", repr(fn))
        raise TypeError(f"{what} is called without waiting for it: {name} cannot be `async def`")


def check_listenable(name: str | int) -> None:
    """Refuse names that the protocol keeps to itself: such a handler would never be called."""
    if isinstance(name, str):
        if name in LIBRARY:
            return
        if name in RESERVED:
            hint = ' (the event of a new client is "connection")' if name == "connect" else ""
            raise ValueError(f"no event can be named {name!r}{hint}")
        check_catch_all(name)
    else:
        check_kind(name)


def check_kind(name: object) -> None:
    """Refuse what cannot be the name of an event, whichever it were.

    >>> check_kind(["chat"])
    Traceback (most recent call last):
    TypeError: the name of an event is a str or an int, not ['chat']
    """
    if not isinstance(name, (str, int)) or isinstance(name, bool):
        hint = ' (write @socket.on("name"))' if callable(name) else ""
        raise TypeError(f"the name of an event is a str or an int, not {name!r}{hint}")


def warn_of_near_miss(host: RuntimeLike, name: str | int, library: frozenset[str]) -> None:
    """Write a line if a name differs by one letter, or by case, from one that the library raises.

    It may be meant: clients choose the names of their events.
    """
    if not isinstance(name, str) or name in library:
        return
    for other in library:
        if len(other) >= _LONG and _one_edit(name.lower(), other):
            message = f"on({name!r}) hears events of the other end: did you mean {other!r}?"
            host.log("handler", WARNING, message)


_LONG = 7
"""How long a name of the library is that nobody hits by chance."""


def _one_edit(text: str, other: str) -> bool:
    """Tell whether two texts are one letter apart: missing, added, wrong, or two exchanged.

    >>> [_one_edit(text, "connection") for text in ("connection", "conection", "conenction", "con")]
    [True, True, True, False]
    """
    while text and other and text[0] == other[0]:
        text, other = text[1:], other[1:]
    while text and other and text[-1] == other[-1]:
        text, other = text[:-1], other[:-1]
    return max(len(text), len(other)) < 2 or (len(text) == len(other) == 2 and text == other[::-1])


def check_catch_all(name: str) -> None:
    """Refuse ``*``, which other libraries have for every event.

    >>> check_catch_all("*")
    Traceback (most recent call last):
    ValueError: '*' does not stand for every event here: register with socket.on_any(listener)
    """
    if name == "*":
        raise ValueError(
            "'*' does not stand for every event here: register with socket.on_any(listener)"
        )


def take_off(socket: Listener, name: str | int, handler: Handler) -> bool:
    """Remove a handler that was for one event only; ``False`` if it has had it."""
    own = socket._handlers
    if own is not None and own.discard(name, handler):
        return True
    return socket.namespace._handlers.discard(name, handler)
