"""The contract that every layer keeps, and the few types they share.

Theory of operation
===================
rawsio is a pile of layers: TLS, HTTP/1.1, WebSocket, Engine.IO, Socket.IO.  Each is an object
without sockets, clocks or threads that turns *units* of the layer below into *events* for the
layer above, and back.  All of them have the same names, so that one driver runs any of them, one
set of laws (``tests/laws.py``) tests all of them, and a pile of layers is again a layer:

``receive(unit) -> list[event]``
    Feeds what came from below.  Never raises for the peer's mistakes.
``receive_eof() -> list[event]``
    The peer sends no more.  Calling it again gives ``[]``.
``send(event) -> None``
    Raises :class:`~rawsio.errors.LocalProtocolError`, and changes nothing, when illegal now.
``data_to_send() -> list[unit]``
    Drains the outbox: what was sent and the automatic replies, in order.
``deadline: float | None``
    When ``tick`` wants to be called; ``0.0`` means as soon as possible, ``None`` never.
``tick(now) -> list[event]``
    The only way that time comes in.  A driver calls it on a touched layer once a turn, before
    ``receive``, so that layers know the time without asking.
``closing: Closing``
    Whether the driver should go on, end our direction once the outbox is empty, or close now.
``reading: bool``
    ``False`` while what comes in could only be stored.  A driver stops reading the peer until it
    is ``True`` again; feeding more all the same is legal, and fails the layer at its limit.

The peer's mistakes are events, your mistakes are exceptions.  Inside a layer code raises
:class:`~rawsio.errors.RemoteProtocolError` freely; one ``except`` at the top of ``receive`` turns
it into the last event, :class:`Failed`, and puts the goodbye that the protocol foresees (a status,
a close code) into the outbox.  Raising from ``receive`` instead would drop the events parsed
earlier in the same read, and so make behaviour depend on where TCP cuts.

Every stream of events ends with at most one terminal event, :class:`Closed` or :class:`Failed`;
afterwards ``receive`` gives ``[]`` and ``send`` raises.

Buffers are not part of the contract: each layer has the one that fits its framing.
"""

from __future__ import annotations

from enum import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Generic, Protocol, TypeVar

    from typing_extensions import dataclass_transform

    T = TypeVar("T")
    UnitT = TypeVar("UnitT")
    EventT = TypeVar("EventT")

else:

    class Generic:
        """What ``typing.Generic`` is to a type checker, without the import of ``typing``."""

        __slots__ = ()

        def __class_getitem__(cls, _item):
            return cls


__all__ = [
    "Role",
    "Closing",
    "Closed",
    "Failed",
    "Generic",
    "record",
    "check_fields",
    "check_number",
    "is_async",
    "Layer",
]


class Role(Enum):
    """Which end of the connection a layer is."""

    CLIENT = "client"
    SERVER = "server"

    __hash__ = object.__hash__  # by identity: Enum's own hashes the name, in Python, at each use

    @property
    def peer(self) -> Role:
        """Return the other role.

        >>> Role.CLIENT.peer
        <Role.SERVER: 'server'>
        """
        return Role.SERVER if self is Role.CLIENT else Role.CLIENT


class Closing(Enum):
    """What a driver should do with the connection below a layer."""

    OPEN = "open"
    """Go on."""
    HALF = "half"
    """End our direction once the outbox is empty; go on receiving what still comes."""
    NOW = "now"
    """Nothing more is expected: close once the outbox is empty."""


if TYPE_CHECKING:

    @dataclass_transform()
    def record(cls: type[T]) -> type[T]:
        """Make a class of annotations into a record (see below)."""
        ...

else:

    def record(cls):
        """Make a class of annotations into a record: slots, ``init``, ``eq``, ``repr``, ``match``.

        A record is what ``dataclass(slots=True)`` would make of the class: positional or keyword
        arguments in the order of the annotations, defaults from class attributes, equality by
        value between objects of the same class, no hash.  It exists because importing
        ``dataclasses`` costs more than everything else that a server needs to start.  Fields
        named in ``__uncompared__`` do not count for equality.

        >>> @record
        ... class Point:
        ...     x: int
        ...     y: int = 0
        >>> Point(1), Point(1) == Point(1, 0), Point(1) == Point(2)
        (Point(x=1, y=0), True, False)
        """
        names = tuple(cls.__dict__.get("__annotations__", ()))  # noqa: RUF063 - its own only
        namespace = dict(cls.__dict__)
        defaults = {name: namespace.pop(name) for name in names if name in namespace}
        namespace.pop("__dict__", None)
        namespace.pop("__weakref__", None)

        def __init__(self, *args, **kwargs):
            # Until the first object is made, so that records nobody uses cost nothing at the start.
            if len(defaults) == len(names) > _FEW and not args and kwargs.keys() <= defaults.keys():
                # Options and limits: few are made, and to compile so long a text takes a while.
                for name in names:
                    setattr(self, name, kwargs.get(name, defaults[name]))
                return
            made.__init__ = _init(made.__qualname__, names, defaults)
            made.__init__(self, *args, **kwargs)

        namespace.update(__slots__=names, __match_args__=names, __hash__=None)
        namespace.update(__init__=__init__, __eq__=_equal)
        namespace.setdefault("__repr__", _shown)  # one with a secret has its own
        made = type(cls)(cls.__name__, cls.__bases__, namespace)
        made.__qualname__ = cls.__qualname__
        return made

    _FEW = 12

    def _init(owner, names, defaults):
        # Compiled text: a loop over the names would make every event several times as dear.
        parameters = "".join(f", {n}=_{n}" if n in defaults else f", {n}" for n in names)
        body = "".join(f"\n self.{n} = {n}" for n in names)
        scope = {f"_{name}": value for name, value in defaults.items()}
        methods = {}
        source = f"def __init__(self{parameters}):{body or ' pass'}"
        exec(source, scope, methods)  # noqa: S102 - the text is made of our own names
        # Python's message for a wrong argument says whose it is.
        methods["__init__"].__qualname__ = f"{owner}.__init__"
        return methods["__init__"]

    def _equal(self, other):
        if other.__class__ is not self.__class__:
            return NotImplemented
        ignored = getattr(self, "__uncompared__", ())
        for name in self.__match_args__:
            if name not in ignored and getattr(self, name) != getattr(other, name):
                return False
        return True

    def _shown(self):
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
        return f"{type(self).__qualname__}({fields})"


CO_ASYNC = 0x80 | 0x100
"""``inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE``: flags of code that gives coroutines."""


def is_async(fn: Any) -> bool:
    """Tell whether a plain function is ``async def``.

    >>> async def later(): ...
    >>> is_async(later), is_async(len)
    (True, False)
    """
    code = getattr(fn, "__code__", None)
    return code is not None and bool(code.co_flags & CO_ASYNC)


def check_fields(made: Any, *free: str) -> None:
    """Check the fields of a record of options against their defaults, except those in ``free``.

    Where the default is a bool, a text or a number the value has to be one, and a number not below
    zero.

    >>> @record
    ... class Options:
    ...     seconds: float = 1.0
    ...     loud: bool = False
    >>> check_fields(Options(seconds=3))
    >>> check_fields(Options(loud="no"))
    Traceback (most recent call last):
    TypeError: loud: True or False is expected, not 'no'
    """
    plain = type(made)()
    for name in made.__match_args__:
        value, default = getattr(made, name), getattr(plain, name)
        if name in free or default.__class__ not in (bool, int, float, str):
            continue
        if default.__class__ is str:
            if not isinstance(value, str):
                raise TypeError(f"{name}: a text is expected, not {value!r}")
            continue
        if default.__class__ is bool:
            if value.__class__ is not bool:
                raise TypeError(f"{name}: True or False is expected, not {value!r}")
        else:
            check_number(name, value)


def check_number(name: str, value: Any, *, whole: bool = False) -> None:
    """Refuse what is no number, or below zero; with ``whole`` also what is no int.

    >>> check_number("timeout", 2.5)
    >>> check_number("message", 2.5, whole=True)
    Traceback (most recent call last):
    TypeError: message: a whole number is expected, not 2.5
    """
    numbers = int if whole else (int, float)
    if not isinstance(value, numbers) or isinstance(value, bool):
        raise TypeError(f"{name}: a {'whole ' * whole}number is expected, not {value!r}")
    if not value >= 0:
        raise ValueError(f"{name}: a number not below zero is expected, not {value!r}")


@record
class Closed:
    """The last event of an orderly end; sending it ends the layer from our side.

    ``code`` is the layer's own (a WebSocket close code; 0 where a layer has none), ``reason`` a
    few words: the peer's, or ours.

    >>> Closed(1000, "bye")
    Closed(code=1000, reason='bye')
    """

    code: int = 0
    reason: str = ""


@record
class Failed:
    """The last event after a mistake of the peer, or a time-out.

    ``layer`` is ``"http"``, ``"websocket"``, ``"engineio"``, ``"socketio"`` or ``"tls"``;
    ``rule`` the id in ``rfc_notes/`` of the rule that was broken; ``code`` what goes on the wire
    (a status, a close code, an Engine.IO error code; 0 where there is none); ``message`` one
    sentence for the log, wire text escaped.

    >>> Failed("websocket", "6455-5.1-mask", 1002, "not masked")
    Failed(layer='websocket', rule='6455-5.1-mask', code=1002, message='not masked')
    """

    layer: str
    rule: str
    code: int
    message: str


if TYPE_CHECKING:

    class Layer(Protocol[UnitT, EventT]):
        """The contract, for type checkers; the module's essay says what each name means."""

        @property
        def deadline(self) -> float | None:
            """When ``tick`` wants to be called."""
            ...

        @property
        def closing(self) -> Closing:
            """What the driver should do with the connection."""
            ...

        @property
        def reading(self) -> bool:
            """Whether more input is of use."""
            ...

        def receive(self, unit: UnitT, /) -> list[EventT]:
            """Feed what came from below."""
            ...

        def receive_eof(self) -> list[EventT]:
            """The peer sends no more."""
            ...

        def send(self, event: EventT, /) -> None:
            """Send an event."""

        def data_to_send(self) -> list[UnitT]:
            """Drain the outbox."""
            ...

        def tick(self, now: float, /) -> list[EventT]:
            """Tell the time."""
            ...

    class Clear(Protocol):
        """A layer for which somebody may take what comes."""

        @property
        def clear(self) -> bool:
            """Whether nothing is between: what comes next is the beginning of a unit."""
            ...

    class Taker(Protocol):
        """Who is offered what comes for a layer before that reads it, and takes the commonest."""

        @property
        def layer(self) -> Clear:
            """The layer; nothing is offered while it is not clear."""
            ...

        @property
        def outbox(self) -> list[Any]:
            """What answers it: the outbox of the layer."""
            ...

        def clog(self) -> None:
            """Take note that the kernel takes less than is sent."""

        def flow(self) -> None:
            """Take note that it has taken all."""

        def read(self, data: bytes, now: float, /) -> int:
            """Take some, or nothing; return how many bytes the layer need not see."""
            ...

    class PreparedLayer(Layer[UnitT, EventT], Protocol[UnitT, EventT]):
        """A layer that sends packets that were encoded once for many."""

        def send_prepared(self, prepared: Any, /) -> None:
            """Send a packet: legal when ``send`` of its event is."""

    AnyLayer = Layer[Any, Any]
    ByteLayer = Layer[bytes, Any]
    """What a driver runs: bytes below, and whatever events above."""

else:
    # A name that annotations and documentation can use without importing typing.
    Layer = object
