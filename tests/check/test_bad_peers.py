"""Peers that do not play along: every run ends, in bounded time and memory, with a clear word."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from rawsio.check.case import Case, Finding, NotOffered, fine
from rawsio.check.catalogue import server_cases
from rawsio.check.eio_life import beat
from rawsio.check.eio_wire import most_payload, packets_of
from rawsio.check.http_answers import read_answers
from rawsio.check.probe import NothingThere, probe
from rawsio.check.runner import MOST_TIME, Options, Runner
from rawsio.check.talk import MOST_KEPT, Stuck, Talk
from rawsio.check.target import Target
from rawsio.check.ws_wire import read_frame
from rawsio.testing import TestKit

from .world import MemoryTransport, MemoryWorld, contract

_PIECE = b"x" * (1 << 20)


class _Bad:
    """A connection to a right server that goes wrong in one way; as a transport of the tester."""

    def __init__(self, inner: MemoryTransport, world: MemoryWorld) -> None:
        self.inner = inner
        self.world = world
        self.heard = b""

    def send(self, data: bytes) -> int:
        return self.inner.send(data)

    def receive(self) -> bytes | None:
        return self.inner.receive()

    def wait(self, seconds: float, *, write: bool = False) -> bool:
        return self.inner.wait(seconds, write=write)

    def finish(self) -> None:
        self.inner.finish()

    def close(self, *, reset: bool = False) -> None:
        self.inner.close(reset=reset)


class _Hangs(_Bad):
    def send(self, data: bytes) -> int:
        return len(data)


class _TakesNothing(_Bad):
    def send(self, data: bytes) -> int:
        return 0

    def wait(self, seconds: float, *, write: bool = False) -> bool:
        self.world.pause(seconds)
        return False


class _Drips(_Bad):
    """A byte a second."""

    def receive(self) -> bytes | None:
        self.heard += self.inner.receive() or b""
        data, self.heard = self.heard[:1], self.heard[1:]
        self.world.pause(1.0 if data else 0.0)
        return data or None

    def wait(self, seconds: float, *, write: bool = False) -> bool:
        return bool(self.heard) or self.inner.wait(seconds, write=write)


class _NeverEnds(_Bad):
    """Answers as it should, and goes on without end."""

    def receive(self) -> bytes | None:
        data = self.inner.receive()
        return data if data else _PIECE

    def wait(self, seconds: float, *, write: bool = False) -> bool:
        return True


class _Floods(_Bad):
    def receive(self) -> bytes | None:
        return b"HTTP/1.1 200 OK\r\nX: " + _PIECE

    def wait(self, seconds: float, *, write: bool = False) -> bool:
        return True


class _Resets(_Bad):
    def receive(self) -> bytes | None:
        raise ConnectionResetError

    def wait(self, seconds: float, *, write: bool = False) -> bool:
        return True


def _closing_behind(count: int) -> type[_Bad]:
    class Closes(_Bad):
        def receive(self) -> bytes | None:
            data = self.inner.receive()
            room = count - len(self.heard)
            if room <= 0:
                return b""
            self.heard += data or b""
            return data[:room] if data else data

        def wait(self, seconds: float, *, write: bool = False) -> bool:
            return len(self.heard) >= count or self.inner.wait(seconds, write=write)

    return Closes


class _World(MemoryWorld):
    def __init__(self, kit: TestKit, bad: type[_Bad]) -> None:
        super().__init__(kit)
        self.bad = bad

    def dial(self, where: str = "") -> Any:
        return self.bad(super().dial(where), self)


_BAD = (_Hangs, _TakesNothing, _Drips, _Floods, _Resets)


@pytest.mark.parametrize("bad", _BAD)
def test_a_peer_that_never_plays_along_cannot_be_judged(bad: type[_Bad]) -> None:
    with TestKit(contract(), url="http://127.0.0.1") as kit:
        world = _World(kit, bad)
        began = world.time()
        with pytest.raises(NothingThere) as caught:
            probe(world, Target("http://127.0.0.1"))
        assert "\n" not in str(caught.value)
        assert world.time() - began < 120.0


def _judge(bad: type[_Bad], keep: Callable[[int], bool]) -> list[Any]:
    """Run a sample of the cases against a server that goes wrong once it is known."""
    with TestKit(contract(), url="http://127.0.0.1") as kit:
        target = probe(MemoryWorld(kit), Target("http://127.0.0.1"))
        target.facts["clock"] = "virtual"
        sample = [case for number, case in enumerate(server_cases()) if keep(number)]
        settings = Options(jobs=1, fast=True, patience=0.5)
        return Runner(target, _World(kit, bad), settings).run(sample)


@pytest.mark.parametrize("bad", [*_BAD, _NeverEnds])
def test_a_peer_that_goes_bad_costs_a_case_and_not_the_run(bad: type[_Bad]) -> None:
    results = _judge(bad, lambda number: number % 53 == 0)
    assert len(results) > 15
    for result in results:
        assert "mistake of the tester" not in result.note, result
        assert result.seconds <= MOST_TIME[""] + 15.0
        assert sum(len(crossing.data) for crossing in result.wire) <= MOST_KEPT


@pytest.mark.parametrize("first", range(0, 400, 40))
def test_a_peer_may_close_behind_any_byte(first: int) -> None:
    for count in range(first, first + 40, 5):
        results = _judge(_closing_behind(count), lambda number: number % 211 == 7)
        assert [r for r in results if "mistake of the tester" in r.note] == []


class _Talks(_Bad):
    """Answers with content that has no end, in small pieces."""

    said = 0

    def receive(self) -> bytes | None:
        data = b"x" * 1000 if self.heard else b"HTTP/1.1 200 OK\r\n\r\n"
        self.heard = data
        _Talks.said += len(data)
        return data

    def wait(self, seconds: float, *, write: bool = False) -> bool:
        return True


def test_an_answer_without_an_end_is_named_by_the_probes_and_cheap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[int] = []

    def counted(data: bytes, *more: Any) -> Any:
        read.append(len(data))
        return read_answers(data, *more)

    monkeypatch.setattr("rawsio.check.http_wire.read_answers", counted)
    _Talks.said = 0
    with (
        TestKit(contract(), url="http://127.0.0.1") as kit,
        pytest.raises(NothingThere, match=r"too slow or says too much .* more than 4 MiB"),
    ):
        probe(_World(kit, _Talks), Target("http://127.0.0.1"))
    assert _Talks.said < 5_000_000
    assert sum(read) < 20 * _Talks.said


def test_an_answer_that_is_not_whole_in_time_is_named_by_the_probes() -> None:
    with (
        TestKit(contract(), url="http://127.0.0.1") as kit,
        pytest.raises(NothingThere, match=r"too slow .* within 60 s"),
    ):
        probe(_World(kit, _Drips), Target("http://127.0.0.1"))


class _SilentElsewhere(_Bad):
    """Answers no path but those of Socket.IO."""

    known = False

    def send(self, data: bytes) -> int:
        self.known = self.known or b" /socket.io/" in data
        return self.inner.send(data) if self.known else len(data)


def test_a_server_that_leaves_other_paths_unanswered_is_found_all_the_same() -> None:
    with TestKit(contract(), url="http://127.0.0.1") as kit:
        target = probe(_World(kit, _SilentElsewhere), Target("http://127.0.0.1"))
    assert target.mute
    assert target.path == "/socket.io/socket.io.js"
    assert target.contract == "extended"


class _OneAtATime(_Bad):
    """Hears of a request only when no other connection is open."""

    crowd: ClassVar[list[Any]] = []

    def __init__(self, inner: MemoryTransport, world: MemoryWorld) -> None:
        super().__init__(inner, world)
        self.crowd.append(self)

    def receive(self) -> bytes | None:
        return self.inner.receive() if self.crowd[0] is self else None

    def close(self, *, reset: bool = False) -> None:
        if self in self.crowd:
            self.crowd.remove(self)
        super().close(reset=reset)


def test_a_server_of_one_connection_at_a_time_is_known_for_it() -> None:
    _OneAtATime.crowd.clear()
    with TestKit(contract(), url="http://127.0.0.1") as kit:
        assert probe(_World(kit, _OneAtATime), Target("http://127.0.0.1")).alone
    with TestKit(contract(), url="http://127.0.0.1") as kit:
        assert not probe(MemoryWorld(kit), Target("http://127.0.0.1")).alone


class _ChangesEchoes(_Bad):
    def receive(self) -> bytes | None:
        data = self.inner.receive()
        return data.replace(b"4echo?", b"4Echo!") if data else data


def test_what_comes_back_changed_is_no_echo() -> None:
    with TestKit(contract(), url="http://127.0.0.1") as kit:
        target = probe(_World(kit, _ChangesEchoes), Target("http://127.0.0.1"))
    assert target.manner in ("", "socket")


class _FloodsFrames(_Bad):
    """Opens a WebSocket, and sends frames without an end."""

    said = 0
    opened = False

    def receive(self) -> bytes | None:
        data = b"\x82\x7e\x04\x00" + b"z" * 1024 if self.opened else self.inner.receive()
        self.opened = self.opened or b" 101 " in (data or b"")
        _FloodsFrames.said += len(data or b"")
        return data

    def wait(self, seconds: float, *, write: bool = False) -> bool:
        return self.opened or self.inner.wait(seconds, write=write)


def test_frames_without_an_end_cost_as_much_as_they_are_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[int] = []

    def counted(data: bytes, at: int) -> Any:
        read.append(len(data))
        return read_frame(data, at)

    monkeypatch.setattr("rawsio.check.ws_wire.read_frame", counted)
    _FloodsFrames.said = 0
    with TestKit(contract(), url="http://127.0.0.1") as kit:
        target = probe(MemoryWorld(kit), Target("http://127.0.0.1"))
        (case,) = [case for case in server_cases() if case.id == "ws.rsv.rsv1-text"]
        settings = Options(jobs=1, fast=True, patience=0.5)
        (result,) = Runner(target, _World(kit, _FloodsFrames), settings).run([case])
    assert result.verdict == "FAILED"
    assert "more than 4 MiB" in result.got + result.note
    assert sum(read) < 2 * _FloodsFrames.said + 1000


class _FloodsSmall(_FloodsFrames):
    """Opens a WebSocket, and sends empty frames without an end."""

    def receive(self) -> bytes | None:
        data = b"\x82\x00" * 100_000 if self.opened else self.inner.receive()
        self.opened = self.opened or b" 101 " in (data or b"")
        return data


def test_small_frames_without_an_end_are_counted_because_each_takes_memory() -> None:
    with TestKit(contract(), url="http://127.0.0.1") as kit:
        target = probe(MemoryWorld(kit), Target("http://127.0.0.1"))
        sample = [case for case in server_cases() if case.id.startswith("ws.rsv.rsv1")]
        settings = Options(jobs=1, fast=True, patience=0.5)
        results = Runner(target, _World(kit, _FloodsSmall), settings).run(sample)
    assert {result.verdict for result in results} == {"FAILED"}
    assert all("more than 10000 frames" in result.got for result in results)
    assert len(target.frames) <= len(results) * 11_000


def test_packets_of_a_payload_count_as_well() -> None:
    talk = Talk(_Ticking(), Target("http://127.0.0.1"), "seed")
    assert len(packets_of(talk, b"2\x1e" * 5000)) == 5001
    with pytest.raises(Stuck, match="more than 10000 frames or packets"):
        packets_of(talk, b"2\x1e" * 5000)


@pytest.mark.parametrize("size", [0, -1, 10**12, 1.5, "1000", [], None, True, 64_000_001])
def test_a_max_payload_that_cannot_be_tried_is_not_sent(size: Any) -> None:
    with pytest.raises(NotOffered):
        most_payload({"maxPayload": size})


@pytest.mark.parametrize("times", [(10**400, 1), (1, []), ("300", "200"), (float("nan"), 1), ()])
def test_heartbeats_that_make_no_sense_are_not_waited_for(times: tuple[Any, ...]) -> None:
    talk = Talk(_Ticking(), Target("http://127.0.0.1"), "seed")
    talk.target.open.update(zip(("pingInterval", "pingTimeout"), times, strict=False))
    with pytest.raises(NotOffered, match="needs fast heartbeats"):
        beat(talk)


@pytest.mark.parametrize("size", [b"-6", b"+5", b"0x5", b"1_0", b"", b"f" * 17])
def test_a_chunk_size_that_is_none_ends_the_body(size: bytes) -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\nhello\r\n0\r\n\r\n"
    (answer,) = read_answers(data % size, ended=False).answers
    assert (answer.complete, answer.body) == (False, b"")


def test_what_is_kept_for_reports_is_bounded_for_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawsio.check.runner.MOST_WIRE", 100_000)

    def much(talk: Talk, _case: Case) -> Finding:
        for _ in range(9):
            talk.note("<", b"x" * 10_000, 0)
        return fine()

    cases = [Case(f"a.b.{n}", "rule", "MUST", "", "", b"", much) for n in range(3)]
    results = Runner(Target("http://127.0.0.1"), _Ticking(), Options(jobs=1)).run(cases)
    sizes = [sum(len(crossing.data) for crossing in result.wire) for result in results]
    assert sizes == [90_000, 4096, 4096]


class _Ticks:
    """A transport on which a byte comes whenever it is asked, for ever."""

    def send(self, data: bytes) -> int:
        return len(data)

    def receive(self) -> bytes:
        return b"x"

    def wait(self, _seconds: float, *, write: bool = False) -> bool:
        return True

    def finish(self) -> None:
        """It goes on."""

    def close(self, *, reset: bool = False) -> None:
        """It is closed."""


class _Ticking:
    """A world in which every peer ticks, in real time."""

    time = staticmethod(time.monotonic)

    def dial(self, _where: str = "") -> Any:
        return _Ticks()

    def pause(self, _seconds: float) -> None:
        """Nobody waits here."""


def test_an_interrupt_breaks_off_the_cases_that_run_and_keeps_what_is_known() -> None:
    def told(_result: Any) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    world: Any = _Ticking()

    def endless(talk: Talk, _case: Case) -> Finding:
        return fine() if talk.dial().until_end() else fine("silence")

    one, two = (Case(f"a.{name}", "rule", "MUST", "", "", b"", endless) for name in ("1", "2"))
    quick = Case("a.quick", "rule", "MUST", "", "", b"", lambda _talk, _case: fine("done"))
    runner = Runner(Target("http://127.0.0.1"), world, Options(jobs=3), canary=None)
    assert [result.id for result in runner.run([one, quick, two], told)] == ["a.quick"]
    assert runner.interrupted
