"""How handlers are registered, and what is known of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from rawsio.app.handlers import LIBRARY, Handler, Handlers, shape, take_off

from .world import World


class Callable_:
    def __call__(self, a: Any, b: Any = None) -> None: ...

    def method(self, a: Any) -> None: ...

    @classmethod
    def of_class(cls, a: Any) -> None: ...

    @staticmethod
    def static(a: Any) -> None: ...


async def later(a: Any) -> None: ...


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (lambda: None, (0, 0, False)),
        (lambda a, b, c=1: None, (2, 3, False)),
        (lambda a, *rest: None, (1, None, False)),
        (lambda a, *, key=1: None, (1, 1, False)),
        (Callable_(), (1, 2, False)),
        (Callable_().method, (1, 1, False)),
        (Callable_.of_class, (1, 1, False)),
        (Callable_.static, (1, 1, False)),
        (later, (1, 1, True)),
        (partial(later), (1, 1, True)),
        (partial(lambda a, b: None, 1), (1, 1, False)),
        (partial(lambda a, b: None, b=1), (1, 1, False)),
        (partial(lambda *a: None, 1), (0, None, False)),
        (print, (0, None, False)),
        ([].append, (0, None, False)),
        (dict, (0, None, False)),
    ],
)
def test_arity_is_read_from_the_code(fn: Any, expected: Any) -> None:
    assert shape(fn) == expected


def test_a_handler_of_a_namespace_gets_the_socket_first() -> None:
    handler = Handler(lambda socket, a, b=None: None, takes_socket=True)
    assert (handler.least, handler.most) == (1, 2)
    assert handler.arguments("socket", [1, 2, 3]) == ("socket", 1, 2)


def test_a_handler_that_takes_nothing_gets_nothing() -> None:
    handler = Handler(lambda: None, takes_socket=True)
    assert handler.arguments("socket", [1]) == ()


def test_the_ack_function_comes_last() -> None:
    handler = Handler(lambda a, ack: None, ack=True)
    assert handler.arguments("socket", [1, 2], "ack") == (1, "ack")
    many = Handler(lambda *args: None, ack=True, takes_socket=True)
    assert many.arguments("socket", [1, 2], "ack") == ("socket", 1, 2, "ack")


def test_what_is_running_is_not_disturbed_by_on_and_off() -> None:
    table = Handlers()
    first, second = Handler(print), Handler(len)
    table.add("x", first)
    running = table.events["x"]
    table.add("x", second)
    table.remove("x", print)
    assert running == (first,)
    assert table.events["x"] == (second,)
    assert table.discard("x", second)
    assert not table.discard("x", second)
    assert table.events == {}


def test_names_of_the_library_have_a_table_of_their_own() -> None:
    table = Handlers()
    for name in LIBRARY:
        table.add(name, Handler(print))
    assert not table.events
    assert set(table.library) == LIBRARY
    table.remove("error", None)
    assert "error" not in table.library


def test_on_is_a_decorator_that_returns_the_function_unchanged() -> None:
    io = World().io

    @io.on("a")
    @io.once("b")
    def handler(socket: Any) -> None: ...

    assert callable(handler)
    assert io.on("c", handler) is handler
    assert io.once("d", handler) is handler
    assert set(io._handlers.events) == {"a", "b", "c", "d"}
    io.off("a")
    io.off("c", handler)
    io.off("never")
    assert set(io._handlers.events) == {"b", "d"}


@pytest.mark.parametrize("name", ["connect", "connect_error", "newListener"])
def test_a_handler_that_could_never_be_called_is_refused(name: str) -> None:
    io = World().io
    with pytest.raises(ValueError, match="no event can be named"):
        io.on(name)
    with pytest.raises(ValueError, match="no event can be named"):
        io.once(name, print)
    for wrong in (None, 1.5, True, b"x"):
        with pytest.raises(TypeError):
            io.on(wrong)


def test_what_is_no_function_is_refused_where_it_is_registered() -> None:
    world = World()
    parent = world.namespaces.of(lambda *_: False)
    socket = world.client().socket()
    wrong: Any = "print"
    for register in (
        lambda: world.io.on("x", wrong),
        lambda: world.io.on("x")(wrong),
        lambda: world.io.once("x", wrong),
        lambda: world.io.on_server("x", wrong),
        lambda: world.io.use(wrong),
        lambda: parent.use(wrong),
        lambda: socket.use(wrong),
        lambda: socket.on_any(wrong),
        lambda: socket.prepend_any(wrong),
        lambda: socket.on_any_outgoing(wrong),
        lambda: socket.prepend_any_outgoing(wrong),
    ):
        with pytest.raises(TypeError, match="is a function, not 'print'"):
            register()
    assert socket.listeners_any == ()


def test_a_decorator_without_a_name_is_refused_with_the_way_to_write_it() -> None:
    with pytest.raises(TypeError, match=r"not <built-in function print> \(write @socket.on\("):
        World().io.on(print)  # type: ignore[arg-type]


def test_a_handler_for_one_event_is_taken_off_once() -> None:
    world = World()
    socket = world.client().socket() if world.client() else None
    assert socket is not None
    mine, theirs = Handler(print, once=True), Handler(print, once=True)
    socket._own_handlers().add("x", mine)
    world.io._handlers.add("x", theirs)
    assert take_off(socket, "x", mine)
    assert not take_off(socket, "x", mine)
    assert take_off(socket, "x", theirs)
    assert "print" in repr(mine)


def test_off_removes_one_of_two_equal_registrations() -> None:
    handlers, fn = Handlers(), print
    for name in ("a", "a", "b"):
        handlers.add(name, Handler(fn))
    handlers.add("a", Handler(repr))
    handlers.remove("a", fn)
    assert [h.fn for h in handlers.events["a"]] == [print, repr]
    handlers.remove("a", fn)
    handlers.remove("a", fn)
    assert [h.fn for h in handlers.events["a"]] == [repr]
    handlers.remove("a", None)
    assert set(handlers.events) == {"b"}


class Meanwhile(dict[Any, Any]):
    """A table in which something happens just after somebody has looked."""

    then: Any = None

    def get(self, name: Any, default: Any = None) -> Any:
        found = super().get(name, default)
        then, self.then = self.then, None
        if then is not None:
            then()
        return found


@pytest.mark.parametrize(("way", "ack"), [("only", False), ("answering", True)])
def test_a_handler_that_a_thread_adds_while_the_loop_looks_is_not_overlooked(
    way: str, ack: bool
) -> None:
    handlers = Handlers()
    one = Handler(lambda socket, *ack: None, ack=ack, takes_socket=True)
    handlers.add("e", one)
    assert getattr(handlers, way)("e") is one
    handlers.events = Meanwhile(handlers.events)
    handlers.events.then = lambda: handlers.add(
        "e", Handler(lambda socket: None, takes_socket=True)
    )
    getattr(handlers, way)("e")
    assert not handlers.alone
    assert not handlers.later
    assert getattr(handlers, way)("e") is None
