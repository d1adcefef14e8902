"""Events and their acknowledgements: the rules, by the short cut and by the long way."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.errors import LocalProtocolError, Refused
from rawsio.socketio.packets import Ack

from .world import Client, World

NOTHING: Any = object()


@pytest.fixture(params=["short cut", "long way", "later"])
def world(request: pytest.FixtureRequest) -> World:
    """The same rules hold whichever way an event takes to its handlers."""
    if request.param == "later":
        return Later(policy="deferred")
    world = World()
    if request.param == "long way":
        world.io.on("connection", lambda socket: socket.on_any(lambda *args: None))
    return world


class Later(World):
    """Handlers end only when everything has been started; tests need not notice."""

    def start(self, fn: Any, args: Any, done: Any, /) -> None:
        super().start(fn, args, done)

    def settle(self) -> None:
        while self.started:
            self.finish()


def ask(world: World, client: Client, *event: Any) -> list[Any]:
    client.emit(*event, ack=7)
    if isinstance(world, Later):
        world.settle()
    return [packet.args for packet in client.take() if isinstance(packet, Ack)]


def test_the_returned_value_acknowledges(world: World) -> None:
    values = {
        "text": ("ok", ["ok"]),
        "nothing": (None, []),
        "null": ((None,), [None]),
        "several": ((1, [2]), [1, [2]]),
        "list": ([1, 2], [[1, 2]]),
        "false": (False, [False]),
        "zero": (0, [0]),
        "bytes": (b"x", [b"x"]),
        "empty": ((), []),
    }
    client = world.client()
    for name, (value, expected) in values.items():
        world.io.on(name, lambda socket, value=value: value)
        assert ask(world, client, name) == [expected], name
    assert not world.errors


def test_handlers_get_their_arguments_and_surplus_ones_are_dropped(world: World) -> None:
    got: list[Any] = []
    world.io.on("e", lambda socket, a, b: got.append((socket.id, a, b)))
    world.io.on("none", lambda: got.append("none"))
    world.io.on("all", lambda socket, *args: got.append(args))
    world.io.on("default", lambda socket, a, b=9: got.append((a, b)))
    client = world.client()
    sid = client.socket().id if not isinstance(world, Later) else None
    ask(world, client, "e", 1, 2, 3)
    ask(world, client, "none", 1)
    ask(world, client, "all", 1, 2, 3)
    ask(world, client, "default", 1)
    sid = client.socket().id
    assert got == [(sid, 1, 2), "none", (1, 2, 3), (1, 9)]


def test_arguments_that_are_left_out_are_counted_once_in_the_log(world: World) -> None:
    world.io.on("e", lambda socket, a, b: None)
    client = world.client()
    ask(world, client, "e", 1, 2)
    assert not world.lines
    for _ in range(2):
        ask(world, client, "e", 1, 2, 3)
    ((channel, _level, text),) = world.lines
    assert channel == "handler"
    assert "has arguments: 3, and" in text
    assert "takes 2: the others are left out" in text


def test_too_few_arguments_are_one_line_and_no_acknowledgement(world: World) -> None:
    world.io.on("e", lambda socket, a, b: "never")
    client = world.client()
    assert ask(world, client, "e", 1) == []
    assert len(world.lines) == 1
    assert "has arguments: 1, and" in world.lines[0][2]
    assert not world.errors
    assert client.closed is None


def test_an_event_that_nobody_handles_is_not_acknowledged(world: World) -> None:
    assert ask(world, world.client(), "unheard") == []


def test_a_failing_handler_is_logged_and_not_acknowledged(world: World) -> None:
    world.io.on("e", lambda socket: 1 / 0)
    client = world.client()
    assert ask(world, client, "e") == []
    assert isinstance(world.errors[0], ZeroDivisionError)
    assert "'e'" in world.lines[0][2]
    assert client.closed is None
    world.io.on("fine", lambda socket: "fine")
    assert ask(world, client, "fine") == [["fine"]]


def test_all_handlers_run_and_the_first_value_counts(world: World) -> None:
    order: list[str] = []

    def handler(name: str, value: Any) -> Any:
        def run(*args: Any) -> Any:
            order.append(name)
            if value is ValueError:
                raise ValueError(name)
            return value

        return run

    client = world.client()
    if isinstance(world, Later):
        world.settle()
    socket = client.socket()
    socket.on("e", handler("socket 1", "late"))
    socket.on("e", handler("socket 2", None))
    world.io.on("e", handler("namespace 1", ValueError))
    world.io.on("e", handler("namespace 2", None))
    world.io.on("e", handler("namespace 3", "first"))
    assert ask(world, client, "e") == [["first"]]
    assert order == ["namespace 1", "namespace 2", "namespace 3", "socket 1", "socket 2"]


def test_an_ack_function_is_called_later_or_never(world: World) -> None:
    kept: list[Any] = []
    world.io.on("e", lambda socket, a, ack: kept.append(ack), ack=True)
    client = world.client()
    assert ask(world, client, "e", 1, 2) == []
    kept[0]("one", b"two")
    kept[0]("again")
    assert client.take() == [Ack("/", ["one", b"two"], 7)]


def test_an_ack_function_for_an_event_without_id_does_nothing(world: World) -> None:
    world.io.on("e", lambda socket, ack: ack("x"), ack=True)
    client = world.client()
    client.take()
    client.emit("e")
    if isinstance(world, Later):
        world.settle()
    assert [p for p in client.take() if isinstance(p, Ack)] == []


def test_an_ack_function_refuses_what_cannot_be_sent_and_can_be_called_again(world: World) -> None:
    kept: list[Any] = []
    world.io.on("e", lambda socket, ack: kept.append(ack), ack=True)
    client = world.client()
    ask(world, client, "e")
    with pytest.raises(LocalProtocolError):
        kept[0](float("nan"))
    kept[0]("x")
    assert client.take() == [Ack("/", ["x"], 7)]


def test_what_a_handler_with_an_ack_function_returns_is_the_acknowledgement(world: World) -> None:
    kept: list[Any] = []
    world.io.on("e", lambda socket, ack: kept.append(ack) or ("a", 1), ack=True)
    client = world.client()
    assert ask(world, client, "e") == [["a", 1]]
    kept[0]("late")
    assert client.take() == []


def test_a_handler_with_an_ack_function_that_fails_acknowledges_nothing(world: World) -> None:
    def fail(_socket: Any, _ack: Any) -> None:
        raise ValueError

    world.io.on("e", fail, ack=True)
    assert ask(world, world.client(), "e") == []
    assert isinstance(world.errors[0], ValueError)


def test_a_handler_with_an_ack_function_gets_as_many_arguments_as_it_takes(world: World) -> None:
    world.io.on("few", lambda socket, a, b, ack: ack("few"), ack=True)
    world.io.on("many", lambda socket, a, ack: ack(a), ack=True)
    world.io.on("all", lambda socket, *args: args[-1](*args[:-1]), ack=True)
    client = world.client()
    assert ask(world, client, "few", 1) == []
    assert ask(world, client, "many", 1, 2) == [[1]]
    assert ask(world, client, "all", 1, 2) == [[1, 2]]


@pytest.mark.rule("socketio-v5-ack-once")
def test_a_value_beside_an_ack_function_acknowledges_once(world: World) -> None:
    world.io.on("e", lambda socket, ack: ack("early"), ack=True)
    world.io.on("e", lambda socket: "late")
    world.io.on("e", lambda socket: None)
    assert ask(world, world.client(), "e") == [["early"]]


@pytest.mark.rule("socketio-v5-ack-once")
def test_two_handlers_with_ack_functions_acknowledge_once(world: World) -> None:
    kept: list[Any] = []
    for _ in range(2):
        world.io.on("e", lambda socket, ack: kept.append(ack), ack=True)
    client = world.client()
    assert ask(world, client, "e") == []
    for number, ack in enumerate(kept):
        ack(number)
    assert client.take() == [Ack("/", [0], 7)]


def test_a_value_that_cannot_be_sent_is_logged(world: World) -> None:
    world.io.on("e", lambda socket: {1, 2})
    client = world.client()
    assert ask(world, client, "e") == []
    assert isinstance(world.errors[0], LocalProtocolError)
    assert client.closed is None


def test_a_coroutines_result_counts(world: World) -> None:
    async def handler(socket: Any, a: Any) -> Any:
        return a, "async"

    async def failing(socket: Any) -> Any:
        raise ValueError

    world.io.on("e", handler)
    world.io.on("hidden", lambda socket, a: handler(socket, a))  # noqa: PLW0108 - its arity is the test
    world.io.on("hidden ack", lambda socket, a, ack: handler(socket, ack(a)), ack=True)
    world.io.on("late ack", lambda socket, a, ack: handler(socket, a), ack=True)
    world.io.on("failing", failing)
    world.io.on("failing hidden", lambda socket: failing(socket))  # noqa: PLW0108 - its arity is the test
    client = world.client()
    assert ask(world, client, "e", 1) == [[1, "async"]]
    assert ask(world, client, "hidden", 1) == [[1, "async"]]
    assert ask(world, client, "hidden ack", 1) == [[1]]
    assert ask(world, client, "late ack", 1) == [[1, "async"]]
    assert ask(world, client, "failing") == []
    assert ask(world, client, "failing hidden") == []
    assert len(world.errors) == 2


def test_once_is_once(world: World) -> None:
    world.io.once("e", lambda socket: "namespace")
    client = world.client()
    if isinstance(world, Later):
        world.settle()
    client.socket().once("e", lambda: "socket")
    assert ask(world, client, "e") == [["namespace"]]
    assert ask(world, client, "e") == []


def test_listeners_come_first_and_middleware_may_change_or_refuse(world: World) -> None:
    order: list[Any] = []
    client = world.client()
    if isinstance(world, Later):
        world.settle()
    socket = client.socket()

    @socket.on_any
    def listen(name: str, *args: Any) -> None:
        order.append(("any", name, args))

    @socket.use
    def check(name: str, args: list[Any]) -> None:
        order.append(("use", name, list(args)))
        if name == "bad":
            raise PermissionError("no")
        args.append("added")

    @socket.on("good")
    @socket.on("bad")
    def handler(*args: Any) -> None:
        order.append(("handler", args))

    socket.on("error", lambda error: order.append(error))  # noqa: PLW0108 - its arity is the test
    assert ask(world, client, "good", 1) == [[]]
    assert order == [("any", "good", (1,)), ("use", "good", [1]), ("handler", (1, "added"))]
    order.clear()
    assert ask(world, client, "bad") == []
    assert order[:2] == [("any", "bad", ()), ("use", "bad", [])]
    assert isinstance(order[2], PermissionError)
    assert client.closed is None
    socket.off_any(listen)
    socket.off_any()
    order.clear()
    ask(world, client, "good")
    assert order[0][0] == "use"


def test_what_middleware_raises_is_logged_if_nobody_hears_of_it(world: World) -> None:
    client = world.client()
    if isinstance(world, Later):
        world.settle()
    socket = client.socket()
    socket.on("e", lambda: "ok")

    @socket.use
    def check(name: str, args: list[Any]) -> None:
        raise KeyError(name) if args == ["mistake"] else Refused("no")

    assert ask(world, client, "e", "on purpose") == []
    assert not world.lines
    assert ask(world, client, "e", "mistake") == []
    assert "middleware of 'e'" in world.lines[0][2]
    assert isinstance(world.errors[0], KeyError)
    socket.on("error", lambda error: None)
    assert ask(world, client, "e", "mistake") == []
    assert len(world.lines) == 1


def test_a_failing_listener_does_not_stop_the_event(world: World) -> None:
    client = world.client()
    if isinstance(world, Later):
        world.settle()
    client.socket().on_any(lambda *args: 1 / 0)
    client.socket().on("e", lambda: "ok")
    assert ask(world, client, "e") == [["ok"]]
    assert isinstance(world.errors[0], ZeroDivisionError)


def test_asynchronous_middleware_is_waited_for(world: World) -> None:
    client = world.client()
    if isinstance(world, Later):
        world.settle()
    socket = client.socket()

    @socket.use
    async def check(name: str, args: list[Any]) -> None:
        args[0] = "changed"

    socket.on("e", lambda value: value)
    assert ask(world, client, "e", 1) == [["changed"]]


def test_names_of_the_library_are_out_of_the_wires_reach(world: World) -> None:
    called: list[str] = []
    client = world.client()
    if isinstance(world, Later):
        world.settle()
    for name in ("connection", "error", "drain", "new_namespace", "connection_error"):
        world.io.on(name, lambda *args, name=name: called.append(name))
        client.socket().on(name, lambda *args, name=name: called.append(name))
        assert ask(world, client, name, {"environ": 1}) == []
    assert called == []
    assert client.closed is None


def test_an_event_may_be_named_by_a_number(world: World) -> None:
    world.io.on(5, lambda socket: "five")
    assert ask(world, world.client(), 5) == [["five"]]


def test_names_are_never_resolved_as_attributes(world: World) -> None:
    client = world.client()
    for name in ("emit", "on_x", "disconnect_sockets", "_peer"):
        assert ask(world, client, name) == []
    assert client.closed is None


def test_a_handler_that_disconnects_does_not_acknowledge() -> None:
    world = World()
    world.io.on("bye", lambda socket: socket.disconnect())
    world.io.on("bye", lambda socket: "too late")
    client = world.client()
    assert ask(world, client, "bye") == []
    assert not world.errors


def test_concurrent_handlers_keep_only_the_order_of_starts() -> None:
    world = World(policy="deferred")
    started: list[Any] = []
    world.io.on("slow", lambda socket, n: ("slow", n), concurrent=True)
    world.io.on("waits", lambda socket, n: ("waits", n))
    client = world.client()
    client.take()
    client.emit("slow", 1, ack=1)
    client.emit("slow", 2, ack=2)
    client.emit("waits", 3, ack=3)
    client.emit("slow", 4, ack=4)
    assert [job[1][1] for job in world.started] == [1, 2, 3]
    world.finish(1)
    assert client.take() == [Ack("/", ["slow", 2], 2)]
    world.finish(1)
    assert client.take() == [Ack("/", ["waits", 3], 3)]
    assert [job[1][1] for job in world.started] == [1, 4]
    world.finish()
    world.finish()
    assert [p.id for p in client.take()] == [1, 4]
    assert started == []
