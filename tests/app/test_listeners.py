"""What ``on``, ``use`` and ``on_any`` register, on a server and on a client alike."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio import ClientSocket, Server, Socket
from rawsio.app.listeners import Hooks, SocketListening
from rawsio.testing import TestKit


class Pair:
    """A client's socket and the server's at its other end."""

    def __init__(self, kit: TestKit) -> None:
        self.kit = kit
        self.client: ClientSocket = kit.connect()
        (self.server,) = kit.io.sockets.values()

    def ends(self) -> list[tuple[Socket | ClientSocket, Socket | ClientSocket]]:
        """Return both directions: who listens, who sends."""
        return [(self.server, self.client), (self.client, self.server)]


@pytest.fixture
def pair() -> Any:
    with TestKit(Server()) as kit:
        yield Pair(kit)


def test_every_decorator_returns_the_function_that_it_was_given(pair: Pair) -> None:
    def heard(*_args: Any) -> None: ...

    for socket, _ in pair.ends():
        assert socket.on("x")(heard) is heard
        assert socket.on("x", heard) is heard
        assert socket.once("x")(heard) is heard
        assert socket.use(heard) is heard
        assert socket.on_any(heard) is heard
        assert socket.prepend_any(heard) is heard
        assert socket.on_any_outgoing(heard) is heard
        assert socket.prepend_any_outgoing(heard) is heard


def test_listeners_are_called_in_their_order_and_taken_off(pair: Pair) -> None:
    for socket, other in pair.ends():
        said: list[Any] = []

        def first(*args: Any, said: list[Any] = said) -> None:
            said.append(("first", *args))

        def second(*args: Any, said: list[Any] = said) -> None:
            said.append(("second", *args))

        socket.on_any(second)
        socket.prepend_any(first)
        assert socket.listeners_any == (first, second)
        other.emit("x", 1)
        pair.kit.run()
        socket.off_any(first)
        other.emit("y")
        pair.kit.run()
        assert said == [("first", "x", 1), ("second", "x", 1), ("second", "y")]
        socket.off_any()
        assert socket.listeners_any == ()


def test_listeners_of_what_is_sent_are_called_in_their_order_and_taken_off(pair: Pair) -> None:
    for socket, _ in pair.ends():
        said: list[Any] = []

        def first(*args: Any, said: list[Any] = said) -> None:
            said.append(("first", *args))

        def second(*args: Any, said: list[Any] = said) -> None:
            said.append(("second", *args))

        socket.on_any_outgoing(second)
        socket.prepend_any_outgoing(first)
        assert socket.listeners_any_outgoing == (first, second)
        socket.emit("x", 1)
        pair.kit.run()
        assert said == [("first", "x", 1), ("second", "x", 1)]
        socket.off_any_outgoing()
        assert socket.listeners_any_outgoing == ()


def test_middleware_changes_the_arguments_of_an_event_or_stops_it(pair: Pair) -> None:
    for socket, other in pair.ends():
        heard: list[Any] = []

        @socket.use
        def guard(name: str, args: list[Any]) -> bool:
            args.append(name)
            return args[0] != "stop"

        socket.on("x", lambda *args, heard=heard: heard.append(args))
        other.emit("x", "stop")
        other.emit("x", "go")
        pair.kit.run()
        assert heard == [("go", "x")]


def test_middleware_of_a_client_is_asked_once_about_an_event_that_was_kept(pair: Pair) -> None:
    asked: list[Any] = []
    seen: list[Any] = []
    heard: list[Any] = []
    pair.client.use(lambda name, args: asked.append((name, *args)))
    pair.client.on_any(lambda *args: seen.append(args))
    pair.server.emit("x", 1)
    pair.kit.run()
    assert (asked, seen) == ([], [("x", 1)])
    pair.client.on("x", lambda *args: heard.append(args))
    assert (asked, seen, heard) == ([("x", 1)], [("x", 1)], [(1,)])


def test_an_event_that_receive_takes_passes_no_middleware(pair: Pair) -> None:
    pair.client.use(lambda _name, _args: False)
    pair.server.emit("x", 1)
    assert pair.client.receive() == ["x", 1]


def test_a_client_hears_of_reconnections_once_or_until_it_does_not_listen_any_more() -> None:
    with TestKit(Server()) as kit:
        socket = kit.connect()
        once: list[int] = []
        each: list[int] = []
        socket.client.once("reconnect", once.append)
        heard = socket.client.on("reconnect", each.append)
        for _ in range(2):
            kit.cut(socket)
            kit.advance(5.0)
        socket.client.off("reconnect", heard)
        kit.cut(socket)
        kit.advance(5.0)
        assert (once, each) == ([1], [1, 1])


def test_a_socket_that_listens_to_nothing_has_no_hooks() -> None:
    socket = SocketListening()
    assert (socket.listeners_any, socket.listeners_any_outgoing) == ((), ())
    assert (Hooks().middleware, Hooks().incoming, Hooks().outgoing) == ((), (), ())
