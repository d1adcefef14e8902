"""What an application hears of a session below Socket.IO."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from rawsio import Server
from rawsio.server.session_events import NAMES
from rawsio.testing import TestKit
from tests.raw import Polling, RawWebSocket


class Watched(TestKit):
    """A kit whose server notes what every session tells from its first namespace on."""

    def __init__(self, **options: Any) -> None:
        super().__init__(Server(**options))
        self.told: list[Any] = []

        @self.io.on("connection")
        def connected(socket: Any) -> None:
            for name in NAMES:
                socket.conn.on(name, self._note(name))

    def _note(self, name: str) -> Any:
        return lambda *values: self.told.append((name, *values))

    def take(self) -> list[Any]:
        told, self.told = self.told, []
        return told


def test_packets_are_told_in_both_directions() -> None:
    with Watched() as kit:
        kit.io.on("echo", lambda _socket, value: value)
        client = RawWebSocket(kit)
        client.say("40")
        kit.take()
        client.say('421["echo",1]')
        assert kit.take() == [
            ("packet", '421["echo",1]'),
            ("message", '21["echo",1]'),
            ("packet_create", "431[1]"),
        ]
        kit.io.emit("all", b"\x01")
        assert kit.take() == [
            ("packet_create", '451-["all",{"_placeholder":true,"num":0}]'),
            ("packet_create", b"\x01"),
        ]


def test_heartbeats_an_upgrade_and_the_end_are_told() -> None:
    with Watched() as kit:
        polling = Polling(kit)
        polling.post(b"40")
        polling.get()
        kit.advance(25)
        assert polling.get() == b"2"
        kit.take()
        polling.post(b"3")
        assert kit.take() == [("packet", "3"), ("heartbeat",)]
        candidate = RawWebSocket(kit, f"EIO=4&transport=websocket&sid={polling.sid}")
        candidate.say("2probe", "5")
        assert ("upgrade", "websocket") in kit.take()
        candidate.end.wire.close()
        kit.run()
        assert kit.take() == [("close", "transport close")]


def test_the_end_that_we_make_is_told_too() -> None:
    with Watched() as kit:
        client = RawWebSocket(kit)
        client.say("40")
        (socket,) = kit.io.sockets.values()
        kit.take()
        socket.disconnect(close=True)
        kit.run()
        told = kit.take()
        assert told.count(("close", "server namespace disconnect")) == 1


def test_a_function_that_fails_is_logged_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with TestKit(Server()) as kit:
        client = RawWebSocket(kit)
        client.say("40")
        (socket,) = kit.io.sockets.values()
        socket.conn.on("packet", lambda _packet: 1 // 0)
        with caplog.at_level(logging.ERROR, "rawsio"):
            client.say('42["x"]')
        assert "'packet'" in caplog.text
        assert client.closed is None


def test_functions_are_called_with_as_much_as_they_take() -> None:
    told: list[Any] = []
    with TestKit(Server()) as kit:
        client = RawWebSocket(kit)
        client.say("40")
        (socket,) = kit.io.sockets.values()
        socket.conn.on("packet", lambda: told.append("packet"))
        with pytest.raises(TypeError, match=r"conn.on\('packet'\) is called without waiting"):
            socket.conn.on("packet", _later)
        client.say('42["x"]')
        assert told == ["packet"]


async def _later(_packet: Any) -> None:
    raise AssertionError("nobody awaits it")


def test_a_name_that_is_none_is_refused_and_on_is_a_decorator() -> None:
    with TestKit(Server()) as kit:
        RawWebSocket(kit).say("40")
        (socket,) = kit.io.sockets.values()
        with pytest.raises(ValueError, match="packet_create"):
            socket.conn.on("pakcet")

        @socket.conn.on("close")
        def closed(_reason: str) -> None:
            return None

        assert closed is not None


def test_packets_are_told_after_an_upgrade_to_who_watched_before() -> None:
    with Watched() as kit:
        kit.io.on("ping1", lambda _socket: None)
        client = kit.connect(transports=["polling", "websocket"])
        kit.advance(2.0)
        assert ("upgrade", "websocket") in kit.take()
        client.emit("ping1")
        kit.run()
        assert kit.take() == [("packet", '42["ping1"]'), ("message", '2["ping1"]')]
