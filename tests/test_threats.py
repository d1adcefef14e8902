"""What peers must not be able to do, end to end: bytes in, bytes out, against a whole server.

The table of rfc_notes/threat_model.md names these tests.  Each input comes over a WebSocket, over
polling, and over protocol 3; each time another client of the same server notices nothing.
"""

from __future__ import annotations

import functools
import logging
import tracemalloc
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest

from rawsio import Limits, Server
from rawsio.testing import TestKit

from .raw import Polling, RawWebSocket, request

WAYS = ("websocket", "polling", "protocol 3")
WEBSOCKET = "EIO=4&transport=websocket"
PICTURE = '451-["picture",{"_placeholder":true,"num":%s}]'


class Victim:
    """A server, an honest client, and a log of what handlers saw."""

    def __init__(self, **options: Any) -> None:
        self.kit = TestKit(Server(allow_eio3=True, **options))
        self.seen: list[Any] = []
        for name in ("connection", "disconnect", "picture", "echo", 1):
            self.kit.io.on(name, self._note(name))
        self.honest = RawWebSocket(self.kit)
        assert self.honest.say("40")

    def _note(self, name: Any) -> Any:
        def handler(_socket: Any, *args: Any) -> Any:
            self.seen.append((name, *args))
            return list(args)

        return handler

    def attack(self, way: str, packets: list[Any]) -> None:
        """Join the main namespace and send packets, until the server hangs up."""
        if way == "polling":
            polling = Polling(self.kit)
            polling.post(b"40")
            polling.get()
            self.seen.clear()
            polling.post("\x1e".join(map(_in_a_payload, packets)).encode("utf-8", "surrogatepass"))
            polling.get()  # what is said last, if anything is
            return
        old = way == "protocol 3"
        client = RawWebSocket(self.kit, WEBSOCKET.replace("4", "3") if old else WEBSOCKET)
        if not old:
            client.say("40")
        self.seen.clear()
        for packet in packets:
            if old and isinstance(packet, bytes):
                packet = b"\x04" + packet  # noqa: PLW2901 - its form in this protocol
            if client.closed is None:
                client.say(packet)

    def wait(self, seconds: int) -> None:
        """Let time go by, while the honest client answers pings."""
        for _ in range(0, seconds, 10):
            self.kit.advance(10)
            self.honest.say("3")

    def check(self) -> None:
        """The honest client is served as before, and nobody else is there."""
        assert self.kit.io.stats()["sessions"] == 1
        assert self.honest.say('421["echo","still here"]')[-1] == '431[["still here"]]'


def _in_a_payload(packet: str | bytes) -> str:
    if isinstance(packet, str):
        return packet
    return "b" + b64encode(packet).decode()


@pytest.fixture
def victim() -> Iterator[Victim]:
    made = Victim()
    with made.kit:
        yield made


REFUSED: dict[str, list[Any]] = {
    "an event with the name of a library event": ['42["connect",{"REMOTE_ADDR":"127.0.0.1"}]'],
    "disconnect": ['42["disconnect","ping timeout"]'],
    "connect_error": ['42["connect_error"]'],
    "disconnecting": ['42["disconnecting"]'],
    "newListener": ['42["newListener"]'],
    "removeListener": ['42["removeListener"]'],
    "a name that is null": ["42[null]"],
    "a name that is an object": ["42[{}]"],
    "a name that is a list": ["42[[]]"],
    "no name": ["42[]"],
    "an object for a list": ['42{"a":1}'],
    "a string for a list": ['42"abc"'],
    "no payload": ["42"],
    "an unknown type": ["47"],
    "no type": ["4x"],
    "an empty packet": ["4"],
    "CONNECT_ERROR from a client": ['44{"message":"x"}'],
    "CONNECT twice": ["40"],
    "bytes that nothing waits for": [b"\x01\x02"],
    "NaN": ['42["echo",NaN]'],
    "Infinity": ['42["echo",-Infinity]'],
    "a float that overflows": ['42["echo",1e400]'],
    "an integer of 5,000 digits": [f'42["echo",{"9" * 5000}]'],
    "depth 50,000": [f'42["echo",{"[" * 50_000}{"]" * 50_000}]'],
    "an id of 17 digits": [f'42{"9" * 17}["echo"]'],
    "an id of 101 digits": [f'42{"9" * 101}["echo"]'],
    "an Arabic digit for an id": ['42\u0661["echo"]'],
    "a superscript for an id": ['42\u00b2["echo"]'],
    "a blank before the payload": ['42 ["echo",1]'],
    "no attachments in a binary event": ['450-["picture"]'],
    "no count": ['45["picture"]'],
    "eleven attachments": ['4511-["picture"]'],
    "a count of twelve digits": ['4599999999999-["picture"]'],
    "text among the attachments": [PICTURE % 0, '42["echo"]'],
    "a placeholder below zero": [PICTURE % -1, b"x"],
    "a placeholder beyond the attachments": [PICTURE % 5, b"x"],
    "a placeholder that is a string": [PICTURE % '"0"', b"x"],
    "a placeholder that is a float": [PICTURE % "0.0", b"x"],
    "a placeholder that is true": [PICTURE % "true", b"x"],
    "a placeholder without a number": ['451-["picture",{"_placeholder":true}]', b"x"],
    "an event in a namespace never joined": ['42/other,["echo"]'],
    "a packet that Engine.IO does not know": ["9"],
    "an open packet from a client": ["0{}"],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("packets", REFUSED.values(), ids=REFUSED)
def test_a_bad_packet_ends_its_connection_with_one_line(
    victim: Victim, caplog: pytest.LogCaptureFixture, packets: list[Any], way: str
) -> None:
    with caplog.at_level(logging.WARNING, "rawsio"):
        victim.attack(way, packets)
    assert [name for name, *_ in victim.seen] == ["disconnect"]
    assert len(caplog.records) <= 1
    victim.check()


@pytest.mark.parametrize("packets", [["2"], [""], [b""], ["2probe"], ["\x1e"], ['42["echo"]\x1e3']])
def test_what_engine_io_forbids_on_a_websocket_ends_the_connection(
    victim: Victim, packets: list[Any]
) -> None:
    victim.attack("websocket", packets)
    assert [name for name, *_ in victim.seen] == ["disconnect"]
    victim.check()


KEPT: dict[str, tuple[list[Any], list[Any]]] = {
    "an integer of 30 digits": ([f'42["echo",{"9" * 30}]'], ["echo", int("9" * 30)]),
    "depth 90": (
        [f'42["echo",{"[" * 90}{"]" * 90}]'],
        ["echo", functools.reduce(lambda inner, _: [inner], range(89), [])],
    ),
    "a lone surrogate, escaped": (['42["echo","\\ud800"]'], ["echo", "\ud800"]),
    "an attachment used twice": (
        ['451-["picture",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]', b"x"],
        ["picture", b"x", b"x"],
    ),
    "an attachment used nowhere": (['451-["picture",1]', b"x"], ["picture", 1]),
    "a name that is a number": (["42[1]"], [1]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("packets", "event"), KEPT.values(), ids=KEPT)
def test_what_is_odd_and_harmless_arrives(
    victim: Victim, packets: list[Any], event: list[Any], way: str
) -> None:
    victim.attack(way, packets)
    assert victim.seen == [tuple(event)]


@pytest.mark.parametrize("between", ["3", "6"])
def test_heartbeats_may_stand_between_a_packet_and_its_attachment(
    victim: Victim, between: str
) -> None:
    victim.attack("websocket", [PICTURE % 0, between, b"x"])
    assert victim.seen == [("picture", b"x")]


@pytest.mark.parametrize("packet", ["3", "6"])
def test_pongs_and_noops_that_nobody_asked_for_cost_nothing(victim: Victim, packet: str) -> None:
    client = RawWebSocket(victim.kit)
    client.say("40")
    client.say(*[packet] * 100)
    tracemalloc.start()
    try:
        for _ in range(20):
            assert client.say(*[packet] * 1000) == []
        held, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100_000
    assert client.say('422["echo"]')[-1] == "432[[]]"


def test_an_event_to_a_namespace_that_was_left_is_dropped(victim: Victim) -> None:
    side = victim.kit.io.of("/side")
    client = RawWebSocket(victim.kit)
    client.say("40", "40/side,")
    side.disconnect_sockets()
    client.say('42/side,["echo"]')
    assert client.say('423["echo"]')[-1] == "433[[]]"


def test_one_that_emits_what_json_has_not_harms_itself_alone(victim: Victim) -> None:
    victim.kit.io.on("spread", lambda socket, value: socket.broadcast.emit("value", value))
    for value in ("NaN", "1e999", "Infinity"):
        victim.attack("websocket", [f'42["spread",{value}]'])
    assert victim.honest.say() == []
    with pytest.raises(ValueError, match="no form in JSON"):
        victim.kit.io.emit("value", float("nan"))
    victim.check()


@pytest.mark.parametrize(
    ("body", "fields", "rule"),
    [
        (b"", (), "engineio-v4-packet-empty"),
        (b"abc", (), "engineio-v4-packet-known"),
        (b"\xff", (), "engineio-v4-payload-utf8"),
        (b"bQ", (), "engineio-v4-payload-base64"),
        (b"\x1e" * 100_000, (), "engineio-v4-payload-count"),
        (b"2", (), "engineio-v4-heartbeat-direction"),
        (b"40", ("Content-Type: application/octet-stream",), "engineio-v4-polling-content"),
    ],
)
def test_a_bad_body_is_a_400_and_one_line(
    victim: Victim, caplog: pytest.LogCaptureFixture, body: bytes, fields: Any, rule: str
) -> None:
    polling = Polling(victim.kit)
    with caplog.at_level(logging.WARNING, "rawsio"):
        assert polling.post(body, *fields) == b'{"code":3,"message":"Bad request"}'
    assert [line.name for line in caplog.records] == ["rawsio.engineio"]
    assert f"[{rule}]" in caplog.text
    assert polling.sid not in caplog.text
    victim.check()


# The advisories that concern the whole server


def _cuts(whole: bytes) -> Iterator[bytes]:
    for length in range(len(whole)):
        yield whole[:length]


UPGRADE = request(
    WEBSOCKET,
    "GET",
    b"",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize(
    "whole",
    [
        request("EIO=4&transport=polling"),
        request("EIO=4&transport=polling", "POST", b"40"),
        UPGRADE + b"\x81\x82\0\0\0\x0040" + b"\x81\x8b\0\0\0\x0042" + b'["echo"]'[:9],
    ],
    ids=["GET", "POST", "upgrade"],
)
def test_a_request_that_is_cut_off_anywhere_leaves_nothing(
    victim: Victim, whole: bytes, end: str
) -> None:
    for part in _cuts(whole):
        wire = victim.kit.dial()
        wire.send(part)
        victim.kit.run()
        (wire.close if end == "close" else wire.reset)()
        victim.kit.run()
    # A polling session that was opened whole lives until its first ping is not answered.
    victim.kit.advance(20)
    assert victim.kit.io.stats()["connections"] == 1
    victim.check()


@pytest.mark.parametrize("count", ["10", "1"])
def test_half_a_binary_packet_is_kept_nowhere(victim: Victim, count: str) -> None:
    head = f'45{count}-["picture",{{"_placeholder":true,"num":0}}]'
    victim.attack("websocket", [head])
    assert victim.kit.io.stats()["sessions"] == 2
    victim.wait(40)
    assert victim.kit.io.stats()["sessions"] == 1
    victim.check()


def test_ten_thousand_frames_behind_a_count_of_zero_are_never_kept(victim: Victim) -> None:
    client = RawWebSocket(victim.kit)
    client.say("40")
    client.say('450-["e"]', *[b"x" * 100] * 1000)
    assert client.closed is not None
    victim.check()


def test_sessions_are_bounded_and_the_rest_is_told_so() -> None:
    victim = Victim(limits=Limits(sessions=3))
    with victim.kit:
        for _ in range(2):
            Polling(victim.kit).post(b"40")
        wire = victim.kit.dial()
        wire.send(request("EIO=4&transport=polling"))
        victim.kit.run()
        assert wire.recv(1000).startswith(b"HTTP/1.1 503 ")
        assert victim.honest.say('421["echo"]')[-1] == "431[[]]"


def test_who_never_joins_a_namespace_is_closed_in_time(victim: Victim) -> None:
    silent = RawWebSocket(victim.kit)
    for _ in range(2):
        victim.wait(30)
        silent.say("3")
    silent.say()
    assert silent.closed is not None
    victim.check()


def test_the_id_of_a_session_is_never_logged(
    victim: Victim, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        polling = Polling(victim.kit)
        for query in ("&sid=x", "", "&sid=x"):
            wire = victim.kit.dial()
            wire.send(request(polling.query + query, "POST", b"9"))
            victim.kit.run()
        polling.get()
        for _ in range(2):
            Polling(victim.kit).post(b"42[NaN]")
        victim.attack("websocket", ["42[NaN]"])
        victim.wait(60)
    ids = {polling.sid, *victim.kit.io.engine.sessions}
    assert caplog.text
    assert not any(sid in caplog.text for sid in ids)
