"""Packets of Socket.IO v2 clients."""

from __future__ import annotations

from typing import Any

import pytest

from rawsio.layer import Failed, Role
from rawsio.limits import DEFAULT
from rawsio.prepared import prepare
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.packets import Ack, Connect, ConnectError, Disconnect, Event, encode_packet
from rawsio.socketio.protocol_v4 import ProtocolV4Parser
from rawsio.socketio.values import Unsendable


def server() -> SocketIOConnection:
    """Return a server's end as its owner starts it: in ``/``, without being asked."""
    layer = SocketIOConnection(Role.SERVER, parser=ProtocolV4Parser())
    layer.receive("0")
    layer.send(Connect("/", {"sid": "x"}))
    return layer


@pytest.mark.rule("socketio-v5-revision4-connect")
def test_the_main_namespace_is_joined_without_asking() -> None:
    layer = server()
    assert layer.data_to_send() == ["0"]
    assert layer.namespaces == ("/",)


@pytest.mark.rule("socketio-v5-revision4-connect", "socketio-v5-revision4-query")
def test_a_namespace_is_joined_with_a_query_and_answered_without_data() -> None:
    layer = server()
    layer.data_to_send()
    assert layer.receive("0/admin?token=a%20b&x=1&x=2&y=,") == [
        Connect("/admin", {"token": "a b", "x": ["1", "2"], "y": ""})
    ]
    layer.send(Connect("/admin", {"sid": "x"}))
    assert layer.data_to_send() == ["0/admin,"]
    assert layer.receive('2/admin?token=1,7["x"]') == [Event("/admin", ["x"], 7)]
    assert layer.receive("0/plain,") == [Connect("/plain")]
    assert layer.receive("1/admin,") == [Disconnect("/admin")]


@pytest.mark.rule("socketio-v5-revision4-query")
def test_the_parameters_of_a_query_are_bounded() -> None:
    layer = server()
    (failed,) = layer.receive("0/a?" + "&".join("x=1" for _ in range(101)) + ",")
    assert isinstance(failed, Failed)
    assert failed.rule == "socketio-v5-revision4-query"


@pytest.mark.rule("socketio-v5-revision4-error")
@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"message": "no"}, '4/a,"no"'),
        ({"message": "no", "data": {"code": 1}}, '4/a,{"code":1}'),
        ({"message": "no", "data": [1]}, "4/a,[1]"),
        ({"message": "Invalid namespace"}, '4/a,{"message":"Invalid namespace"}'),
        ("no", '4/a,"no"'),
    ],
)
def test_a_refusal_is_the_message_or_the_data(data: Any, text: str) -> None:
    assert ProtocolV4Parser().encode(ConnectError("/a", data)) == (text,)


def test_a_refusal_that_cannot_travel_is_refused() -> None:
    for namespace, data in (("/a", {"data": b"1"}), ("a", "no"), ("/a", {"data": float("nan")})):
        with pytest.raises(Unsendable):
            ProtocolV4Parser().encode(ConnectError(namespace, data))


@pytest.mark.rule("socketio-v5-revision4-same")
@pytest.mark.parametrize(
    "packet", [Event("/a", ["x", b"1"], 3), Ack("/", [1], 0), Event("/", ["x"]), Disconnect("/a")]
)
def test_everything_else_is_the_same(packet: Any) -> None:
    parser = ProtocolV4Parser()
    messages = parser.encode(packet)
    assert messages == encode_packet(packet)
    found: Any = parser.decode(messages[0], DEFAULT)
    if len(messages) > 1:
        found = found.add(messages[1], DEFAULT)
    assert found == packet


def test_the_query_of_a_binary_packet_is_dropped_too() -> None:
    layer = server()
    layer.receive("0/a,")
    layer.send(Connect("/a"))
    assert layer.receive('51-/a?b=1,["x",{"_placeholder":true,"num":0}]') == []
    assert layer.receive(b"1") == [Event("/a", ["x", b"1"])]


@pytest.mark.rule("socketio-v5-revision4-same")
def test_a_prepared_event_is_sent_as_it_is() -> None:
    layer = server()
    layer.data_to_send()
    prepared = prepare(Event("/", ["x"]))
    layer.send_prepared(prepared)
    assert layer.data_to_send() == [prepared]
    layer.receive("0/a,")
    layer.send_prepared(prepare(Connect("/a", {"sid": "x"})))
    assert layer.data_to_send() == ["0/a,"]
