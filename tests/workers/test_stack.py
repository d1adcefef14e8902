"""The layers of a connection in a worker: requests of others are noticed before HTTP reads them."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rawsio.http.messages import EndOfMessage, Request, answer
from rawsio.limits import DEFAULT
from rawsio.workers.owner import ANYBODY, prefix_of
from rawsio.workers.stack import WorkerStack


class Owners:
    """Worker 1, or whoever it is told to be."""

    def __init__(self, *, retiring: bool = False) -> None:
        self.retiring = retiring
        self.given: list[tuple[int, bytes]] = []

    def takes(self, number: int) -> bool:
        return number == 1 or (number == ANYBODY and not self.retiring)

    def hand_over(self, _stack: WorkerStack, number: int, first: bytes) -> None:
        self.given.append((number, first))


class Stream:
    """What carries the bytes."""

    buffered_amount = 0

    def __getattr__(self, _name: str) -> Any:
        return lambda *_args: None


def request(number: int | None, body: bytes = b"") -> bytes:
    sid = "" if number is None else f"&sid={prefix_of(number)}xyz"
    line = f"POST /socket.io/?EIO=4{sid} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return line.encode() + body


def made(owners: Owners) -> WorkerStack:
    stack = WorkerStack(DEFAULT, owners)
    stack.connect(Stream())
    stack.tick(0.0)
    return stack


def cut(wire: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(wire), *(c % (len(wire) + 1) for c in cuts)})
    return [wire[a:b] for a, b in itertools.pairwise(places)]


def feed(stack: WorkerStack, pieces: list[bytes]) -> list[str]:
    """Feed pieces, answer each request when it is whole, and return the targets."""
    targets = []
    for piece in pieces:
        for event in stack.receive(piece):
            if isinstance(event, Request):
                targets.append(event.target)
                stack.request = event
            elif isinstance(event, EndOfMessage):
                stack.respond(answer(200), b"")
    return targets


@given(
    numbers=st.lists(st.sampled_from([1, None]), max_size=3),
    foreign=st.sampled_from([0, 2, 70]),
    cuts=st.lists(st.integers(0, 400), max_size=8),
    body=st.binary(max_size=50),
)
def test_a_request_of_another_worker_goes_there_whole_however_it_was_cut(
    numbers: list[int | None], foreign: int, cuts: list[int], body: bytes
) -> None:
    owners = Owners()
    stack = made(owners)
    for number in numbers:
        assert len(feed(stack, cut(request(number, body), cuts))) == 1
        stack.data_to_send()
    assert stack.idle
    theirs = request(foreign, body)
    pieces = cut(theirs, cuts)
    while pieces and not owners.given:
        assert feed(stack, [pieces.pop(0)]) == []
    ((number, first),) = owners.given
    assert (number, first + b"".join(pieces)) == (foreign, theirs)


def test_requests_that_were_sent_ahead_are_served_here() -> None:
    owners = Owners()
    stack = made(owners)
    stack.receive(request(1) + request(2))
    assert owners.given == []


def test_what_was_settled_is_served_whosever_it_is_and_only_that() -> None:
    owners = Owners()
    stack = made(owners)
    stack.take_over(b"", settled=True)
    assert len(feed(stack, [request(7)])) == 1
    stack.data_to_send()
    assert feed(stack, [request(7)]) == []
    assert [number for number, _first in owners.given] == [7]


def test_what_was_read_already_comes_first() -> None:
    owners = Owners()
    stack = made(owners)
    wire = request(7, b"body")
    stack.take_over(wire[:-2], settled=True)
    assert stack.incoming == len(wire) - 2
    assert stack.deadline == 0.0
    events = stack.tick(1.0) + stack.receive(wire[-2:])
    assert isinstance(events[0], Request)
    assert isinstance(events[-1], EndOfMessage)
    assert owners.given == []


def test_what_was_settled_and_is_nobodys_goes_on_to_who_stays() -> None:
    owners = Owners(retiring=True)
    stack = made(owners)
    stack.take_over(b"", settled=True)
    assert feed(stack, [b"GET / HTT", b"P/1.1\r\n\r\n"]) == []
    other = made(owners)
    other.take_over(b"GET /a HTTP/1.1\r\n", settled=True)
    assert other.tick(1.0) == []
    assert owners.given == [(-1, b"GET / HTTP/1.1\r\n\r\n"), (-1, b"GET /a HTTP/1.1\r\n")]


def test_what_was_settled_may_come_in_pieces() -> None:
    owners = Owners()
    stack = made(owners)
    stack.take_over(b"", settled=True)
    assert len(feed(stack, cut(request(7), [5, 20, 60]))) == 1
    assert owners.given == []


def test_a_worker_that_is_replaced_gives_away_what_is_new_and_what_is_idle() -> None:
    owners = Owners(retiring=True)
    stack = made(owners)
    assert len(feed(stack, [request(1)])) == 1
    stack.data_to_send()
    stack.receive(b"GET /")
    assert stack.incoming == 5
    stack.close()
    assert feed(stack, [b" HTTP/1.1\r\n\r\n"]) == []
    assert owners.given == [(-1, b"GET /"), (-1, b"GET / HTTP/1.1\r\n\r\n")]


def test_a_request_that_ends_too_soon_is_refused_as_everywhere() -> None:
    stack = made(Owners())
    stack.receive(b"GET /socket.io/?sid=")
    events = stack.receive_eof()
    assert type(events[-1]).__name__ in ("Failed", "EndOfInput")
    assert not stack.idle
