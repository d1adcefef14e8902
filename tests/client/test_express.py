"""The short way of a client: what it takes, and that nobody can tell."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio import Server
from rawsio.client.session import ClientSession
from rawsio.client.socket import ClientSocket
from rawsio.limits import DEFAULT, Limits
from rawsio.testing import TestKit
from rawsio.websocket.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    decode_frame,
    encode_frame,
)
from rawsio.websocket.handshake import accept_key
from tests.test_express import pieces
from tests.test_routes import NobodyLooks

OPEN = b'0{"sid":"x","upgrades":[],"pingInterval":10000,"pingTimeout":5000,"maxPayload":2000}'
LIMITS = DEFAULT.but(message=2000, json_depth=9, packet_id=1000, pending_acks=4, kept_events=3)


class Watching(NobodyLooks):
    """A trace of a client."""

    def connection(self, *_role: Any) -> Any:
        return lambda *_report: None


def said(packet: str) -> bytes:
    return encode_frame(TEXT, packet.encode("utf-8", "surrogatepass"))


class Talk:
    """A client in two namespaces of a server that is bytes."""

    def __init__(self, limits: Limits = LIMITS, *, traced: bool = False) -> None:
        self.calls: list[Any] = []
        self.kit = TestKit(Server())
        self.wire: Any = None
        self.kit.listen("raw", 80, lambda wire, _address: setattr(self, "wire", wire))
        self.client = self.kit.client(
            url="http://raw",
            limits=limits,
            trace=Watching() if traced else None,
            reconnection=False,
        )
        self.client.host.log = lambda *line: self.calls.append(["log", *map(str, line[1:3])])
        self.sockets = [self.client.main, self.client.socket("/a")]
        for socket in self.sockets:
            self.listen(socket)
        self.client.main.connect()
        self.kit.run()
        head = self.wire.recv(9999)
        key = head.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r")[0].decode()
        self.unread, self.pongs = b"", 0
        self.say(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n\r\n"
        )
        self.say(encode_frame(TEXT, OPEN))

    def listen(self, socket: ClientSocket) -> None:
        """Do what servers ask for, in many ways."""
        calls, space = self.calls, socket.namespace

        def chat(*args: Any) -> Any:
            calls.append([space, "chat", *args])
            return args

        def told(reply: Any) -> None:
            error = reply.exception()
            calls.append([space, "told", str(error) if error else reply.result()])
            if not error and len(calls) < 40:
                socket.emit("heard", reply.result())

        def ask(*args: Any) -> None:
            socket.emit_with_ack("question", *args).add_done_callback(told)

        def stop() -> None:
            self.kit.board.now += 0.3

        async def wait(seconds: float = 0.01) -> str:
            await asyncio.sleep(seconds)
            return "late"

        async def inquire() -> Any:
            return await socket.timeout(2.0).emit_with_ack("question")

        socket.on("chat", chat)
        socket.on("ask", ask)
        socket.on("asks in time", lambda: socket.timeout(0.5).emit_with_ack("q") and None)
        socket.on("stop", stop)
        socket.on("wait", wait)
        socket.on("inquire", inquire)
        socket.on("emit", socket.emit)
        socket.on("volatile", lambda: socket.volatile.emit("v", 1))
        socket.on("bytes", lambda: b"123")
        socket.on("fails", lambda: 1 / 0)
        socket.on("leave", socket.disconnect)
        socket.on("again", lambda: socket.disconnect() or (socket.connect() and None))
        socket.on("other", self.sockets[0].disconnect)
        socket.on("close", lambda: self.client.close(0.5))
        socket.on("any", lambda: socket.on_any(lambda *args: calls.append([*args])) and None)
        socket.on("out", lambda: socket.on_any_outgoing(calls.append) and None)
        socket.on("later", lambda ack: self.client.host.call_later(0.01, ack, "l"), ack=True)
        socket.on("two", lambda: calls.append(1))
        socket.on("two", lambda: (1, 2))
        socket.on("disconnect", lambda reason: calls.append([space, reason]))

    def say(self, data: bytes) -> None:
        """Let the server say this."""
        if not self.wire.closed:
            try:
                self.wire.send(data)
            except BrokenPipeError:
                return
            self.kit.run()

    def heard(self) -> list[Any]:
        """Return what the client has said since the last time; pongs may stand anywhere."""
        while True:
            try:
                more = self.wire.recv(1 << 16)
            except (BlockingIOError, ConnectionResetError):
                break
            if not more:
                break
            self.unread += more
            self.kit.run()
        found: list[Any] = []
        while (one := decode_frame(self.unread, 0, True)) is not None:
            frame, end = one
            self.unread = self.unread[end:]
            if frame.opcode == PONG or frame.payload == b"3":
                self.pongs += 1
            else:
                found.append((frame.opcode, frame.payload))
        return found

    def state(self) -> Any:
        core = self.client.core
        return [
            (core.state, core.transport, core.writable, core.queue.busy, core.queue.queued),
            *[
                (socket.connected, socket.active, len(socket._pending), socket.id)
                for socket in self.sockets
            ],
            self.wire.closed,
            self.pongs,
        ]

    def do(self, step: bytes | float) -> None:
        if isinstance(step, float):
            self.kit.advance(step)
        else:
            self.say(step)


IN = [said('40{"sid":"a"}'), said('40/a,{"sid":"b"}')]


def both(steps: list[Any], limits: Limits = LIMITS) -> None:
    ways = [Talk(limits, traced=traced) for traced in (False, True)]
    try:
        for step in steps:
            for way in ways:
                way.do(step)
            short, layered = ways
            assert short.heard() == layered.heard()
            assert short.calls == layered.calls
            assert short.state() == layered.state()
    finally:
        for way in ways:
            way.kit.close()


_spaces = st.sampled_from(["", "", "/a,", "/b,"])
_ids = st.sampled_from(["", "", "0", "1", "7", "07", "999", "1000", "9" * 16, "²"])
_names = st.sampled_from(
    [
        *("chat", "chat", "chat", "ask", "ask", "ask", "asks in time", "emit", "bytes", "two"),
        *("stop", "wait", "inquire", "volatile", "fails", "leave", "again", "other", "close"),
        *("any", "out", "later", "nobody", "connect", "disconnect", "né"),
    ]
)
_args = st.sampled_from(
    ["", ',"x"', ',"é"', ",1,[2]", ',"' + "z" * 300 + '"', "," + "[" * 12 + "]" * 12, ",1e999"]
)
_events = st.builds(
    lambda space, number, name, args: said(f'42{space}{number}["{name}"{args}]'),
    *(_spaces, _ids, _names, _args),
)
_answers = st.builds(
    lambda space, number, values: said(f"43{space}{number}[{values}]"),
    _spaces,
    st.sampled_from(["0", "0", "1", "1", "2", "3", "02", "", "999", "1000"]),
    st.sampled_from(["", "1", '"yes"', '"é",2', "[" * 12 + "]" * 12, '"' + "x" * 300 + '"']),
)
_odd = st.sampled_from(
    [
        *map(said, ("2", "3", "41", "41/a,", "40", '40{"sid":"c"}', "1", "4", "42[", "42[5]")),
        *map(said, ('44/a,"no"', '42["a"]x', "5", "6")),
        said('451-["chat",{"_placeholder":true,"num":0}]') + encode_frame(BINARY, b"1"),
        said('451-7["chat",{"_placeholder":true,"num":0}]'),
        encode_frame(BINARY, b"1"),
        encode_frame(PING, b"!"),
        encode_frame(TEXT, b'42["chat",', fin=False) + encode_frame(0, b"1]"),
    ]
)
_ENDS = [
    said('42["\ud800"]'),
    encode_frame(CLOSE, b""),
    encode_frame(TEXT, b'42["chat"]', mask=b"1234"),
    b"\x81\x7e\0\x0a" + b'42["chat"]',
    b"\xc1\x0a" + b'42["chat"]',
    encode_frame(TEXT, b'42["\xff"]'),
]
# Which of two mistakes in one read is seen is open (the WebSocket reads all of it before Engine.IO
# sees a message), and so is whether what a coroutine says, or a handler in the next share of the
# read, comes before an end.  So an end stands behind few events that are answered at once.
_right = st.builds(
    lambda space, name: said(f'42{space}["{name}"]'),
    st.sampled_from(["", "/a,"]),
    st.sampled_from(["chat", "ask", "emit", "bytes", "two", "volatile", "fails", "nobody", "né"]),
)
_ended = st.builds(
    lambda before, end, behind: b"".join([*before, end, *behind]),
    st.lists(_right, max_size=2),
    st.sampled_from(_ENDS),
    st.lists(_events, max_size=2),
)
_packets = st.one_of(*[_events] * 5, *[_answers] * 3, _odd)
_talk = _ended | st.lists(_packets, min_size=1, max_size=10).map(b"".join)


@given(
    st.lists(
        st.tuples(_talk, st.lists(st.integers(0, 5000), max_size=3))
        | st.sampled_from([0.02, 0.6, 3.0, 11.0]),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([LIMITS, LIMITS.but(turn_frames=3), LIMITS.but(packet_id=2)]),
    st.sampled_from([IN, IN[:1], IN[1:]]),
)
@example([(said('42["ask"]') * 3 + said("430[1]"), [])], LIMITS, IN)
@example([(said("2") + said('42["ask"]') + said('427["chat"]'), [])], LIMITS, IN)
@example([(said('42["chat"]') + said('42["ask"]') + said("3"), [])], LIMITS, IN)
def test_nobody_can_tell_whether_the_layers_were_there(
    talk: list[Any], limits: Limits, joined: list[bytes]
) -> None:
    # A read behind one that is none of it is not looked at.
    steps: list[Any] = [*joined, said('42["nobody"]')]
    for one in talk:
        steps += pieces(*one) if isinstance(one, tuple) else [one]
    both([*steps, 3.0], limits)


NAMES = [
    *("chat", "ask", "asks in time", "emit", "bytes", "two", "stop", "wait", "inquire", "volatile"),
    *(
        "fails",
        "leave",
        "again",
        "other",
        "close",
        "any",
        "out",
        "later",
        "nobody",
        "connect",
        "né",
    ),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("space", ["", "/a,"])
def test_nobody_can_tell_for_any_kind_of_handler(space: str, name: str) -> None:
    chat, ask = said(f'42{space}7["chat","x"]'), said(f'42{space}["ask",1]')
    one = said(f'42{space}8["{name}"]')
    first = [*IN, chat, chat]
    both([*first, ask + one + chat, said(f"43{space}0[1]") + chat, 1.0, chat])
    both([*first, ask, said(f"43{space}0[1]") + one + chat + said(f"43{space}0[]"), 3.0])
    both([*first, one + said("2") + ask, chat + one * 4, encode_frame(CLOSE, b"")])


@pytest.mark.parametrize("number", ["0", "1", "02", "2", "3", "999", "1000", "1001", "9" * 16])
def test_nobody_can_tell_for_any_id(number: str) -> None:
    ask, chat = said('42["ask"]'), said(f'42{number}["chat"]')
    for limits in (LIMITS, LIMITS.but(packet_id=1)):
        both([IN[0], chat, chat, ask * 5, said(f"43{number}[]") * 2 + chat, ask, 1.0], limits)


@pytest.mark.parametrize("frames", [2, 3, 300])
def test_a_share_of_a_long_read_is_taken_at_a_time(frames: int) -> None:
    ask, stop = said('42["ask"]'), said('42["stop"]')
    limits = LIMITS.but(turn_frames=frames, pending_acks=1000)
    both([IN[0], ask, ask, ask * 200, (ask + stop) * 3 + ask, ask * 200 + said("41"), 1.0], limits)


class Layers:
    """Counts what the layers were given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[Any] = []
        for name in ("receive", "send_prepared", "send"):
            before = getattr(ClientSession, name)
            monkeypatch.setattr(ClientSession, name, self._watched(before))

    def _watched(self, before: Any) -> Any:
        def watched(session: Any, *args: Any) -> Any:
            self.seen.append(args)
            return before(session, *args)

        return watched


@pytest.mark.parametrize(
    "packet",
    [
        *('42["chat","x"]', '427["chat","é",[1]]', '42["ask"]', "430[]", '42["nobody"]'),
        *('427["two"]', '42["wait"]', '42["fails"]', '42["emit","x","' + "y" * 300 + '"]'),
    ],
)
def test_what_is_plain_goes_past_the_layers_and_so_do_the_answers(
    packet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = Talk()
    talk.say(IN[0])
    talk.say(said('42["ask"]'))
    layers = Layers(monkeypatch)
    talk.say(said(packet) * 2)
    talk.kit.advance(1.0)
    assert layers.seen == []
    talk.kit.close()


@pytest.mark.parametrize("before", ["2", '451-["chat",{"_placeholder":true,"num":0}]', "41"])
def test_nothing_is_taken_where_something_is_unusual(
    before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = Talk()
    talk.say(IN[0])
    layers = Layers(monkeypatch)
    talk.say(said(before) + said('427["chat"]'))
    assert len(layers.seen) > 0
    talk.kit.close()


def test_a_client_that_compresses_or_is_watched_has_no_short_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    talk = Talk(traced=True)
    talk.say(IN[0])
    layers = Layers(monkeypatch)
    talk.say(said('427["chat"]'))
    assert len(layers.seen) > 0
    talk.kit.close()


def test_events_of_a_namespace_beside_the_main_one_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    talk = Talk()
    for packet in IN:
        talk.say(packet)
    for _ in range(2):
        talk.say(said('42/a,["nobody"]'))
    layers = Layers(monkeypatch)
    for number in range(3):
        talk.say(said(f'42/a,{number + 1}["chat"]'))
        talk.say(said(f'42{number + 1}["chat"]'))
    assert layers.seen == []
    assert [payload for _opcode, payload in talk.heard()][-2:] == [b"43/a,3[]", b"433[]"]
    talk.kit.close()


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize(
    ("name", "limits", "at_a_time"),
    [
        ("slow", LIMITS, 1),
        ("quick", LIMITS, 5),
        ("quick", LIMITS.but(turn_frames=2), 2),
    ],
)
def test_others_have_their_turn_between_the_shares_of_a_read(
    name: str, limits: Limits, at_a_time: int, traced: bool
) -> None:
    talk = Talk(limits, traced=traced)
    talk.say(IN[0])
    talk.say(said('42["nobody"]'))  # and the next read is looked at
    main, host, order = talk.client.main, talk.client.host, []

    def hear(seconds: float, number: int) -> None:
        order.append(number)
        talk.kit.board.now += seconds
        if len(order) == 1:
            host.call_later(0.0, order.append, "turn")

    main.on("slow", lambda number: hear(1.0, number))
    main.on("quick", lambda number: hear(0.0, number))
    talk.say(b"".join(said(f'42["{name}",{number}]') for number in range(5)))
    numbers: list[Any] = [*range(5)]
    numbers.insert(at_a_time, "turn")
    assert order == numbers
    talk.kit.close()


def test_what_stands_behind_an_interrupt_goes_on_later() -> None:
    talk = Talk()
    talk.say(IN[0])

    @talk.client.main.on("interrupt")
    def interrupt() -> None:
        raise KeyboardInterrupt

    talk.say(said('42["nobody"]'))
    talk.wire.send(said('427["chat"]') + said('42["interrupt"]') + said('428["chat"]'))
    with pytest.raises(KeyboardInterrupt):
        talk.kit.run()
    talk.kit.run()
    assert [payload for _opcode, payload in talk.heard()][-2:] == [b"437[]", b"438[]"]
    talk.kit.close()


def test_an_error_of_a_handler_that_stops_the_program_keeps_no_other_from_going_on() -> None:
    talk = Talk()
    talk.say(IN[0])

    @talk.client.on_error
    def stop(*_what: Any) -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        talk.wire.send(said('427["chat"]') + said('42["fails"]') + said('428["chat"]'))
        with pytest.raises(KeyboardInterrupt):
            talk.kit.run()
        talk.kit.run()
        assert [payload for _opcode, payload in talk.heard()][-2:] == [b"437[]", b"438[]"]
    talk.kit.close()
