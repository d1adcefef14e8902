"""One connection of a client: exchanges, keep-alive, the WebSocket; bytes in, bytes out."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.client.stack import Answered, ClientStack, Ready
from rawsio.engineio.client.session import Exchange
from rawsio.errors import LocalProtocolError
from rawsio.layer import Closed, Closing, Failed
from rawsio.websocket.events import Message
from rawsio.websocket.handshake import accept_key

POLL = Exchange("poll", "GET", "/socket.io/?EIO=4&transport=polling")
POST = Exchange("post", "POST", "/socket.io/?EIO=4&transport=polling&sid=S", b"4hi")
WEBSOCKET = Exchange("websocket", "GET", "/socket.io/?EIO=4&transport=websocket")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
KEY = accept_key("AAAAAAAAAAAAAAAAAAAAAA==")
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + KEY.encode() + b"\r\n\r\n"
)


def stack() -> ClientStack:
    made = ClientStack("a:1", (("X-Mine", "1"),), random_bytes=lambda count: b"\0" * count)
    made.tick(0.0)
    return made


def opened(rest: bytes = b"") -> ClientStack:
    made = stack()
    made.begin(WEBSOCKET)
    made.data_to_send()
    assert made.receive(SWITCH + rest)[0] == Ready()
    return made


@pytest.mark.rule("9110-7.1-target", "9110-7.2-host-first", "9110-8.6-request-length")
@pytest.mark.rule("9110-8.3-type", "9112-3.2-host-sent", "9112-6.3-length-first")
def test_a_post_says_how_long_it_is_and_the_next_exchange_uses_the_same_connection() -> None:
    made = stack()
    made.begin(POST)
    assert b"".join(made.data_to_send()) == (
        b"POST /socket.io/?EIO=4&transport=polling&sid=S HTTP/1.1\r\nHost: a:1\r\n"
        b"Accept: */*\r\nX-Mine: 1\r\nContent-Type: text/plain;charset=UTF-8\r\n"
        b"Content-Length: 3\r\n\r\n4hi"
    )
    assert not made.free
    (answered,) = made.receive(OK)
    assert isinstance(answered, Answered)
    assert (answered.exchange, answered.response.status, answered.body) == (POST, 200, b"ok")
    assert made.free
    made.begin(POLL)
    assert made.exchange is POLL


@pytest.mark.rule("9110-8.6-no-request-length")
def test_a_poll_has_no_length() -> None:
    made = stack()
    made.begin(POLL)
    assert b"ontent" not in b"".join(made.data_to_send())


def test_a_body_in_pieces_is_given_whole() -> None:
    made = stack()
    made.begin(POLL)
    assert made.receive(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n") == []
    assert made.receive(b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n") == []
    (answered,) = made.receive(b"0\r\n\r\n")
    assert answered.body == b"abc"


@pytest.mark.parametrize("piece", [b"ab", b"2\r\nab\r\n"], ids=["by its length", "chunked"])
def test_a_body_in_tiny_pieces_costs_what_it_is_long(piece: bytes) -> None:
    made, count = stack(), 10_000
    made.begin(POLL)
    framed = b"Transfer-Encoding: chunked" if len(piece) > 2 else b"Content-Length: 20000"
    tracemalloc.start()
    try:
        made.receive(b"HTTP/1.1 200 OK\r\n" + framed + b"\r\n\r\n")
        for _ in range(count):
            made.receive(piece)
        held, _peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 4 * count


def test_one_exchange_at_a_time() -> None:
    made = stack()
    made.begin(POLL)
    with pytest.raises(LocalProtocolError):
        made.begin(POST)


def test_a_connection_that_was_idle_for_long_is_not_used_again() -> None:
    made = stack()
    made.begin(POLL)
    made.receive(OK)
    made.tick(1.9)
    assert made.free
    made.tick(2.1)
    assert not made.free


def test_a_connection_that_the_server_closes_is_over() -> None:
    made = stack()
    made.begin(POLL)
    events = made.receive(OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n", 1))
    events += made.tick(0.0)
    assert [type(event) for event in events] == [Answered, Closed]
    assert made.closing is Closing.NOW
    assert not made.free


def test_an_end_in_the_middle_of_an_exchange_is_a_failure() -> None:
    made = stack()
    made.begin(POLL)
    (failed,) = made.receive_eof()
    assert isinstance(failed, Failed)
    assert made.exchange is POLL


def test_a_websocket_takes_over_with_what_came_behind_the_101() -> None:
    made = stack()
    made.begin(WEBSOCKET)
    assert b"X-Mine: 1\r\n" in b"".join(made.data_to_send())
    assert made.receive(SWITCH + b"\x81\x02hi") == [Ready(), Message("hi")]
    made.send("4x")
    assert made.data_to_send() == [b"\x81\x82\0\0\0\x004x"]
    assert not made.free
    with pytest.raises(LocalProtocolError):
        made.begin(POLL)


@pytest.mark.rule("6455-4.1-wait")
def test_nothing_is_sent_before_the_101_has_come() -> None:
    made = stack()
    made.begin(WEBSOCKET)
    made.data_to_send()
    made.receive(SWITCH[:-2])
    with pytest.raises(LocalProtocolError):
        made.send("4x")
    assert made.data_to_send() == []
    assert made.receive(SWITCH[-2:]) == [Ready()]
    made.send("4x")
    assert made.data_to_send()


def test_closing_a_websocket_sends_a_close_frame_once() -> None:
    made = opened()
    made.close()
    made.close()
    assert made.data_to_send() == [b"\x88\x80\0\0\0\0"]
    assert made.buffered_amount == 0


def test_a_handshake_that_is_refused_says_what_the_server_said() -> None:
    made = stack()
    made.begin(WEBSOCKET)
    (failed,) = made.receive(b'HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\n{"code":4}')
    assert (failed.code, failed.rule) == (403, "6455-4.1-status")
    assert '{"code":4}' in failed.message
    assert made.closing is Closing.NOW


@pytest.mark.rule("6455-4.1-accept")
def test_a_101_with_the_wrong_key_ends_the_connection() -> None:
    made = stack()
    made.begin(WEBSOCKET)
    (failed,) = made.receive(SWITCH.replace(KEY.encode(), b"x" * 28))
    assert failed.rule == "6455-4.1-accept"
    assert made.closing is Closing.NOW
    made.close()
    assert made.receive(b"x") == made.receive_eof() == made.tick(1.0) == made.data_to_send() == []


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n4a\r\n0\r\n\r\n"
REFUSED = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno"
WIRES = st.sampled_from(
    [
        (POLL, OK),
        (POST, CHUNKED),
        (POLL, OK.replace(b"200", b"99x")),
        (WEBSOCKET, REFUSED),
        (WEBSOCKET, SWITCH + b"\x81\x02hi\x82\x01\0\x89\0\x88\x02\x03\xe8"),
        (WEBSOCKET, SWITCH + b"\x81\x82hi"),
        (WEBSOCKET, SWITCH.replace(KEY.encode(), b"x" * 28) + b"\x81\x02hi"),
    ]
)


def life(exchange: Exchange, wire: bytes, cuts: list[int]) -> tuple[list[Any], bytes]:
    """Return the events and the output of one connection whose input is cut there."""
    made = stack()
    made.begin(exchange)
    made.data_to_send()
    events: list[Any] = []
    ends = sorted({*(cut % (len(wire) + 1) for cut in cuts), len(wire)})
    for start, end in zip([0, *ends], ends, strict=False):
        events += made.receive(wire[start:end])
        while made.deadline == 0.0:
            events += made.tick(1.0)
    events += made.receive_eof()
    return events, b"".join(made.data_to_send())


@given(WIRES, st.lists(st.integers(0, 400), max_size=8))
def test_the_same_wire_cut_anywhere_gives_the_same_events(
    case: tuple[Exchange, bytes], cuts: list[int]
) -> None:
    assert life(*case, cuts) == life(*case, [])


@given(st.sampled_from([POLL, POST, WEBSOCKET]), st.binary(max_size=200), st.booleans())
def test_any_input_gives_a_list_with_one_terminal_event_at_most(
    exchange: Exchange,
    junk: bytes,
    behind: bool,
) -> None:
    wire = (SWITCH if exchange is WEBSOCKET else OK) + junk if behind else junk
    events, _ = life(exchange, wire, [])
    ends = [event for event in events if isinstance(event, (Closed, Failed))]
    assert len(ends) <= 1
    assert not ends or events[-1] is ends[0]
