"""The direct route does what the layered one does: same bytes, calls, log and states.

The sessions of a server that is traced are layered, so it is the judge: each example lets two
servers, one of them traced, live through the same conversation and compares everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio import Server
from rawsio.engineio.server.session import Session
from rawsio.express import Express
from rawsio.layer import Role
from rawsio.limits import Limits
from rawsio.posted import Posted
from rawsio.routes import Direct, Layered
from rawsio.socketio.msgpack import MsgpackParser
from rawsio.socketio.packets import Event
from rawsio.testing import TestKit
from rawsio.websocket.frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, encode_frame
from tests.bench.hops import MOST, StandardParser, roads
from tests.socketio.strategies import LIMITS, wire
from tests.stack.joined import UPGRADE

KEY = b"\x01\x02\x03\x04"
PONG = b"\x8a\x01!"
SMALL = LIMITS.but(
    message=2000,
    body=2000,
    events_per_second=3,
    high_water=600,
    low_water=200,
    queue=1500,
)
SHOWN = {
    "engine": ("state", "deadline", "_beat", "_outbox"),
    "protocol": ("closing", "namespaces", "buffered", "deadline", "_outbox"),
    "peer": ("queued", "busy", "paused", "_over", "allowance"),
    "conn": ("_queue", "buffered_amount", "writable"),
}


class NobodyLooks:
    """A trace that reports nothing."""

    def connection(self) -> Any:
        return lambda *_report: None

    def session(self, _sid: str) -> Any:
        return lambda *_report: None


class Conversation:
    """A server and one client's bytes, with an application that answers in every way."""

    def __init__(self, limits: Limits, *, traced: bool, backpressure: str) -> None:
        self.calls: list[Any] = []
        self.io = Server(
            limits=limits,
            trace=NobodyLooks() if traced else None,
            backpressure=backpressure,
            ping_interval=10.0,
            ping_timeout=5.0,
            generate_id=lambda _request: "engine",
        )
        # When a connection is found to be closed has no order with what its handlers do meanwhile.
        self.lines: list[Any] = []
        self.io.host.log = self.io.core.router.log = lambda *line: (
            self.lines if line[0] in ("net", "websocket") else self.calls
        ).append(["log", *map(str, line[:3])])
        self.io.of("/a")
        self._listen()
        self.kit = self.surroundings()
        self.peers: list[Any] = []
        self.wire: Any = self.kit.dial()
        self.heard = b""
        self.begin(traced=traced)

    def surroundings(self) -> TestKit:
        return TestKit(self.io)

    def begin(self, *, traced: bool) -> None:
        self.say(UPGRADE)
        # Until somebody watches, the stack tells the route of the session what comes.
        assert isinstance(self.stack.user, Direct) is not traced

    @property
    def stack(self) -> Any:
        return next(iter(self.io.net.driver.streams)).tag

    def _listen(self) -> None:
        io, calls = self.io, self.calls

        @io.on("connection")
        def connected(socket: Any) -> None:
            self.peers.append(socket._peer)

        @io.on("disconnect")
        def gone(_socket: Any, reason: str) -> None:
            calls.append(["disconnect", reason])

        @io.on("chat")
        def chat(socket: Any, *args: Any) -> Any:
            calls.append(["chat", *args])
            io.emit("chat", *args)
            socket.volatile.emit("now and then", 1)
            return args

        @io.on("ask")
        def ask(socket: Any) -> None:
            reply = socket.emit_with_ack("question")
            reply.add_done_callback(lambda done: calls.append(["answer", str(done._state)]))

        io.on("leave", lambda socket: socket.disconnect())
        io.on("end", lambda socket: socket.disconnect(close=True))
        io.on("none", lambda _socket: None)
        io.on("bytes", lambda _socket: b"123")
        io.on("deep", lambda _socket: [[[[[[[[["x"]]]]]]]]])
        io.on("emit deep", lambda socket: socket.emit("x", [[[[[[[["y"]]]]]]]]))
        io.on("emit bytes", lambda socket: socket.emit("x", b"1", b"2"))
        io.on("many bytes", lambda socket: socket.emit("x", b"1", b"2", b"3", b"4"))
        io.on("no json", lambda _socket: object())
        io.on("fails", lambda _socket: 1 / 0)
        io.on("much", lambda socket: [socket.emit("x", "y" * 90) for _ in range(9)] and "m" * 90)
        io.on("watch", self._watch)
        io.on("close", lambda socket: socket.conn.close())
        io.of("/a").on("chat", lambda _socket: "a")
        io.of("/a").on("leave", lambda socket: socket.disconnect())
        io.of("/a").on("bytes", lambda _socket: b"123")
        io.of("/a").on("deep", lambda _socket: [[[[[[[[["x"]]]]]]]]])
        io.of("/a").on("fails", lambda _socket: 1 / 0)
        io.of("/a").on("ask", ask)
        io.on("any", lambda socket: socket.on_any(lambda *args: calls.append([*args])) and 1)
        io.on("later", lambda _socket, ack: io.host.call_later(0.0, ack, "late"), ack=True)
        io.on("two", lambda _socket: calls.append([1]))
        io.on("two", lambda _socket: (1, 2))

    def _watch(self, socket: Any) -> bool:
        socket.conn.on("packet", lambda packet: self.calls.append(["in", packet]))
        socket.conn.on("packet_create", lambda packet: self.calls.append(["out", packet]))
        return True

    def say(self, data: bytes) -> None:
        if not self.wire.closed:
            try:
                self.wire.send(data)
            except BrokenPipeError:
                return
            self.kit.run()
            self.listen()

    def listen(self) -> None:
        while not self.wire.stalled:
            try:
                heard = self.wire.recv(99999)
            except (BlockingIOError, ConnectionResetError):
                return
            if not heard:
                return
            self.heard += heard
            self.kit.run()

    def do(self, step: bytes | str | float) -> None:
        if isinstance(step, bytes):
            self.say(step)
        elif isinstance(step, float):
            self.kit.advance(step)
            self.listen()
        elif step == "silence":
            self.wire.stalled = True
        elif step == "listen":
            self.wire.stalled = False
            self.listen()
        else:
            assert step == "before"
            assert not self.peers

    def state(self) -> Any:
        found: list[Any] = [self.io.stats()]
        for peer in self.peers:
            session, protocol = peer.sink.session, peer.protocol
            parts = {
                "engine": getattr(session.connection, "layer", session.connection),
                "protocol": getattr(protocol, "layer", protocol),
                "peer": peer,
                "conn": peer.sink,
            }
            found += [[getattr(parts[p], name) for name in names] for p, names in SHOWN.items()]
        return found


class PollingConversation(Conversation):
    """The same by posts and polls: a step is the packets of one post, or a wait."""

    def begin(self, *, traced: bool) -> None:
        self.polls = self.wire
        self.say(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n")
        self.posts = self.kit.dial()

    def post(self, packets: list[str]) -> None:
        body = "\x1e".join(packets).encode("utf-8", "replace")
        query = b"/socket.io/?EIO=4&transport=polling&sid=engine HTTP/1.1\r\nHost: a\r\n"
        self.wire = self.posts
        self.say(b"POST %bContent-Length: %d\r\n\r\n%b" % (query, len(body), body))
        self.wire = self.polls
        self.say(b"GET %b\r\n" % query)

    def listen(self) -> None:
        super().listen()
        self.heard = re.sub(rb"Date: [^\r]+", b"Date: today", self.heard)


def _masked(message: str | bytes) -> bytes:
    if isinstance(message, bytes):
        return encode_frame(BINARY, message, mask=KEY)
    return encode_frame(TEXT, b"4" + message.encode("utf-8", "replace"), mask=KEY)


NAMES = [
    *("chat", "ask", "leave", "end", "none", "bytes", "deep", "no json", "fails", "much", "watch"),
    *("any", "later", "two", "emit deep", "emit bytes", "many bytes", "nobody", "close", "connect"),
]
ARGS = ["", ',"x"', ",1,[]", ',"' + "z" * 90 + '"', "," + "[" * 9 + "]" * 9]
IDS = ["", "0", "7", "07", "999", "1000", "999999999999999", "1000000000000001"]
_ids, _args = st.sampled_from(["", *IDS[:4], *IDS]), st.sampled_from(ARGS)
_spaces = st.sampled_from(["", "", "/a,", "/,", "/b,", "/a?b,"])
_events = st.builds(
    lambda space, number, name, args: _masked(f'2{space}{number}["{name}"{args}]'),
    _spaces,
    _ids,
    st.sampled_from(NAMES),
    _args,
)
_acks = st.builds(
    lambda space, number, args: _masked(f"3{space}{number}[1{args}]"), _spaces, _ids, _args
)
_others = st.sampled_from(
    [
        encode_frame(TEXT, b"3", mask=KEY),
        encode_frame(PING, b"!", mask=KEY),
        encode_frame(TEXT, b"42[", mask=KEY, fin=False)
        + encode_frame(CONTINUATION, b"7]", mask=KEY),
        _masked("0/a,"),
        _masked('2/a,["chat"]'),
        _masked("1"),
        _masked("0"),
        _masked('51-["chat",{"_placeholder":true,"num":0}]'),
        _masked(b"123"),
        encode_frame(CLOSE, b"", mask=KEY),
    ]
)
_frames = st.one_of(
    *([_events] * 6),
    _acks,
    _others,
    wire(Role.SERVER).map(lambda messages: b"".join(map(_masked, messages))),
)
_steps = st.one_of(
    st.lists(_frames, min_size=1, max_size=6).map(b"".join),
    st.sampled_from(["silence", "listen", 1.0, 9.0, 11.0]),
)


def both(
    steps: list[Any],
    backpressure: str,
    limits: Limits = SMALL,
    prepare: Callable[[Conversation], object] = id,
) -> None:
    ways = [
        Conversation(limits, traced=traced, backpressure=backpressure) for traced in (False, True)
    ]
    for way in ways:
        prepare(way)
    joined = [] if isinstance(steps[0], str) and steps[0] == "before" else [_masked("0")]
    try:
        for step in [*joined, *steps]:
            for way in ways:
                way.do(step)
            direct, layered = ways
            assert without_pongs(direct.heard) == without_pongs(layered.heard)
            assert direct.calls == layered.calls
            assert direct.lines == layered.lines
            assert direct.state() == layered.state()
    finally:
        for way in ways:
            way.kit.close()


def without_pongs(heard: bytes) -> tuple[bytes, int]:
    """Return what was heard and the number of pongs, which may stand between any two messages."""
    return heard.replace(PONG, b""), heard.count(PONG)


@given(
    st.lists(_steps, min_size=1, max_size=8),
    st.sampled_from(["pause", "drop-volatile", "disconnect"]),
)
@example([_masked('2["end"]') + _masked('2["chat"]')], "pause")
@example([_masked('27["leave"]') + _masked('28["chat"]') + _masked("39[]")], "pause")
@example(["silence", *[_masked('2["much"]')] * 9, "listen"], "disconnect")
def test_the_direct_route_and_the_layered_one_are_the_same(
    steps: list[Any], backpressure: str
) -> None:
    both(steps, backpressure)


_packets = st.one_of(
    st.builds(lambda n, name, args: f'42{n}["{name}"{args}]', _ids, st.sampled_from(NAMES), _args),
    st.builds(lambda number, args: f"43{number}[1{args}]", _ids, _args),
    st.sampled_from(["40", "40/a,", '42/a,["chat"]', "41", "3", "bAQID", "4", "", "7", "1"]),
)


@given(
    st.lists(st.one_of(st.lists(_packets, max_size=4), st.sampled_from([1.0, 11.0])), max_size=8),
    st.sampled_from(["pause", "drop-volatile", "disconnect"]),
)
@example([["40", '427["much"]', '428["chat","x"]'], ['42["much"]'] * 9, 1.0], "disconnect")
@example([["40"], ['42["watch"]'], ['427["chat"]', '42["end"]']], "pause")
def test_both_routes_are_the_same_over_polling(steps: list[Any], backpressure: str) -> None:
    both_polling(steps, backpressure)


@pytest.mark.parametrize("name", NAMES)
def test_both_routes_are_the_same_over_polling_for_each_kind_of_handler(name: str) -> None:
    first, second = f'42["{name}"]', f'427["{name}",1]'
    both_polling([["40", first], [second], ['428["chat",2]'], 9.0, ["430[]"]], "pause")
    both_polling([["40", second, *['428["chat","' + "x" * 40 + '"]'] * 5]], "disconnect")


@pytest.mark.parametrize("number", IDS)
def test_both_routes_are_the_same_over_polling_for_each_id(number: str) -> None:
    both_polling([["40", f'42{number}["chat"]'], ["3"], 10.5, ['42["chat"]'], 6.0, 6.0], "pause")


def both_polling(
    steps: list[Any],
    backpressure: str,
    limits: Limits = SMALL,
    prepare: Callable[[Conversation], object] = id,
) -> None:
    ways = [
        PollingConversation(limits, traced=traced, backpressure=backpressure)
        for traced in (False, True)
    ]
    for way in ways:
        prepare(way)
    try:
        for step in steps:
            for way in ways:
                way.post(step) if isinstance(step, list) else way.do(step)
            direct, layered = ways
            assert direct.heard == layered.heard
            assert direct.calls == layered.calls
            assert direct.state() == layered.state()
    finally:
        for way in ways:
            way.kit.close()


@pytest.mark.parametrize("name", NAMES)
def test_both_routes_are_the_same_for_each_kind_of_handler(name: str) -> None:
    first, second = _masked(f'2["{name}"]'), _masked(f'27["{name}",1]')
    last = _masked('28["chat",2]')
    both([first, second, last, 9.0, last, _masked("30[]") + last], "pause")
    both([second + last], "pause")


@pytest.mark.parametrize(
    "steps",
    [
        ["before", _masked('2["chat"]')],
        [_masked("1"), _masked('2["chat"]'), _masked('27["chat"]')],
        [_masked("0/a,"), _masked('2/a,7["chat"]'), _masked('27["chat"]')],
        [_masked('51-["chat",{"_placeholder":true,"num":0}]'), _masked('2["chat"]')],
        [11.0, _masked('2["none"]'), 6.0, 6.0],
        [11.0, 6.0],
    ],
)
def test_both_routes_are_the_same_in_each_state_of_the_session(steps: list[Any]) -> None:
    both(steps, "pause")


CONNECTS = [
    *("0", '0{"token":"x"}', "0{}", "0{", "0[]", "00", "0,", "0/", "0/a,", '0/,{"token":1}', "0 "),
    *('0{"a":' + "[" * 9 + "]" * 9 + "}", '0{"a":"' + "x" * 1500 + '"}', '0{"a":1}{', "0null"),
    *('0{"a":"' + "\ud800" + '"}', '07{"a":1}', '01-{"a":1}'),
]


@pytest.mark.parametrize("message", CONNECTS)
@pytest.mark.parametrize("kind", ["open", "middleware", "closed in the handler", "data too heavy"])
def test_both_routes_are_the_same_for_each_form_of_connect(kind: str, message: str) -> None:
    def prepare(way: Conversation) -> None:
        if kind == "middleware":
            way.io.use(lambda socket: socket.handshake.auth == {})
        elif kind == "closed in the handler":
            way.io.on("connection", lambda socket: socket.conn.close())

    limits = SMALL.but(credentials_memory=50) if kind == "data too heavy" else SMALL
    both(
        ["before", _masked(message), _masked('27["chat"]'), _masked(message)],
        "pause",
        limits,
        prepare,
    )
    both(["before", _masked(message) * 2 + _masked("1")], "pause", limits, prepare)


@pytest.mark.parametrize(
    ("message", "taken"),
    [("0", True), ('0{"token":1}', True), ("0/a,", False), ("0[]", False), ('0{"a', False)],
)
def test_the_direct_route_lets_a_client_in_by_itself(
    message: str, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Conversation(SMALL, traced=False, backpressure="pause")
    layered: list[Any] = []
    receive = Session.receive
    monkeypatch.setattr(
        Session, "receive", lambda *packet: layered.append(packet) or receive(*packet)
    )
    way.say(_masked(message))
    assert (layered == []) is taken
    assert len(way.peers) == taken
    way.kit.close()


@pytest.mark.parametrize("args", ARGS)
@pytest.mark.parametrize("number", IDS)
def test_both_routes_are_the_same_for_each_form_of_packet(number: str, args: str) -> None:
    both([_masked('2["ask"]'), _masked(f'2{number}["chat"{args}]')], "pause")
    both([_masked('2["ask"]'), _masked(f"3{number}[1{args}]")], "pause")


@pytest.mark.parametrize("number", ["", "7", "999", "1000000000000001"])
@pytest.mark.parametrize("name", ["chat", "ask", "leave", "bytes", "deep", "fails", "nobody"])
def test_both_routes_are_the_same_in_a_namespace(name: str, number: str) -> None:
    steps = [_masked("0/a,")]
    for args in ARGS:
        steps += [_masked(f'2/a,{number}["{name}"{args}]'), _masked(f"3/a,{number}[1{args}]")]
    both([*steps, _masked("1/a,"), _masked(f'2/a,["{name}"]')], "pause")


@pytest.mark.parametrize(
    ("message", "taken"),
    [
        ('2["chat"]', True),
        ('27["chat","x"]', True),
        ("30[]", True),
        ("3[]", False),
        ('2/a,["chat"]', False),
        ('21000000000000001["chat"]', False),
        ('2["connect"]', False),
        ('2["chat"', False),
        ('51-["chat",{"_placeholder":true,"num":0}]', False),
    ],
)
def test_the_direct_route_is_for_common_packets_only(
    message: str, taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Conversation(SMALL.but(events_per_second=999), traced=False, backpressure="pause")
    way.say(_masked("0"))
    layered: list[Any] = []
    monkeypatch.setattr(Session, "receive", lambda _self, packet: layered.append(packet))
    way.stack.user.receive_packet("4" + message)
    assert (layered == []) is taken
    way.kit.close()


@pytest.mark.parametrize("message", ['2/a,["chat"]', '2/a,7["chat","x"]', "3/a,0[]", '2["chat"]'])
def test_the_direct_route_is_for_every_namespace_that_is_joined(
    message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Conversation(SMALL.but(events_per_second=999), traced=False, backpressure="pause")
    way.say(_masked("0") + _masked("0/a,"))
    layered: list[Any] = []
    monkeypatch.setattr(Session, "receive", lambda _self, packet: layered.append(packet))
    way.stack.user.receive_packet("4" + message)
    assert layered == []
    way.kit.close()


def test_what_is_sent_to_many_is_checked_once() -> None:
    way = Conversation(SMALL, traced=False, backpressure="pause")
    way.say(_masked("0"))
    prepared = way.io.host.prepare(Event("/", ["x"]))
    assert prepared.checked is None
    way.peers[0].route.transmit(prepared)
    assert prepared.checked is way.io.limits
    way.kit.close()


def test_who_watches_sees_every_packet() -> None:
    way = Conversation(SMALL, traced=False, backpressure="pause")
    seen: list[Any] = []
    way.say(_masked("0"))
    assert isinstance(way.peers[0].route, Direct)
    way.peers[0].sink.on("packet", seen.append)
    assert type(way.peers[0].route) is Layered
    way.say(_masked('2["none"]'))
    assert seen == ['42["none"]']
    way.kit.close()


def test_a_session_that_goes_over_to_a_websocket_gets_the_direct_route() -> None:
    io = Server()
    peers: list[Any] = []
    io.on("connection", lambda socket: peers.append(socket._peer))
    with TestKit(io) as kit:
        kit.connect(transports=["polling", "websocket"])
        before = peers[0].route
        kit.advance(1.0)
        assert peers[0].sink.transport == "websocket"
        assert type(before) is Posted
        assert type(peers[0].route) is Express


@pytest.mark.parametrize("why", ["trace", "parser", "packets"])
def test_a_session_is_layered_where_somebody_looks_between_the_layers(why: str) -> None:
    parser = MsgpackParser() if why == "parser" else None
    io = Server(trace=NobodyLooks() if why == "trace" else None, parser=parser)
    peers: list[Any] = []
    io.on("connection", lambda socket: peers.append(socket._peer))
    with TestKit(io) as kit:
        kit.connect(transports=["polling", "websocket"], parser=parser)
        if why == "packets":
            peers[0].sink.on("packet", len)
        kit.advance(1.0)
        assert peers[0].sink.transport == "websocket"
        assert type(peers[0].route) is Layered


@pytest.mark.parametrize("name", ["in", "out"])
def test_the_road_through_all_layers_is_short(name: str) -> None:
    hops = roads(StandardParser())[name].hops
    assert len(hops) <= MOST[name], " > ".join(hops)
