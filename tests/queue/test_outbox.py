"""What waits for the store: in its order, in runs where it can be, and not too much at a time."""

from __future__ import annotations

from typing import Any

from rawsio.queue.operations import Bodies, Sweep
from rawsio.queue.outbox import Outbox

SWEEP = Sweep("jobs", 0, 9)


def filled(outbox: Outbox, *bodies: bytes, published: int = 7) -> Outbox:
    for body in bodies:
        outbox.add_bodies("jobs", published, [body.decode()], [body])
    return outbox


def sent(outbox: Outbox) -> list[Any]:
    """Return what is sent: bodies and tickets of a run, else the operation and its ticket."""
    return [
        (op.bodies, ticket) if isinstance(op, Bodies) else (op, ticket)
        for op, ticket in outbox.sent
    ]


def test_bodies_that_follow_each_other_are_one_run() -> None:
    outbox = filled(Outbox(2000), b"1", b"2")
    outbox.add_bodies("jobs", 7, ["3", "4"], [b"3", b"4"])
    assert outbox.waiting == 4
    assert outbox.begin()
    assert sent(outbox) == [([b"1", b"2", b"3", b"4"], ["1", "2", "3", "4"])]
    assert (outbox.waiting, outbox.away) == (0, 4)


def test_another_operation_or_another_time_ends_a_run() -> None:
    outbox = filled(Outbox(2000), b"1")
    outbox.add(SWEEP, "sweep")
    filled(outbox, b"2", b"3")
    filled(outbox, b"4", published=8)
    assert outbox.waiting == 5
    assert outbox.begin()
    one, four = (([b"1"], ["1"]), ([b"4"], ["4"]))
    assert sent(outbox) == [one, (SWEEP, "sweep"), ([b"2", b"3"], ["2", "3"]), four]


def test_a_run_that_is_with_the_store_grows_no_more() -> None:
    outbox = filled(Outbox(2000), b"1")
    outbox.begin()
    filled(outbox, b"2")
    assert sent(outbox) == [([b"1"], ["1"])]
    assert (outbox.waiting, outbox.away) == (1, 1)
    assert [op for op, _ in outbox.settle()] == [Bodies("jobs", 7, [b"1"])]
    assert outbox.away == 0
    outbox.begin()
    assert sent(outbox) == [([b"2"], ["2"])]


def test_a_run_is_as_long_as_a_statement_at_most() -> None:
    outbox = Outbox(2000)
    bodies = [b"%d" % n for n in range(600)]
    outbox.add_bodies("jobs", 7, [*range(600)], bodies)
    filled(outbox, b"x")
    assert outbox.waiting == 601
    outbox.begin()
    assert [len(given) for given, _ in sent(outbox)] == [256, 256, 89]
    assert [body for given, _ in sent(outbox) for body in given] == [*bodies, b"x"]
    assert [one for _, given in sent(outbox) for one in given] == [*range(600), "x"]


def test_the_store_gets_so_many_requests_at_a_time() -> None:
    outbox = Outbox(4)
    outbox.add(SWEEP, None)
    outbox.add_bodies("jobs", 7, [*range(9)], [b"%d" % n for n in range(9)])
    taken = []
    while outbox.waiting:
        whole = outbox.begin()
        assert whole == (not outbox.waiting)
        assert outbox.away <= 4
        taken += sent(outbox)
        outbox.settle()
    assert [given for given, _ in taken] == [
        SWEEP,
        [b"0", b"1", b"2", b"3"],
        [b"4", b"5", b"6", b"7"],
        [b"8"],
    ]


def test_what_the_queue_itself_asks_for_stands_where_it_should() -> None:
    outbox = filled(Outbox(2000), b"1")
    outbox.begin()
    outbox.send("last")
    outbox.send("first", 0)
    assert [op for op, _ in outbox.sent] == ["first", Bodies("jobs", 7, [b"1"]), "last"]
    assert outbox.away == 3


def test_what_is_tried_again_comes_before_all_others() -> None:
    outbox = filled(Outbox(2000), b"1")
    outbox.put_back([("again", "ticket")])
    filled(outbox, b"2")
    assert outbox.waiting == 3
    outbox.begin()
    assert sent(outbox) == [("again", "ticket"), ([b"1", b"2"], ["1", "2"])]


def test_what_is_taken_back_does_not_wait() -> None:
    outbox = filled(Outbox(2000), b"1")
    outbox.add(SWEEP, None)
    assert [op for op, _ in outbox.clear()] == [Bodies("jobs", 7, [b"1"]), SWEEP]
    assert outbox.waiting == 0
    filled(outbox, b"2")
    outbox.begin()
    assert sent(outbox) == [([b"2"], ["2"])]
