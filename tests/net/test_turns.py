"""Who waits for whom: shares, heavy streams, slices of a flush, interrupts; counted in turns."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest

from rawsio import Server
from rawsio.layer import Closed, Closing
from rawsio.limits import DEFAULT, Limits
from rawsio.net.driver import Driver
from rawsio.net.loop import Loop
from rawsio.net.memory import Wire
from rawsio.net.tcp import StreamState, TCPStream
from rawsio.testing import TestKit

from .kit import Clock, Owner

SLICE = DEFAULT.turn_time
UNIT = 300


class Worker:
    """A layer that takes a unit for each share, and so many seconds for each unit."""

    def __init__(self, clock: Clock, seconds: float, unit: int) -> None:
        self.clock = clock
        self.seconds = seconds
        self.unit = unit
        self.kept = b""
        self.outbox: list[bytes] = []
        self.closing = Closing.OPEN
        self.ended = False

    @property
    def deadline(self) -> float | None:
        return None if self.reading else 0.0

    @property
    def reading(self) -> bool:
        return not self.waits and (not self.ended or self.closing is Closing.NOW)

    @property
    def waits(self) -> bool:
        return len(self.kept) >= self.unit

    def receive(self, data: bytes) -> list[Any]:
        waits = self.waits
        self.kept += data
        return [] if waits or not self.waits else self.share()

    def share(self) -> list[Any]:
        self.clock.now += self.seconds
        event, self.kept = self.kept[:1], self.kept[self.unit :]
        return [event]

    def tick(self, _now: float) -> list[Any]:
        if self.waits:
            return self.share()
        if self.ended and self.closing is Closing.OPEN:
            self.closing = Closing.NOW
            return [Closed()]
        return []

    def receive_eof(self) -> list[Any]:
        self.ended = True
        return [] if self.waits else self.tick(0.0)

    def send(self, event: bytes) -> None:
        self.outbox.append(event)

    def data_to_send(self) -> list[bytes]:
        units, self.outbox = self.outbox, []
        return units


class Crowd:
    """Some streams on one loop, whose time passes only while a layer works."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.loop = Loop(clock=self.clock)
        self.driver = Driver(self.loop)
        self.order: list[str] = []
        self.ends: list[tuple[TCPStream, socket.socket, Owner]] = []

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_error: object) -> None:
        for stream, peer, _owner in self.ends:
            stream.abort()
            peer.close()
        self.loop.close()

    def join(self, name: str, seconds: float) -> tuple[TCPStream, socket.socket, Owner]:
        ours, peer = socket.socketpair()
        owner = Owner()

        def react(stream: TCPStream, event: Any) -> None:
            if event:
                self.order.append(name)
            if isinstance(event, bytes):
                stream.layer.send(event)

        owner.react = react
        layer = Worker(self.clock, seconds, 1 if name in ("quiet", "teller") else UNIT)
        stream = TCPStream(self.driver, ours, layer, owner.on_events, owner.on_closed)
        self.loop.step(0)
        self.ends.append((stream, peer, owner))
        return self.ends[-1]

    def turns_until(self, done: Any, most: int = 10_000) -> int:
        for count in range(most):
            if done():
                return count
            self.loop.step(0)
        raise AssertionError("it never came to that")


@pytest.mark.rule("layers-turn-fair")
def test_each_of_those_who_wait_gets_a_share_in_its_order() -> None:
    with Crowd() as crowd:
        for _stream, peer, _owner in [crowd.join(name, 0.0) for name in "abc"]:
            peer.sendall(b"x" * 5 * UNIT)
        for _ in range(5):
            crowd.loop.step(0)
        assert "".join(crowd.order) == "abc" * 5


@pytest.mark.rule("layers-turn-fair")
@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.05])
def test_a_quiet_stream_is_served_at_once_whoever_floods(seconds: float) -> None:
    with Crowd() as crowd:
        floods = [crowd.join(f"flood{n}", seconds)[1] for n in range(8)]
        _stream, peer, quiet = crowd.join("quiet", 0.0001)
        for flood in floods:
            flood.sendall(b"x" * 200 * UNIT)
        for _ in range(10):
            crowd.loop.step(0)
        for asked in range(1, 20):
            began, before = crowd.clock.now, len(crowd.order)
            peer.sendall(b"?")
            assert crowd.turns_until(lambda asked=asked: len(quiet.events) == asked) <= 1
            assert peer.recv(10) == b"?"
            # What is behind it in the same turn may take a slice, and what one share takes.
            assert crowd.clock.now - began <= SLICE + seconds + 0.0002
            assert len(crowd.order) > before + 1


@pytest.mark.rule("layers-turn-heavy")
def test_streams_that_took_much_time_are_not_read_before_the_others() -> None:
    with Crowd() as crowd:
        floods = [crowd.join(f"flood{n}", 0.05) for n in range(8)]
        for _stream, flood, _owner in floods:
            flood.sendall(b"x" * UNIT)
        _stream, peer, _quiet = crowd.join("quiet", 0.0001)
        crowd.turns_until(lambda: len(crowd.order) >= 8)
        assert all(stream.heavy for stream, _, _ in floods)
        del crowd.order[:]
        for _stream, flood, _owner in floods:  # readable before the quiet one, all together
            flood.sendall(b"x" * UNIT)
        peer.sendall(b"?")
        began = crowd.clock.now
        crowd.loop.step(0)
        assert crowd.order[0] == "quiet"
        assert len(crowd.order) == 2
        assert crowd.clock.now - began < 0.06
        crowd.turns_until(lambda: len(crowd.order) == 9, most=9)


@pytest.mark.rule("layers-turn-heavy")
def test_who_waits_for_other_heavy_streams_stays_heavy() -> None:
    with Crowd() as crowd:
        floods = [crowd.join(f"flood{n}", 0.05) for n in range(60)]
        for _stream, flood, _owner in floods:
            flood.sendall(b"x" * UNIT * 3)
        crowd.turns_until(lambda: len(crowd.order) >= 60)
        _stream, peer, quiet = crowd.join("quiet", 0.0001)
        for asked in range(1, 100):
            for _stream, flood, _owner in floods:
                flood.sendall(b"x" * UNIT)
            peer.sendall(b"?")
            crowd.loop.step(0)
            assert len(quiet.events) == asked


@pytest.mark.rule("layers-turn-heavy")
def test_a_heavy_stream_is_light_again_once_it_has_done_without() -> None:
    with Crowd() as crowd:
        stream, peer, _owner = crowd.join("once", 0.05)
        peer.sendall(b"x" * UNIT)
        crowd.loop.step(0)
        assert stream.heavy
        crowd.clock.now += 0.5
        peer.sendall(b"x" * 2 * UNIT)
        crowd.loop.step(0)
        assert crowd.order == ["once"] * 2


@pytest.mark.rule("layers-turn-new")
def test_newcomers_are_not_read_in_a_turn_that_has_no_time_left() -> None:
    with Crowd() as crowd:
        _stream, peer, _quiet = crowd.join("quiet", 0.0001)
        crowd.clock.now += 1.0
        newcomers = [crowd.join(f"new{n}", 0.01) for n in range(30)]
        for _stream, new, _owner in newcomers:
            new.sendall(b"x" * UNIT)
        for count in range(1, 16):
            began = crowd.clock.now
            peer.sendall(b"?")
            crowd.loop.step(0)
            assert crowd.order.count("quiet") == count
            assert crowd.clock.now - began <= 0.031  # one that is read, and two that wait
        crowd.turns_until(lambda: len(crowd.order) == 45)


@pytest.mark.rule("layers-turn-heavy")
def test_the_more_are_heavy_the_longer_each_of_them_is() -> None:
    with Crowd() as crowd:
        floods = [crowd.join(f"flood{n}", 0.01) for n in range(10)]
        for _stream, flood, _owner in floods:
            flood.sendall(b"x" * UNIT)
        crowd.turns_until(lambda: len(crowd.order) == 10)
        assert crowd.driver.burden == 10
        crowd.clock.now += 0.4  # one alone would be light again after 0.08
        del crowd.order[:]
        for _stream, flood, _owner in floods:
            flood.sendall(b"x" * UNIT)
        crowd.loop.step(0)
        assert len(crowd.order) < 7
        crowd.turns_until(lambda: len(crowd.order) == 10)
    assert crowd.driver.burden == 0


def test_reads_that_take_long_become_smaller_and_grow_again() -> None:
    with Crowd() as crowd:
        stream, peer, _owner = crowd.join("a", 0.05)
        peer.setblocking(False)
        sizes = []

        def receive(data: bytes) -> list[Any]:
            crowd.clock.now += seconds
            sizes.append(len(data))
            return []

        stream.layer.receive = receive  # type: ignore[method-assign]
        for seconds in (0.05, 0.05, 0.0, 0.0):  # noqa: B007 - for the function above
            with contextlib.suppress(BlockingIOError):
                peer.send(b"x" * 100_000)
            crowd.loop.step(0)
            crowd.clock.now += 10.0
        assert sizes == [65536, 32768, 16384, 65536]


@pytest.mark.rule("layers-turn-order")
def test_what_came_before_an_error_of_the_socket_is_worked_off() -> None:
    with Crowd() as crowd:
        stream, peer, owner = crowd.join("a", 0.0)
        peer.sendall(b"x" * 5 * UNIT)
        crowd.loop.step(0)
        stream._lost(ConnectionResetError(104, "Connection reset by peer"))
        assert stream.state is StreamState.LOST
        assert owner.closed == []
        crowd.turns_until(lambda: owner.closed)
        assert owner.events == [*[b"x"] * 5, Closed()]
        assert owner.closed == ["Connection reset by peer"]
        assert not crowd.driver.streams


@pytest.mark.rule("layers-turn-order")
def test_what_waits_is_worked_off_before_the_end_of_input() -> None:
    with Crowd() as crowd:
        _stream, peer, owner = crowd.join("a", 0.0)
        peer.sendall(b"x" * 5 * UNIT)
        peer.close()
        crowd.turns_until(lambda: owner.closed)
        assert owner.events == [*[b"x"] * 5, Closed()]


def test_a_paused_stream_works_nothing_off_until_it_is_resumed() -> None:
    with Crowd() as crowd:
        stream, peer, owner = crowd.join("a", 0.0)
        peer.sendall(b"x" * 5 * UNIT)
        crowd.loop.step(0)
        stream.pause()
        for _ in range(20):
            crowd.loop.step(0)
        before = len(owner.events)
        assert before <= 2
        assert crowd.loop.next_deadline() is None
        stream.resume()
        crowd.turns_until(lambda: len(owner.events) == 5)


# The flush


class Target:
    """Something to flush that takes its time."""

    heavy = False

    def __init__(self, crowd: Crowd, name: str, seconds: float = 0.0) -> None:
        self.crowd = crowd
        self.name = name
        self.seconds = seconds
        self.error: BaseException | None = None

    def flush(self) -> None:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.crowd.clock.now += self.seconds
        self.crowd.order.append(self.name)


@pytest.mark.rule("layers-turn-flush")
def test_the_flush_of_many_is_cut_into_slices_and_keeps_its_order() -> None:
    with Crowd() as crowd:
        names = [str(n) for n in range(1000)]
        for name in names:
            crowd.driver.touch(Target(crowd, name, 0.0005))
        taken = []
        while len(crowd.order) < 1000:
            before, began = len(crowd.order), crowd.clock.now
            crowd.loop.step(0)
            taken.append(len(crowd.order) - before)
            assert crowd.clock.now - began < SLICE + 16 * 0.0005
        assert crowd.order == names
        assert max(taken) <= 32
        assert crowd.loop.next_deadline() is None


@pytest.mark.rule("layers-turn-flush")
def test_few_that_take_long_to_flush_are_cut_into_slices_as_well() -> None:
    with Crowd() as crowd:
        for n in range(20):
            crowd.driver.touch(Target(crowd, str(n), 0.01))
        while len(crowd.order) < 20:
            began = crowd.clock.now
            crowd.loop.step(0)
            assert crowd.clock.now - began <= 0.0801
        assert crowd.order == [str(n) for n in range(20)]


class Meter:
    """Hears who was flushed."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def flushed(self, targets: Any) -> None:
        self.heard += [target.name for target in targets]

    def forget(self, _target: Any) -> None:
        """Nobody ends here."""


@pytest.mark.rule("layers-turn-flush")
def test_the_meter_hears_of_everybody_in_slices_and_may_be_missing() -> None:
    for meter in (None, Meter()):
        with Crowd() as crowd:
            crowd.driver.meter = meter  # type: ignore[assignment]  # the meter's own part of it
            names = [str(n) for n in range(300)]
            for name in names:
                crowd.driver.touch(Target(crowd, name, 0.0005))
            while len(crowd.order) < 300:
                crowd.loop.step(0)
            assert crowd.order == names
        if meter is not None:
            assert set(meter.heard) == set(names)


@pytest.mark.rule("layers-turn-flush")
def test_who_asks_while_a_long_flush_is_under_way_is_answered_in_the_same_turn() -> None:
    with Crowd() as crowd:
        _stream, peer, _owner = crowd.join("quiet", 0.0)
        for n in range(1000):
            crowd.driver.touch(Target(crowd, str(n), 0.0005))
        for _ in range(10):
            peer.sendall(b"?")
            crowd.loop.step(0)
            assert peer.recv(10) == b"?"
        assert len(crowd.order) < 1000


@pytest.mark.rule("layers-turn-flush")
def test_who_asked_in_the_turn_of_a_broadcast_is_flushed_before_those_who_are_told() -> None:
    with Crowd() as crowd:
        _stream, peer, owner = crowd.join("teller", 0.0)
        told = [Target(crowd, str(n), 0.0005) for n in range(1000)]

        def tell(stream: TCPStream, event: bytes) -> None:
            for target in told:
                crowd.driver.touch(target)
            stream.layer.send(event)

        owner.react = tell
        peer.sendall(b"?")
        crowd.loop.step(0)
        assert peer.recv(10) == b"?"
        assert len(crowd.order) < 50


@pytest.mark.rule("layers-turn-flush")
def test_who_asked_and_is_told_by_others_in_the_same_turn_is_flushed_before_all_others() -> None:
    with Crowd() as crowd:
        stream, peer, _owner = crowd.join("asker", 0.0)
        told = [Target(crowd, str(n), 0.0005) for n in range(1000)]

        class Taker:
            """Takes what comes, behind a broadcast to all."""

            clear = True

            @property
            def layer(self) -> Taker:
                return self

            def read(self, data: bytes, _now: float) -> int:
                for target in [*told, stream]:
                    crowd.driver.touch(target)
                stream.layer.send(data)
                return len(data)

        taker: Any = Taker()
        stream.quick = taker
        peer.sendall(b"?")
        peer.setblocking(False)
        crowd.loop.step(0)
        assert peer.recv(10) == b"?"
        assert len(crowd.order) < 50


# Interrupts


@pytest.mark.rule("layers-driver-interrupt")
@pytest.mark.parametrize("many", [3, 500])
@pytest.mark.parametrize("at", [0, 1, -1])
def test_an_interrupt_in_a_flush_forgets_nobody(many: int, at: int) -> None:
    with Crowd() as crowd:
        targets = [Target(crowd, str(n)) for n in range(many)]
        targets[at].error = KeyboardInterrupt()
        for target in targets:
            crowd.driver.touch(target)
        interrupts = 0
        for _ in range(100):
            try:
                crowd.loop.step(0)
            except KeyboardInterrupt:
                interrupts += 1
        assert interrupts == 1
        assert {target.name for target in targets} == set(crowd.order)


@pytest.mark.rule("layers-driver-interrupt")
def test_an_interrupt_in_a_share_forgets_nobody() -> None:
    with Crowd() as crowd:
        ends = [crowd.join(name, 0.0) for name in "abc"]
        for _stream, peer, _owner in ends:
            peer.sendall(b"x" * 5 * UNIT)
        crowd.loop.step(0)
        layer: Any = ends[0][0].layer
        plain = layer.tick

        def tick(now: float) -> list[Any]:
            layer.tick = plain
            raise KeyboardInterrupt

        layer.tick = tick
        with pytest.raises(KeyboardInterrupt):
            crowd.loop.step(0)
        crowd.turns_until(lambda: len(crowd.order) == 15)


class Alarm:
    """A target of timers that takes its time, and is never due again."""

    def __init__(self, crowd: Crowd, name: str, when: float, seconds: float) -> None:
        self.crowd = crowd
        self.name = name
        self.deadline: float | None = when
        self.seconds = seconds
        self.error: BaseException | None = None

    def tick(self, _now: float) -> list[Any]:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.crowd.clock.now += self.seconds
        self.deadline = None
        self.crowd.order.append(self.name)
        return []


@pytest.mark.rule("layers-timers-fair")
def test_many_ticks_that_are_due_together_are_cut_into_slices_the_oldest_first() -> None:
    with Crowd() as crowd:
        _stream, peer, _owner = crowd.join("quiet", 0.0)
        start = crowd.clock.now
        for n in reversed(range(500)):
            crowd.driver.watch(Alarm(crowd, str(n), start + n / 1e6, 0.0005))
        crowd.clock.now += 1.0
        while crowd.order.count("quiet") < 10:
            began = crowd.clock.now
            peer.sendall(b"?")
            crowd.loop.step(0)
            assert peer.recv(10) == b"?"
            assert crowd.clock.now - began < SLICE + 16 * 0.0005
        crowd.turns_until(lambda: len(crowd.order) == 510, most=100)
        assert [name for name in crowd.order if name != "quiet"] == [str(n) for n in range(500)]


@pytest.mark.rule("layers-timers-fair")
def test_timers_of_the_loop_that_take_long_leave_the_sockets_their_turns() -> None:
    with Crowd() as crowd:
        _stream, peer, _owner = crowd.join("quiet", 0.0)
        for n in range(50):
            crowd.loop.call_later(0.0, Alarm(crowd, str(n), 0.0, 0.01).tick, 0.0)
        for count in range(1, 10):
            peer.sendall(b"?")
            crowd.loop.step(0)
            assert peer.recv(10) == b"?"
            assert len(crowd.order) == 2 * count
        crowd.turns_until(lambda: len(crowd.order) == 59, most=60)
        assert [name for name in crowd.order if name != "quiet"] == [str(n) for n in range(50)]


@pytest.mark.rule("layers-driver-interrupt")
def test_an_interrupt_in_a_tick_forgets_nobody() -> None:
    with Crowd() as crowd:
        alarms = [Alarm(crowd, str(n), crowd.clock.now, 0.0) for n in range(10)]
        alarms[3].error = KeyboardInterrupt()
        for alarm in alarms:
            crowd.driver.watch(alarm)
        with pytest.raises(KeyboardInterrupt):
            crowd.loop.step(0)
        for _ in range(3):
            crowd.loop.step(0)
        assert sorted(crowd.order) == [str(n) for n in range(10)]


@pytest.mark.rule("layers-driver-interrupt")
def test_an_interrupt_in_a_handler_loses_no_event_behind_it() -> None:
    io = Server()
    got: list[int] = []
    errors: list[BaseException] = [KeyboardInterrupt()]

    @io.on("x")
    def hear(_socket: Any, n: int) -> None:
        if errors and n == 3:
            raise errors.pop()
        got.append(n)

    with TestKit(io) as kit:
        wire = websocket(kit)
        wire.send(b"".join(frame(f'42["x",{n}]') for n in range(600)))
        with pytest.raises(KeyboardInterrupt):
            kit.run()
        kit.run()
        assert got == [n for n in range(600) if n != 3]


@pytest.mark.rule("layers-driver-interrupt")
@pytest.mark.parametrize("how", ["emit", "volatile", "ask"])
def test_an_interrupt_in_a_broadcast_keeps_it_from_nobody_else(how: str) -> None:
    io = Server()
    with TestKit(io) as kit:
        clients = [kit.connect() for _ in range(5)]
        for client in clients:
            client.on("news", lambda *_values: "heard")
        third = list(io.sockets.values())[2]
        third.on_any_outgoing(lambda *_values: None)  # else there is no call for it alone
        name = {"emit": "_deliver", "volatile": "_deliver_volatile", "ask": "_ask"}[how]
        plain = getattr(type(third), name)

        def interrupted(socket: Any, *values: Any) -> None:
            if socket is third:
                raise KeyboardInterrupt
            plain(socket, *values)

        said = {"emit": io.emit, "volatile": io.volatile.emit, "ask": io.emit_with_ack}
        say: Any = said[how]
        heard: list[int] = []
        for number, client in enumerate(clients):
            client.on_any(lambda *_values, number=number: heard.append(number))
        setattr(type(third), name, interrupted)
        try:
            with pytest.raises(KeyboardInterrupt):
                say("news", 1)
        finally:
            setattr(type(third), name, plain)
        kit.run()
        assert len(heard) == 4


@pytest.mark.rule("layers-turn-fair")
def test_pipelined_requests_come_some_at_a_time_and_none_is_refused() -> None:
    asked: list[str] = []

    def app(request: Any) -> str:
        asked.append(request.path)
        return "ok"

    with TestKit(Server(app=app)) as kit:
        wire = kit.dial()
        kit.run()
        data = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(2000))
        wire.send(data[:65536])
        most, before = 0, 0
        for _ in range(10_000):
            kit.loop.step(0)
            most, before = max(most, len(asked) - before), len(asked)
            due = kit.loop.next_deadline()
            if (due is None or due > kit.board.now) and not kit.board.ready():
                break
        assert asked == [f"/{n}" for n in range(len(asked))]
        assert len(asked) == data[:65536].count(b"\r\n\r\n")
        assert most <= 18


def test_pipelined_requests_wait_while_their_answers_pile_up() -> None:
    asked: list[str] = []

    def app(request: Any) -> bytes:
        asked.append(request.path)
        return b"x" * 100_000

    with TestKit(Server(app=app, limits=Limits(high_water=500_000, low_water=100_000))) as kit:
        wire = kit.dial()
        wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
        kit.run()
        assert 5 <= len(asked) < 25
        got = 0
        for _ in range(2000):
            got += len(wire.recv(65536))
            kit.run()
            if len(asked) == 100 and not wire._inbox:
                break
        assert len(asked) == 100
        assert got > 10_000_000


# The whole of it


UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


def frame(text: str) -> bytes:
    return bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text.encode()


def websocket(kit: TestKit) -> Wire:
    wire = kit.dial()
    wire.send(UPGRADE + frame("40"))
    kit.run()
    wire.recv(65536)
    return wire


@pytest.mark.rule("layers-turn-fair")
@pytest.mark.parametrize("flooders", [1, 8])
@pytest.mark.parametrize("unit", ['42["x"]', '420["e"]', "40/a", "41,40", "2", "3", '42["x",[[]]]'])
def test_a_quiet_client_is_answered_in_a_turn_beside_any_flood(unit: str, flooders: int) -> None:
    io = Server()
    io.on("e", lambda *_values: "ok")
    with TestKit(io) as kit:
        wires = [websocket(kit) for _ in range(flooders)]
        quiet = websocket(kit)
        data = b"".join(map(frame, unit.split(",4"))) if unit == "41,40" else frame(unit)
        data = data.replace(frame("0"), frame("40"))
        for wire in wires:
            wire.send(data * 1500)
        for _ in range(3):
            kit.loop.step(0)
            quiet.send(frame('421["e"]'))
            kit.loop.step(0)
            assert b'431["ok"]' in quiet.recv(65536)
            assert any(wire.peer._inbox or kit.loop.next_deadline() is not None for wire in wires)


def test_events_of_a_flood_that_breaks_off_are_all_handled() -> None:
    io = Server()
    got: list[int] = []
    io.on("x", lambda _socket, n: got.append(n))
    with TestKit(io) as kit:
        wire = websocket(kit)
        wire.send(b"".join(frame(f'42["x",{n}]') for n in range(3000)))
        kit.loop.step(0)
        wire.reset()
        kit.run()
        assert got == list(range(3000))
        assert not io.sockets
