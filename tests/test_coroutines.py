"""``async def`` where nobody can await it is told when it is registered, or when it is clear."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from rawsio import Client, Server
from rawsio.testing import TestKit


async def later(*_: Any) -> None:
    raise AssertionError("nobody awaits it")


class Callable_:
    async def __call__(self, *_: Any) -> None:
        raise AssertionError("nobody awaits it")


REGISTER: dict[str, Callable[[Server, Any], object]] = {
    "on": lambda io, fn: io.on("x", fn),
    "once": lambda io, fn: io.once("x", fn),
    "on connection": lambda io, fn: io.on("connection", fn),
    "use": lambda io, fn: io.use(fn),
    "of": lambda io, fn: io.of(fn),
    "on_server": lambda io, fn: io.on_server("x", fn),
    "on_error": lambda io, fn: io.on_error(fn),
    "every": lambda io, fn: io.every(1, fn),
    "call_later": lambda io, fn: io.call_later(1, fn),
    "parent": lambda io, fn: io.of(lambda _name, _auth: True).on("x", fn),
}


@pytest.mark.parametrize("way", REGISTER)
@pytest.mark.parametrize("fn", [later, partial(later, 1), Callable_()], ids=["def", "partial", "o"])
def test_a_loop_of_our_own_does_not_start_with_functions_that_it_cannot_call(
    way: str, fn: Any
) -> None:
    io = Server()
    REGISTER[way](io, fn)
    with pytest.raises(RuntimeError, match=r"`async def`, and .* write `await io.serve\(\)` inst"):
        io.run(port=0)
    with pytest.raises(RuntimeError, match=r"`await io.serve\(\)` instead of `io.step\(\)`"):
        io.step(0)
    io.close()
    io.step(0)
    assert io.closed


@pytest.mark.parametrize("way", REGISTER)
def test_a_loop_of_our_own_that_runs_takes_none_any_more(way: str) -> None:
    io = Server()
    io.step(0)
    with pytest.raises(TypeError, match="later is `async def`, and nobody awaits it"):
        REGISTER[way](io, later)
    io.close()
    io.step(0)


@pytest.mark.parametrize(
    "register",
    [
        lambda socket: socket.on_any_outgoing(later),
        lambda socket: socket.conn.on("packet", later),
        lambda socket: socket.emit_with_ack("x").add_done_callback(later),
    ],
)
def test_where_nobody_ever_waits_it_is_refused_on_every_loop(register: Any) -> None:
    with TestKit(Server()) as kit:
        kit.connect()
        (socket,) = kit.io.sockets.values()
        with pytest.raises(TypeError, match=r"later.*`async def`"):
            register(socket)


def test_a_client_with_a_loop_of_its_own_tells_it_too() -> None:
    client = Client("http://localhost:1")
    client.main.on("x", later)
    with pytest.raises(RuntimeError, match="`async with Client"):
        client.step(0)
    with pytest.raises(RuntimeError, match="`async with Client"):
        client.start()
    client.close()
    client.step(0)
    client.step(0)
    stepped = Client("http://localhost:1")
    stepped.step(0)
    for register in (stepped.main.on_any, partial(stepped.main.on, "x"), stepped.on_error):
        with pytest.raises(TypeError, match="later is `async def`"):
            register(later)
    with pytest.raises(TypeError, match="outgoing events is called without waiting"):
        stepped.main.on_any_outgoing(later)
    stepped.close()
    stepped.step(0)
    stepped.step(0)
    assert client.closed
    assert stepped.closed
