"""Clients of Socket.IO v2 (Engine.IO 3) and a server that lets them in, bytes in and bytes out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from rawsio import Refused, Server
from rawsio.socketio.msgpack import MsgpackParser
from rawsio.testing import TestKit

from .raw import Polling, RawWebSocket, request

WEBSOCKET = "EIO=3&transport=websocket"


class World(ExitStack):
    """Makes servers that live as long as the test."""

    def server(self, **options: Any) -> TestKit:
        return self.enter_context(TestKit(Server(allow_eio3=True, **options)))


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        yield made


def payload(*packets: str) -> bytes:
    return "".join(f"{len(packet)}:{packet}" for packet in packets).encode()


@pytest.mark.rule("socketio-v5-revision4-connect")
def test_a_v2_client_is_in_the_main_namespace_without_asking(world: World) -> None:
    kit = world.server()
    seen: list[Any] = []
    kit.io.on("connection", lambda socket: seen.append((socket.id, socket.handshake.auth)))
    old = RawWebSocket(kit, WEBSOCKET)
    assert old.packets[0][:8] == '0{"sid":'
    assert old.packets[1:] == ["40"]
    (sid, auth), session = seen[0], next(iter(kit.io.engine.sessions))
    assert (sid, auth) == (session, {})


def test_a_v2_client_that_polls_finds_the_namespace_in_its_second_answer(world: World) -> None:
    kit = world.server()
    old = Polling(kit, "EIO=3")
    assert old.get() == b"2:40"


@pytest.mark.rule("socketio-v5-revision4-query")
@pytest.mark.rule("socketio-v5-revision4-id")
def test_a_v2_client_joins_other_namespaces_with_a_query(world: World) -> None:
    kit = world.server()
    kit.io.of("/admin").on("who", lambda socket: [socket.id, socket.handshake.auth])
    old = RawWebSocket(kit, WEBSOCKET)
    assert old.say("40/admin?token=x&n=1,") == ["40/admin,"]
    (answer,) = old.say('42/admin,5["who"]')
    assert answer == f'43/admin,5[["/admin#{next(iter(kit.io.sockets))}",{{"token":"x","n":"1"}}]]'


@pytest.mark.rule("socketio-v5-revision4-error")
def test_a_v2_client_that_is_refused_gets_the_message_or_the_data(world: World) -> None:
    kit = world.server()
    answers: list[Exception] = [Refused("not you"), Refused("not you", {"retry": False})]

    @kit.io.use
    def refuse(_socket: Any) -> None:
        raise answers.pop(0)

    assert RawWebSocket(kit, WEBSOCKET).packets[1:] == ['44"not you"']
    second = RawWebSocket(kit, WEBSOCKET)
    assert second.packets[1:] == ['44{"retry":false}']
    assert second.say("40/none,") == ['44/none,{"message":"Invalid namespace"}']


@pytest.mark.rule("socketio-v5-revision4-same")
def test_one_broadcast_reaches_every_kind_of_client_in_its_own_form(world: World) -> None:
    kit = world.server()
    new_socket, new_poll = RawWebSocket(kit), Polling(kit)
    new_socket.say("40")
    new_poll.post(b"40")
    new_poll.get()
    old_socket, old_poll = RawWebSocket(kit, WEBSOCKET), Polling(kit, "EIO=3")
    text_poll = Polling(kit, "EIO=3&b64=1")
    jsonp = Polling(kit, "EIO=3&j=0")
    for poll in (old_poll, text_poll, jsonp):
        poll.get()
    kit.io.emit("pic", b"\x01\x02")
    head = '451-["pic",{"_placeholder":true,"num":0}]'
    assert new_socket.say() == [head, b"\x01\x02"]
    assert new_poll.get() == f"{head}\x1ebAQI=".encode()
    assert old_socket.say() == [head, b"\x04\x01\x02"]
    assert old_poll.get() == b"\x00\x04\x01\xff%b\x01\x03\xff\x04\x01\x02" % head.encode()
    assert text_poll.get() == f"41:{head}6:b4AQI=".encode()
    assert jsonp.get() == b'___eio[0]("%b");' % (f"41:{head}6:b4AQI=".replace('"', '\\"').encode())


def test_events_of_a_v2_client_come_in_the_three_forms_of_payloads(world: World) -> None:
    kit = world.server()
    seen: list[Any] = []
    kit.io.on("e", lambda _socket, value: seen.append(value))
    polling = Polling(kit, "EIO=3")
    assert polling.post(payload('42["e",1]')) == b"ok"
    assert polling.post('10:42["e","€"]'.replace("10", "11").encode()) == b"ok"
    head = b'451-["e",{"_placeholder":true,"num":0}]'
    binary = b"\x00\x03\x09\xff" + head + b"\x01\x03\xff\x04ab"
    assert polling.post(binary, "Content-Type: application/octet-stream") == b"ok"
    jsonp = Polling(kit, "EIO=3&j=7")
    form = "d=" + "".join(f"%{ord(c):02X}" for c in '9:42["e",2]')
    jsonp.post(form.encode(), "Content-Type: application/x-www-form-urlencoded")
    assert seen == [1, "€", b"ab", 2]


def test_a_v2_client_upgrades_and_loses_nothing(world: World) -> None:
    kit = world.server()
    polling = Polling(kit, "EIO=3")
    candidate = RawWebSocket(kit, f"{WEBSOCKET}&sid={polling.sid}")
    assert candidate.say("2probe") == ["3probe"]
    kit.io.emit("meanwhile")
    assert polling.get() == payload("40", '42["meanwhile"]')
    assert candidate.say("5") == []
    kit.io.emit("after")
    assert candidate.say() == ['42["after"]']


def test_a_v2_client_sends_the_pings(world: World) -> None:
    kit = world.server()
    reasons: list[str] = []
    kit.io.on("disconnect", lambda _socket, reason: reasons.append(reason))
    old = RawWebSocket(kit, WEBSOCKET)
    kit.advance(44)
    assert old.say("2") == ["3"]
    kit.advance(44)
    assert old.say("2") == ["3"]
    kit.advance(46)
    assert reasons == ["ping timeout"]


def test_what_a_v2_client_may_not_send_ends_its_session_alone(world: World) -> None:
    kit = world.server()
    good = RawWebSocket(kit, WEBSOCKET)
    for bad in ("3", "42[NaN]", '42["connect"]', "9", '42/none,["x"]', b"\x05x", b""):
        old = RawWebSocket(kit, WEBSOCKET)
        old.say(bad)
        assert old.closed, bad
    assert good.say("2") == ["3"]
    assert len(kit.io.sockets) == 1


def test_a_v2_client_leaves_and_is_disconnected(world: World) -> None:
    kit = world.server()
    reasons: list[str] = []
    kit.io.on("disconnect", lambda _socket, reason: reasons.append(reason))
    RawWebSocket(kit, WEBSOCKET).say("41")
    one, other = RawWebSocket(kit, WEBSOCKET), RawWebSocket(kit, WEBSOCKET)
    first, second = list(kit.io.sockets.values())
    first.disconnect()
    second.disconnect(close=True)
    assert one.say() == ["41"]
    assert one.closed is None
    assert other.say() == ["41"]
    assert other.closed is not None
    assert reasons == ["client namespace disconnect"] + ["server namespace disconnect"] * 2


def test_nothing_is_kept_for_a_v2_client_that_is_gone(world: World) -> None:
    kit = world.server(connection_state_recovery=True)
    old = RawWebSocket(kit, WEBSOCKET)
    assert old.packets[1:] == ["40"]
    old.end.wire.close()
    kit.run()
    adapter: Any = kit.io.namespaces.main.adapter
    assert (adapter.log.lost, adapter._live, kit.io.stats()["sockets"]) == ({}, {}, 0)


def test_a_parser_of_ones_own_is_that_of_v2_clients_too(world: World) -> None:
    kit = world.server(parser=MsgpackParser())
    old, new = RawWebSocket(kit, WEBSOCKET), RawWebSocket(kit)
    assert old.packets[1][:1] == b"\x04"
    new.say(b"\x82\xa4type\x00\xa3nsp\xa1/")
    kit.io.emit("e")
    event = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa1e"
    assert old.say()[-1] == b"\x04" + event
    assert new.say()[-1] == event


def test_without_the_option_a_v2_client_is_told_what_is_wrong() -> None:
    with TestKit(Server()) as kit:
        wire = kit.dial()
        wire.send(request("EIO=3&transport=polling"))
        kit.run()
        answer = wire.recv(10_000)
        assert b'{"code":5,"message":"Unsupported protocol version"}' in answer
        wire = kit.dial()
        wire.send(request("EIO=4&transport=polling&j=1"))
        kit.run()
        assert wire.recv(10_000).startswith(b"HTTP/1.1 400 ")
