"""What is told later: in shares, in turn, in order, with the times at which it passed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from rawsio.layer import Role
from rawsio.tracing.backlog import HELD, SHARE, Backlog
from rawsio.tracing.recorder import Recorder

C, S = Role.CLIENT, Role.SERVER
STEP = SHARE / 8
"""What a message costs here."""


class _Loop:
    """A loop whose clock stands still, but for what is told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.later: list[Any] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, fn: Any) -> None:
        assert delay == 0.0
        self.later.append(fn)

    def turn(self) -> bool:
        later, self.later = self.later, []
        for fn in later:
            fn()
        return bool(later)


class _Tap:
    """A tap in whose data each byte is a message."""

    def __init__(self, loop: _Loop, told: list[Any]) -> None:
        self.loop = loop
        self.told = told

    def now(self) -> float:
        return self.loop.now

    def steps(self, sender: Role, data: bytes, now: float) -> Iterator[None]:
        for byte in data:
            self.loop.now += STEP
            self.told.append((sender, chr(byte), now))
            yield

    def end(self, sender: Role) -> None:
        self.told.append((sender, "end", None))

    def reset(self, sender: Role) -> None:
        self.told.append((sender, "reset", None))

    def missing(self, sender: Role, size: int) -> None:
        self.told.append((sender, f"{size} missing", None))


def _late(loop: _Loop, backlog: Backlog, less: Any = int) -> tuple[Any, list[Any]]:
    told: list[Any] = []
    return backlog.tap(cast("Any", _Tap(loop, told)), less), told


@pytest.fixture
def loop() -> _Loop:
    return _Loop()


def test_what_takes_little_time_is_told_at_once(loop: _Loop) -> None:
    late, told = _late(loop, Backlog(cast("Any", loop)))
    late.data(C, b"a")
    late.end(C)
    assert told == [(C, "a", 0.0), (C, "end", None)]
    assert not loop.later


@pytest.mark.rule("layers-turn-told")
def test_what_takes_more_is_told_in_shares_in_its_order_and_with_its_times(loop: _Loop) -> None:
    late, told = _late(loop, Backlog(cast("Any", loop)))
    late.data(C, b"x" * 20)
    assert len(told) == 8
    late.data(S, b"y")
    late.reset(S)
    assert len(told) == 8
    while loop.turn():
        pass
    assert [text for _, text, _ in told] == [*"x" * 20, "y", "reset"]
    assert told[0][2] == told[19][2] == 0.0
    assert told[20][2] == pytest.approx(SHARE)


@pytest.mark.rule("layers-turn-told")
def test_connections_take_turns(loop: _Loop) -> None:
    backlog = Backlog(cast("Any", loop))
    flooder, much = _late(loop, backlog)
    quiet, little = _late(loop, backlog)
    flooder.data(C, b"x" * 1000)
    quiet.data(C, b"a")
    loop.turn()
    assert (len(little), len(much) < 20) == (1, True)


@pytest.mark.rule("layers-turn-told")
def test_what_waits_is_counted_until_it_is_told(loop: _Loop) -> None:
    seen: list[int] = []
    late, told = _late(loop, Backlog(cast("Any", loop)), lambda: seen.append(late.waiting))
    late.data(C, b"x" * 20)
    late.data(C, b"y" * 5)
    assert (late.waiting, seen) == (25, [])
    while loop.turn():
        pass
    assert (late.waiting, seen, len(told)) == (0, [5, 0], 25)


def test_the_end_of_a_proxy_tells_what_can_be_told_in_time(loop: _Loop) -> None:
    backlog = Backlog(cast("Any", loop))
    late, told = _late(loop, backlog)
    late.data(C, b"x" * 1000)
    backlog.finish(100 * STEP)
    assert 100 < len(told) < 120
    backlog.finish(1000.0)
    loop.turn()
    assert len(told) < 120


def test_a_tap_gives_the_same_messages_in_steps() -> None:
    whole, single = [[], []]  # type: list[str], list[str]
    data = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
    heads = b"".join(data % number for number in range(300))
    for seen, in_steps in ((whole, False), (single, True)):
        recorder = Recorder(lambda _n, item, seen=seen: seen.append((item.offset, item.summary)))
        tap = recorder.tap(("127.0.0.1", 5000), ("127.0.0.1", 80))
        if in_steps:
            assert sum(1 for _ in tap.steps(C, heads, 0.0)) == 300
        else:
            for at in range(0, len(heads), 7):
                tap.data(C, heads[at : at + 7])
    assert whole == single
    assert len(whole) == 300


@pytest.mark.rule("layers-turn-told")
def test_what_comes_too_fast_to_a_server_is_told_to_be_missing(
    loop: _Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rawsio.tracing.backlog.HELD", 20)
    backlog, told = Backlog(cast("Any", loop)), list[Any]()
    hurried = backlog.hurried(cast("Any", _Tap(loop, told)))
    for _ in range(3):
        hurried.data(C, b"x" * 20)
    assert backlog.waiting == 40
    hurried.data(C, b"lost")
    hurried.data(S, b"lost")
    while loop.turn():
        pass
    assert backlog.waiting == 0
    hurried.data(C, b"again")
    hurried.end(S)
    while loop.turn():
        pass
    words = "".join(word for _, word, _ in told)
    assert words == "x" * 40 + "24 missing" + "again" + "4 missing" + "end"
    assert told[40] == (C, "24 missing", None)


@pytest.mark.rule("layers-turn-told")
def test_many_connections_together_hold_no_more_than_a_bound(loop: _Loop) -> None:
    backlog = Backlog(cast("Any", loop))
    for _ in range(100):
        hurried = backlog.hurried(cast("Any", _Tap(loop, [])))
        hurried.data(C, bytes(HELD))
    assert backlog.waiting <= 18 * HELD
