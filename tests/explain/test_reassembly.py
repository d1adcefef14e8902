"""TCP put together again: any order, any overlaps, any losses."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from rawsio.explain.reassembly import WAITING, Direction
from rawsio.explain.transport import FIN, SYN, Segment

STREAM = bytes(range(256)) * 4
A, B = ("a", 1), ("b", 2)


def segment(seq: int, data: bytes = b"", flags: int = 0) -> Segment:
    return Segment(A, B, seq % 2**32, 0, flags, 0, 0, data)


spans = st.lists(st.tuples(st.integers(0, 1023), st.integers(1, 200)), max_size=20)


@given(st.integers(0, 2**32 - 1), spans, st.randoms(use_true_random=False))
@example(2**32 - 500, [], __import__("random").Random(1))
def test_segments_in_any_order_with_overlaps_make_the_stream(
    start: int, more: list[tuple[int, int]], random: object
) -> None:
    pieces = [(at, 100) for at in range(0, 1024, 100)] + more
    random.shuffle(pieces)  # type: ignore[attr-defined]
    direction = Direction()
    got = direction.segment(segment(start - 1, flags=SYN))
    for at, size in pieces:
        got += direction.segment(segment(start + at, STREAM[at : at + size]))
    got += direction.segment(segment(start + 1024, flags=FIN))
    assert b"".join(p for p in got if isinstance(p, bytes)) == STREAM
    assert (direction.missing, direction.ended, direction.size) == (0, True, 1024)


@given(st.sets(st.integers(0, 9), max_size=9))
def test_what_was_never_captured_is_counted_and_the_rest_stands_in_its_place(
    lost: set[int],
) -> None:
    direction = Direction()
    direction.segment(segment(99, flags=SYN))
    got: list[bytes | int] = []
    for number in range(10):
        if number not in lost:
            got += direction.segment(segment(100 + number * 100, STREAM[number * 100 :][:100]))
    got += direction.acknowledged(1100)
    stream = b"".join(piece if isinstance(piece, bytes) else bytes(piece) for piece in got)
    assert len(stream) == 1000 == direction.size
    assert direction.missing == 100 * len(lost)
    for number in set(range(10)) - lost:
        at = number * 100
        assert stream[at : at + 100] == STREAM[at : at + 100]


def test_the_end_of_the_capture_gives_what_waited() -> None:
    direction = Direction()
    assert direction.segment(segment(10, b"a")) == [b"a"]
    assert direction.segment(segment(15, b"b")) == []
    assert direction.finish() == [4, b"b"]
    assert direction.oddities() == ["1 out of order", "4 bytes missing"]


def test_a_repeated_segment_is_counted_once_more_and_given_once() -> None:
    direction = Direction()
    assert direction.segment(segment(10, b"abc")) == [b"abc"]
    assert direction.segment(segment(10, b"abc")) == []
    assert direction.segment(segment(11, b"bcd")) == [b"d"]
    assert direction.oddities() == ["1 retransmitted", "1 overlapping"]


def test_what_waits_behind_a_hole_is_bounded() -> None:
    direction = Direction()
    direction.segment(segment(0, b"x"))
    held, got = 0, []
    while not got:
        got = direction.segment(segment(1000 + held, bytes(60_000)))
        held += 60_000
    assert held <= WAITING + 60_000
    assert got[0] == 999


def test_an_acknowledgement_of_the_end_is_no_missing_byte() -> None:
    direction = Direction()
    direction.segment(segment(0, b"x"))
    direction.segment(segment(1, flags=FIN))
    assert direction.acknowledged(2) == []
    assert direction.missing == 0
