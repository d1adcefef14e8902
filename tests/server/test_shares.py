"""A share for each turn of a server, counted in handlers on a clock that only handlers move."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from rawsio import Server
from rawsio.app.multiplexer import Multiplexer
from rawsio.limits import DEFAULT, Limits
from rawsio.net.memory import Wire
from rawsio.testing import TestKit
from tests.net.test_turns import frame, websocket
from tests.raw import Polling

SLICE = DEFAULT.turn_time
POST = (
    b"POST /socket.io/?EIO=4&transport=polling&sid=%b HTTP/1.1\r\nHost: a\r\n"
    b"Content-Length: %d\r\n\r\n"
)


class Slow:
    """A server whose handler of ``slow`` takes so many seconds, and a quiet client."""

    def __init__(self, seconds: float) -> None:
        self.io = Server()
        self.seconds = seconds
        self.calls: list[int] = []
        self.io.on("slow", self.work)
        self.io.on("e", lambda *_values: "ok")
        self.kit = TestKit(self.io)
        self.quiet = websocket(self.kit)
        self.kit.advance(1.0)  # nobody knows yet how busy a newcomer is

    def __enter__(self) -> Slow:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kit.close()

    def work(self, _socket: Any, number: int) -> None:
        self.kit.board.now += self.seconds
        self.calls.append(number)

    def polling(self) -> tuple[Wire, bytes]:
        """Return a connection, and the id of a session that is in the main namespace."""
        wire = self.kit.dial()
        wire.send(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n")
        self.kit.run()
        sid = wire.recv(65536).partition(b'"sid":"')[2].partition(b'"')[0]
        wire.send(POST % (sid, 2) + b"40")
        self.kit.run()
        wire.recv(65536)
        return wire, sid

    def longest_wait(self, done: int) -> float:
        """Let the quiet client ask again and again; return the longest of its waits."""
        waits = []
        while len(self.calls) < done:
            began = self.kit.board.now
            self.quiet.send(frame('421["e"]'))
            for _ in range(3):
                self.kit.loop.step(0)
                if self.quiet._inbox:
                    break
            assert b'431["ok"]' in self.quiet.recv(65536)
            waits.append(self.kit.board.now - began)
        return max(waits)


def numbered(count: int) -> list[str]:
    return [f'42["slow",{n}]' for n in range(count)]


@pytest.mark.rule("layers-turn-handlers")
@pytest.mark.parametrize("seconds", [0.0005, 0.003, 0.02])
@pytest.mark.parametrize("flooders", [1, 8])
@pytest.mark.parametrize("known", [True, False])
def test_handlers_end_a_share_by_the_time_they_take(
    seconds: float,
    flooders: int,
    known: bool,
) -> None:
    with Slow(seconds) as slow:
        wires = [websocket(slow.kit) for _ in range(flooders)]
        if known:
            slow.kit.advance(1.0)
        for wire in wires:
            wire.send(b"".join(map(frame, numbered(200))))
        if known:  # the first time, each of them has a share in the same turn
            slow.kit.loop.step(0)
            assert len(slow.calls) <= (flooders + 1) * (2 + SLICE / seconds)
        assert slow.longest_wait(200 * flooders) <= 3 * SLICE + 3 * seconds
        assert sorted(slow.calls) == sorted(list(range(200)) * flooders)
        if flooders == 1:
            assert slow.calls == list(range(200))


@pytest.mark.rule("layers-turn-handlers")
@pytest.mark.parametrize("seconds", [0.0005, 0.02])
def test_the_packets_of_a_post_come_some_at_a_time_and_its_answer_behind_them(
    seconds: float,
) -> None:
    with Slow(seconds) as slow:
        wire, sid = slow.polling()
        body = "\x1e".join(numbered(300)).encode()
        wire.send(POST % (sid, len(body)) + body)
        slow.kit.loop.step(0)
        assert len(slow.calls) <= 2 + SLICE / seconds
        assert not wire._inbox
        assert slow.longest_wait(300) <= 2 * SLICE + 3 * seconds
        slow.kit.run()
        assert wire.recv(65536).endswith(b"ok")
        assert slow.calls == list(range(300))


@pytest.mark.rule("layers-turn-handlers")
def test_a_second_post_is_refused_while_the_first_is_worked_off() -> None:
    with Slow(0.02) as slow:
        wire, sid = slow.polling()
        body = "\x1e".join(numbered(50)).encode()
        wire.send(POST % (sid, len(body)) + body)
        slow.kit.loop.step(0)
        other = slow.kit.dial()
        other.send(POST % (sid, 1) + b"3")
        slow.kit.run()
        assert other.recv(65536).startswith(b"HTTP/1.1 400 ")
        assert slow.calls == list(range(len(slow.calls)))
        assert len(slow.calls) < 50
        assert not slow.io.engine.sessions.get(sid.decode())


@pytest.mark.rule("layers-turn-handlers")
def test_what_was_posted_before_an_upgrade_is_handled_before_what_comes_after_it() -> None:
    with Slow(0.02) as slow:
        wire, sid = slow.polling()
        body = "\x1e".join(numbered(20)).encode()
        wire.send(POST % (sid, len(body)) + body)
        slow.kit.loop.step(0)
        other = slow.kit.dial()
        other.send(
            b"GET /socket.io/?EIO=4&transport=websocket&sid=" + sid + b" HTTP/1.1\r\nHost: a\r\n"
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            + frame("2probe")
            + frame("5")
            + frame('42["slow",20]')
        )
        slow.kit.run()
        assert slow.calls == list(range(21))
        assert len(slow.io.sockets) == 2


@pytest.mark.rule("layers-turn-handlers")
@pytest.mark.parametrize("end", ["close", "eof", "reset"])
def test_a_connection_that_ends_meanwhile_ends_behind_its_last_event(end: str) -> None:
    with Slow(0.02) as slow:
        ends: list[int] = []
        slow.io.on("disconnect", lambda *_values: ends.append(len(slow.calls)))
        wire = websocket(slow.kit)
        wire.send(b"".join(map(frame, numbered(30))))
        if end == "close":
            wire.send(b"\x88\x80\0\0\0\0")
        slow.kit.loop.step(0)
        assert len(slow.calls) < 5
        if end == "reset":
            wire.reset()
        elif end == "eof":
            wire.shutdown(1)
        slow.kit.run()
        assert slow.calls == list(range(30))
        assert ends == [30]
        assert len(slow.io.sockets) == 1


# Long messages

LONG = '42["long",' + "[1]," * 60_000 + "0]"


def long_frame(text: str) -> bytes:
    return b"\x81\xff" + len(text).to_bytes(8, "big") + b"\0\0\0\0" + text.encode()


class Heard:
    """A server that notes the names of events, and in which turn they came."""

    def __init__(self, **options: Any) -> None:
        self.io = Server(**options)
        self.names: list[str] = []
        for name in ("long", "next", "e"):
            self.io.on(name, lambda _socket, *_values, name=name: self.names.append(name) or "ok")
        self.kit = TestKit(self.io)

    def __enter__(self) -> Heard:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kit.close()


def deliver(wire: Wire, kit: TestKit, data: bytes) -> None:
    while data:
        data = data[wire.send(data) :]
        kit.loop.step(0)


@pytest.mark.rule("layers-turn-long")
@pytest.mark.parametrize("flooders", [1, 8])
def test_a_quiet_client_is_answered_in_each_turn_beside_long_messages(flooders: int) -> None:
    with Heard() as heard:
        quiet = websocket(heard.kit)
        heard.kit.advance(1.0)
        wires = [websocket(heard.kit) for _ in range(flooders)]
        for wire in wires:
            deliver(wire, heard.kit, long_frame(LONG) + frame('42["next"]'))
        turns = 0
        while heard.names.count("next") < flooders:
            quiet.send(frame('421["e"]'))
            heard.kit.loop.step(0)
            assert b'431["ok"]' in quiet.recv(65536)
            turns += 1
        assert turns > 4
        assert [name for name in heard.names if name != "e"] == ["long", "next"] * flooders


@pytest.mark.rule("layers-turn-long")
def test_long_messages_are_read_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[Any] = []
    plain = Multiplexer.go_on

    def go_on(peer: Multiplexer) -> None:
        steps.append(peer)
        plain(peer)

    monkeypatch.setattr(Multiplexer, "go_on", go_on)
    with Heard() as heard:
        wires = [websocket(heard.kit) for _ in range(3)]
        for wire in wires:
            deliver(wire, heard.kit, long_frame(LONG))
        heard.kit.run()
        assert heard.names == ["long"] * 3
    changes = sum(one is not other for one, other in itertools.pairwise(steps))
    assert (len(set(steps)), changes) == (3, 2)


@pytest.mark.rule("layers-turn-long")
def test_a_client_that_goes_in_the_middle_of_a_long_message_holds_up_no_other() -> None:
    with Heard() as heard:
        gone, other = websocket(heard.kit), websocket(heard.kit)
        deliver(other, heard.kit, long_frame(LONG)[:-100])
        deliver(gone, heard.kit, long_frame(LONG))
        deliver(other, heard.kit, long_frame(LONG)[-100:])
        assert heard.names == []
        next(iter(heard.io.sockets.values())).disconnect(close=True)
        heard.kit.run()
        assert heard.names == ["long"]
        assert heard.kit.board.now < 1001.0


@pytest.mark.rule("layers-turn-long")
def test_a_post_is_answered_when_its_long_packet_has_been_handled() -> None:
    with Heard() as heard:
        slow = Slow.polling
        wire, sid = slow(heard)  # type: ignore[arg-type]
        body = f'{LONG}\x1e42["next"]'.encode()
        deliver(wire, heard.kit, POST % (sid, len(body)) + body)
        assert heard.names == []
        heard.kit.run()
        assert heard.names == ["long", "next"]
        assert wire.recv(65536).endswith(b"ok")


@pytest.mark.rule("layers-turn-long")
def test_long_packets_that_waited_for_a_poll_are_handled_in_their_order() -> None:
    limits = Limits(unpolled_bytes=100, body=2_000_000)
    with Heard(limits=limits) as heard:
        heard.io.on("fill", lambda socket: socket.emit("full", "x" * 200))
        wire, sid = Slow.polling(heard)  # type: ignore[arg-type]
        body = f'42["fill"]\x1e{LONG}\x1e42["next"]'.encode()
        deliver(wire, heard.kit, POST % (sid, len(body)) + body)
        heard.kit.run()
        assert heard.names == []
        poll = heard.kit.dial()
        poll.send(
            b"GET /socket.io/?EIO=4&transport=polling&sid=" + sid + b" HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        heard.kit.advance(0.1)
        assert heard.names == ["long", "next"]
        assert wire.recv(65536).endswith(b"ok")


@pytest.mark.rule("layers-turn-long")
@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_client_reads_long_messages_in_turns_and_in_their_order(transport: str) -> None:
    io = Server()
    with TestKit(io) as kit:
        client = kit.connect(transports=[transport])
        names: list[str] = []
        client.on("long", lambda *_values: names.append("long"))
        client.on("next", lambda *_values: names.append("next"))
        io.emit("long", *[[1]] * 60_000)
        io.emit("next")
        for _ in range(5):
            kit.loop.step(0)
        assert names == []
        kit.run()
        assert names == ["long", "next"]
        assert client.connected


@pytest.mark.rule("layers-turn-handlers")
@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_a_client_handles_some_events_at_a_time_and_its_timers_go_on(transport: str) -> None:
    io = Server()
    with TestKit(io) as kit:
        client = kit.connect(transports=[transport])
        calls: list[int] = []

        def work(number: int) -> None:
            kit.board.now += 0.02
            calls.append(number)

        client.on("work", work)
        for number in range(400):
            io.emit("work", number)
        longest = 0.0
        while len(calls) < 400:
            began = kit.board.now
            kit.loop.step(0)
            longest = max(longest, kit.board.now - began)
        assert calls == list(range(400))
        assert longest <= 0.05


@pytest.mark.rule("layers-turn-flush")
def test_a_long_queue_is_taken_by_several_polls_in_its_order_and_the_end_comes_last() -> None:
    io = Server()
    with TestKit(io) as kit:
        client = Polling(kit)
        client.post(b"40")
        client.get()
        socket = next(iter(io.sockets.values()))
        for number in range(10):
            socket.emit("news", number, "x" * 100_000)
        socket.disconnect(close=True)
        kit.run()
        answers = []
        while io.engine.sessions:
            answers.append(client.get())
        assert all(len(answer) < 400_000 for answer in answers)
        packets = [p for answer in answers for p in answer.split(b"\x1e") if p]
        numbers = [int(p[len(b'42["news",') :].split(b",")[0]) for p in packets if b"news" in p]
        assert numbers == list(range(10))
        assert packets[-1] == b"1"
