"""Every call out of a client into code that is not ours, when that code raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rawsio import ConnectionClosed, Server
from rawsio.testing import TestKit


class Trap:
    """A function of the application: it raises while it is armed, and counts that."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error
        self.armed = True
        self.sprung = 0

    def __call__(self, *_values: Any) -> Any:
        if self.armed:
            self.sprung += 1
            raise self.error("the application's")
        return None


def handled(name: str) -> Callable[[Any, Trap], None]:
    return lambda socket, trap: socket.on(name, trap)


def method(name: str) -> Callable[[Any, Trap], None]:
    return lambda socket, trap: getattr(socket, name)(trap)


CALLS: dict[str, Callable[[Any, Trap], Any]] = {
    "connect": handled("connect"),
    "disconnect": handled("disconnect"),
    "connect_error": handled("connect_error"),
    "event": handled("event"),
    "on_any": method("on_any"),
    "on_any_outgoing": method("on_any_outgoing"),
    "a callback of a reply": lambda socket, trap: socket.emit_with_ack("echo").add_done_callback(
        trap
    ),
    "on_error": lambda socket, trap: (
        socket.client.on_error(trap),
        socket.on("event", lambda *_: 1 // 0),
    ),
}

OPTIONS = ("auth", "headers")
"""Options that may be functions."""


def live_through(trap: Trap, name: str, lines: list[str]) -> int:
    """Let a client live while the trap is armed; return how often SystemExit left a turn.

    What raises before there is a connection is told to ``connect_error``, which adds a line.
    """
    io = Server()
    io.on("echo", lambda socket: socket.emit("event", 1))
    io.of("/secret").use(lambda _socket: False)
    options = {name: trap} if name in OPTIONS else {}
    exits = 0
    with TestKit(io) as kit:
        client = kit.client(**options)
        socket = client.main
        socket.on("connect_error", lambda error: lines.append(repr(error)))
        if name in CALLS:
            where = client.socket("/secret") if name == "connect_error" else socket
            CALLS[name](where, trap)
        for step in (
            socket.connect,
            kit.run,
            lambda: socket.emit("echo"),
            kit.run,
            lambda: kit.cut(socket),
            lambda: kit.advance(5.0),
            lambda: kit.advance(5.0),
        ):
            try:
                step()
            except SystemExit:
                exits += 1
            except (ConnectionClosed, ArithmeticError):
                pass
        trap.armed = False
        kit.advance(30.0)
        if not socket.connected:
            socket.connect().opening.result(10)
        reply = socket.emit_with_ack("echo")
        kit.run()
        assert reply.result(10) is None
    return exits


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []

    def take(_channel: str, _level: int, message: str, error: BaseException | None) -> bool:
        found.append(f"{message} {error!r}")
        return True

    monkeypatch.setattr("rawsio.log._write", take)
    return found


@pytest.mark.parametrize("name", [*CALLS, *OPTIONS])
def test_an_exception_is_logged_and_the_client_goes_on(name: str, lines: list[str]) -> None:
    trap = Trap(ArithmeticError)
    assert live_through(trap, name, lines) == 0
    assert trap.sprung
    assert any("the application's" in line for line in lines)


@pytest.mark.parametrize("name", [*CALLS, *OPTIONS])
def test_an_exit_reaches_whoever_makes_the_turns_and_the_client_can_go_on(name: str) -> None:
    trap = Trap(SystemExit)
    assert live_through(trap, name, []) > 0
    assert trap.sprung
