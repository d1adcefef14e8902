"""The exercises of rfc_notes/tour, solved: a test for each, by chapter and number."""

from __future__ import annotations

import io
import re
import socket
import sys
from pathlib import Path

import pytest

from rawsio import Server
from rawsio.engineio.connection import EngineIOConnection
from rawsio.engineio.packets import Message as Packet
from rawsio.engineio.packets import Opened, check_separator
from rawsio.engineio.probe import Probe
from rawsio.errors import ConnectionClosed, LocalProtocolError
from rawsio.explain import explain_http, explain_socketio, explain_websocket, mistake
from rawsio.explain.capture import read_capture
from rawsio.explain.dns import explain_dns
from rawsio.explain.reassembly import Direction
from rawsio.explain.traffic import Traffic
from rawsio.explain.transport import Segment
from rawsio.layer import Failed, Role
from rawsio.socketio.connection import SocketIOConnection
from rawsio.testing import TestKit
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.events import Message, Ping
from rawsio.websocket.frames import decode_close, encode_frame
from tests.explain.packets import Talk, pcap

TOUR = Path(__file__).resolve().parent.parent / "rfc_notes" / "tour"
KEY = b"abcd"


def rule_of(tree: object) -> str:
    found = mistake(tree)  # type: ignore[arg-type]
    assert found is not None
    return found.rule


def failed(events: list[object]) -> Failed:
    (event,) = [event for event in events if isinstance(event, Failed)]
    return event


def test_every_exercise_has_a_solution_and_every_chapter_is_in_the_list() -> None:
    names = set(globals())
    index = (TOUR / "README.md").read_text("utf-8")
    chapters = sorted(TOUR.glob("0*.md"))
    assert len(chapters) == 9
    for path in chapters:
        assert f"({path.name})" in index
        exercises = path.read_text("utf-8").partition("## Exercises")[2]
        for number in re.findall(r"^(\d)\. ", exercises, re.MULTILINE):
            begin = f"test_{int(path.name[:2])}_{number}_"
            assert any(name.startswith(begin) for name in names), f"{path.name}: exercise {number}"


# 1. Sockets


def test_1_1_the_system_refuses_the_second_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as first:
        address = first.getsockname()
        with pytest.raises(OSError, match="in use"):
            socket.create_server(address)


def test_1_2_the_system_answers_with_a_reset_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = gone.getsockname()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


# 2. TCP


def test_2_1_the_reader_of_the_stream_sees_nothing_of_it() -> None:
    direction = Direction()
    pieces = [(1, b"one"), (1, b"one"), (7, b"three"), (4, b"two")]
    got = [p for at, data in pieces for p in direction.segment(
        Segment(("a", 1), ("b", 2), at, 0, 0, 0, 0, data))]  # fmt: skip
    assert b"".join(p for p in got if isinstance(p, bytes)) == b"onetwothree"
    assert direction.oddities() == ["1 retransmitted", "1 out of order"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="others may differ")
def test_2_2_the_other_end_sees_a_reset() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    with near:
        near.sendall(b"nobody reads this")
        while len(far.recv(100, socket.MSG_PEEK)) < 17:
            pass
        far.close()
        with pytest.raises(ConnectionResetError):
            near.recv(100)


def test_2_3_the_connection_says_how_many_bytes_are_missing() -> None:
    talk = Talk().open().say(Role.CLIENT, b"GET / HTTP/1.1\r\n", b"lost in the capture")
    del talk.packets[-1]
    talk.close()
    traffic = Traffic()
    for captured in read_capture(io.BytesIO(pcap(talk.packets)).read):
        traffic.packet(captured)
    summaries = [seen.item.summary for seen in traffic.finish()]
    assert "missing 19 bytes" in summaries
    assert "19 bytes missing" in traffic.connections[0].summary()


# 3. UDP


def test_3_1_nobody_notices() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        address = gone.getsockname()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        assert sender.sendto(b"hello?", address) == 6


def test_3_2_a_reader_follows_only_so_many_pointers() -> None:
    circle = bytes.fromhex("1234 8180 0001 0000 0000 0000 c00c 0001 0001")
    assert "points in circles" in explain_dns(circle).value


# 4. Layers


def test_4_1_only_the_websocket_and_only_where_the_text_is_no_utf_8_any_more() -> None:
    frame = encode_frame(1, b"hello", mask=KEY)
    for change, seen in ((b"\x01", [Message("hdllo")]), (b"\x80", None)):
        changed = bytearray(frame)
        changed[7] ^= change[0]
        events = WebSocketConnection(Role.SERVER).receive(bytes(changed))
        if seen is None:
            assert failed(events).rule == "6455-8.1-utf8"
        else:
            assert events == seen


def test_4_2_the_peers_mistake_is_an_event_and_ours_an_exception() -> None:
    server = WebSocketConnection(Role.SERVER)
    with pytest.raises(LocalProtocolError):
        server.send(Ping(bytes(126)))
    assert failed(server.receive(b"\x81\x00")).rule == "6455-5.1-mask"


# 5. HTTP


def test_5_1_the_server_since_others_would_read_another_field_or_none() -> None:
    wire = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\nhello"
    assert rule_of(explain_http(wire)) == "9112-5.1-space-before-colon"


def test_5_2_it_knows_what_it_has_asked() -> None:
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    asked = explain_http(wire * 2, Role.SERVER, method="HEAD")
    assert [field.name for field in asked.fields] == ["response head", "response head"]


def test_5_3_a_line_that_ends_in_lf_alone() -> None:
    assert rule_of(explain_http(b"GET / HTTP/1.1\nHost: a\n\n")) == "9112-2.2-bare-lf"


# 6. WebSocket


def test_6_1_the_server_by_the_rule_of_the_mask_with_1002() -> None:
    server = WebSocketConnection(Role.SERVER)
    event = failed(server.receive(encode_frame(1, b"hello")))
    assert (event.rule, event.code) == ("6455-5.1-mask", 1002)
    (close,) = server.data_to_send()
    assert decode_close(close[2:])[0] == 1002


def test_6_2_at_the_end_of_the_message() -> None:
    half = "é".encode()[:1]
    first = encode_frame(1, half, fin=False, mask=KEY)
    assert mistake(explain_websocket(first)) is None
    assert rule_of(explain_websocket(first + encode_frame(0, b"", mask=KEY))) == "6455-8.1-utf8"
    assert mistake(explain_websocket(first + encode_frame(0, "é".encode()[1:], mask=KEY))) is None


def test_6_3_every_length_has_one_form() -> None:
    tree = explain_websocket(b"\x81\x7e\x00\x05hello", Role.SERVER)
    assert rule_of(tree) == "6455-5.2-length-minimal"


# 7. Engine.IO


def test_7_1_the_server_since_only_it_pings() -> None:
    server = EngineIOConnection(Role.SERVER)
    server.send(Opened("id", (), 25.0, 20.0, 1_000_000))
    assert failed(server.receive("2")).rule == "engineio-v4-heartbeat-direction"


def test_7_2_the_probe_of_the_server() -> None:
    probe = Probe(Role.SERVER)
    probe.receive("2probe")
    assert probe.data_to_send() == ["3probe"]
    assert failed(probe.receive("4hi")).rule == "engineio-v4-upgrade-probe"


def test_7_3_by_whoever_would_send_it_since_it_would_be_two_packets() -> None:
    with pytest.raises(LocalProtocolError):
        check_separator(Packet("a\x1eb"))


# 8. Socket.IO


def test_8_1_the_receiver_by_the_rule_of_the_id() -> None:
    assert rule_of(explain_socketio('3["ok"]')) == "socketio-v5-ack-id"


def test_8_2_when_the_text_comes() -> None:
    text = '51-["file",{"_placeholder":true,"num":1}]'
    assert rule_of(explain_socketio(text)) == "socketio-v5-binary-placeholder"


def test_8_3_it_ends() -> None:
    server = SocketIOConnection(Role.SERVER)
    server.receive("0")
    assert failed(server.receive('2/other,["hi"]')).rule == "socketio-v5-exchange-joined"
    assert server.receive('2["hi"]') == []


# 9. What is missed


def test_9_1_a_reply_that_fails_and_says_why() -> None:
    server, sockets = Server(), []
    server.on("connection", sockets.append)
    with TestKit(server) as kit:
        client = kit.connect()
        reply = sockets[0].emit_with_ack("news")
        client.disconnect()
        kit.run()
        with pytest.raises(ConnectionClosed):
            reply.result(timeout=1)


def test_9_2_twice() -> None:
    server, ran = Server(), []
    server.on("pay", lambda socket, amount: ran.append(amount))
    with TestKit(server) as kit:
        client = kit.connect()
        for _ in range(2):  # the first answer was lost, as far as the sender knows
            client.emit_with_ack("pay", 5).result(timeout=5)
    assert ran == [5, 5]
