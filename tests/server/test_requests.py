"""One request from the first hook to the last handler: what one leaves in it, the others find."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio import Server
from rawsio.testing import TestKit
from tests.raw import Polling, RawWebSocket


class Hall:
    """A server that keeps its sockets; ``options`` are the hooks."""

    def __init__(self, **options: Any) -> None:
        self.io = Server(**options)
        self.kit = TestKit(self.io)
        self.sockets: list[Any] = []
        self.io.on("connection", self.sockets.append)


def sign(request: Any) -> None:
    request.data["user"] = request.cookies.get("user") or request.query.get("user")


async def sign_later(request: Any) -> None:
    sign(request)


@pytest.mark.parametrize("option", ["middleware", "allow_request"])
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_what_a_hook_finds_out_reaches_the_socket(option: str, transport: str) -> None:
    hall = Hall(**{option: [sign] if option == "middleware" else sign})
    with hall.kit:
        hall.kit.connect(transports=[transport], headers={"Cookie": "user=ann"})
        (socket,) = hall.sockets
        assert socket.conn.request.data == {"user": "ann"}
        assert socket.request is socket.handshake.request is socket.conn.request


def test_the_request_that_a_hook_keeps_is_the_one_of_the_socket() -> None:
    kept: list[Any] = []
    hall = Hall(middleware=[kept.append])
    with hall.kit:
        hall.kit.connect()
        kept[0].data["late"] = 1
        (socket,) = hall.sockets
        assert socket.conn.request is kept[0]
        assert socket.handshake.request.data == {"late": 1}


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_without_hooks_handlers_share_what_they_leave_there(transport: str) -> None:
    hall = Hall()
    hall.io.of("/admin").on("connection", hall.sockets.append)
    with hall.kit:
        client = hall.kit.connect(transports=[transport], query={"user": "b&b"}).client
        client.socket("/admin")
        hall.kit.run()
        main, admin = hall.sockets
        main.request.data["n"] = 1
        assert admin.conn.request.data == {"n": 1}
        assert admin.request.query["user"] == "b&b"
        assert "user=b%26b" in admin.request.query_string


def test_only_the_first_request_of_a_session_is_kept() -> None:
    def count(request: Any) -> None:
        request.data["number"] = numbers.append(1) or len(numbers)

    numbers: list[int] = []
    hall = Hall(middleware=[count])
    with hall.kit:
        polling = Polling(hall.kit)
        polling.post(b"40")
        polling.get()
        assert hall.sockets[0].request.data == {"number": 1}
        assert len(numbers) == 3


def test_requests_are_equal_by_what_was_sent_whatever_they_carry() -> None:
    hall = Hall()
    with hall.kit:
        RawWebSocket(hall.kit).say("40")
        RawWebSocket(hall.kit).say("40")
        one, other = (socket.request for socket in hall.sockets)
        one.data["x"] = 1
        assert one == other
        assert other.data == {}
