"""A bad network, on a clock that the tests move."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.tracing.badness import (
    STALL_WITHIN,
    Badness,
    Fate,
    Line,
    parse_chance,
    parse_delay,
    parse_seconds,
    parse_size,
)


def drained(line: Line) -> list[tuple[float, bytes | None]]:
    out: list[tuple[float, bytes | None]] = []
    while line.deadline is not None:
        now = line.deadline
        out += [(now, piece) for piece in line.take(now)]
    return out


@given(
    st.floats(0, 1), st.floats(0, 1), st.sampled_from([0, 1, 7, 1000]),
    st.sampled_from([0.0, 100.0, 64_000.0]),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=50)), max_size=8),
)  # fmt: skip
def test_bytes_come_out_in_order_and_none_is_lost(
    delay: float, jitter: float, split: int, rate: float, puts: list[tuple[float, bytes]]
) -> None:
    badness = Badness((delay, 0), (jitter, 0), (rate, 0), (split, 0))
    line, now = Line(badness, 0, Random(1)), 0.0
    for wait, data in puts:
        now += wait
        line.put(now, data)
    line.put(now, None)
    assert line.held == sum(len(data) for _, data in puts)
    out = drained(line)
    assert b"".join(piece for _, piece in out if piece) == b"".join(data for _, data in puts)
    assert [piece for _, piece in out].count(None) == 1
    assert out[-1][1] is None
    assert [at for at, _ in out] == sorted(at for at, _ in out)
    assert all(len(piece) <= split for _, piece in out if piece and split)
    assert line.held == 0


def test_a_delay_is_kept_and_varies_by_the_jitter_only() -> None:
    for number in range(50):
        line = Line(Badness((0.0, 0.2), (0.0, 0.05)), 1, Random(number))
        line.put(10.0, b"x")
        assert 10.15 <= (line.deadline or 0) <= 10.25
        assert line.take(10.1) == []


def test_a_rate_takes_its_time() -> None:
    line = Line(Badness(rate=(1000.0, 0)), 0, Random(1))
    line.put(0.0, bytes(3000))
    assert drained(line)[-1][0] == pytest.approx(3.0)
    other = Line(Badness(rate=(1000.0, 0)), 1, Random(1))
    other.put(0.0, bytes(3000))
    assert other.deadline == 0.0


def test_a_seed_gives_the_same_again() -> None:
    fates = [[(f.reset, f.stall_at) for f in (Fate(Badness(reset=0.5, stall=1.0), random)
              for _ in range(20))] for random in (Random(7), Random(7), Random(8))]  # fmt: skip
    assert fates[0] == fates[1] != fates[2]
    assert {reset for reset, _ in fates[0]} == {True, False}


def test_a_cut_lets_exactly_so_many_bytes_pass() -> None:
    fate = Fate(Badness(cut=10), Random(1))
    assert [fate.admit(6), fate.cut, fate.admit(6), fate.cut] == [6, False, 4, True]
    free = Fate(Badness(), Random(1))
    assert (free.admit(10**9), free.cut, free.stalls) == (10**9, False, False)


def test_a_stall_comes_once_within_the_first_bytes() -> None:
    fate = Fate(Badness(stall=5.0), Random(3))
    found = []
    for _ in range(STALL_WITHIN + 10):
        fate.admit(1)
        found.append(fate.stalls)
    assert found.count(True) == 1


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_seconds, "fast"), (parse_seconds, "-1s"), (parse_size, "k"),
        (parse_size, "-5"), (parse_chance, "200%"), (parse_chance, "often"), (parse_delay, "x±1"),
    ],
)  # fmt: skip
def test_what_is_no_measure_is_refused_with_an_example(parse: object, text: str) -> None:
    with pytest.raises(ValueError, match="looks like"):
        parse(text)  # type: ignore[operator]
