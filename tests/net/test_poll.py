"""What is ready: the same answers from epoll and from every selector."""

from __future__ import annotations

import select
import selectors
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rawsio.net.loop import Loop
from rawsio.net.poll import MOST, READABLE, WRITABLE, Epoll, Poll, Selected, best


def selected(kind: Any) -> Callable[[], Poll]:
    return lambda: Selected(kind())


KINDS: dict[str, Callable[[], Poll]] = {
    name: selected(getattr(selectors, name))
    for name in ("SelectSelector", "PollSelector", "EpollSelector", "KqueueSelector")
    if hasattr(selectors, name)
}
if hasattr(select, "epoll"):
    KINDS["Epoll"] = Epoll


@pytest.fixture(params=KINDS)
def poll(request: Any) -> Iterator[Poll]:
    made = KINDS[request.param]()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair()
    yield here, there
    here.close()
    there.close()


Pair = tuple[socket.socket, socket.socket]


def test_the_best_here_is_epoll_where_there_is_one() -> None:
    poll = best()
    assert isinstance(poll, Epoll) == hasattr(select, "epoll")
    poll.close()


def test_a_descriptor_is_ready_for_what_it_is_watched_for(poll: Poll, pair: Pair) -> None:
    here, there = pair
    fd = here.fileno()
    poll.register(fd, READABLE)
    assert poll.ready(0.0) == []
    there.send(b"x")
    assert poll.ready(0.0) == [(fd, READABLE)]
    poll.modify(fd, READABLE | WRITABLE)
    assert poll.ready(0.0) == [(fd, READABLE | WRITABLE)]
    poll.modify(fd, WRITABLE)
    assert poll.ready(0.0) == [(fd, WRITABLE)]
    poll.unregister(fd)
    assert poll.ready(0.0) == []
    poll.unregister(fd)


def test_the_end_of_the_other_side_makes_readable(poll: Poll, pair: Pair) -> None:
    here, there = pair
    poll.register(here.fileno(), READABLE)
    there.close()
    [(fd, mask)] = poll.ready(0.0)
    assert fd == here.fileno()
    assert mask & READABLE


def test_a_mask_is_set_again_for_a_new_descriptor_by_the_same_number(poll: Poll) -> None:
    here, there = socket.socketpair()
    fd = here.fileno()
    poll.register(fd, READABLE)
    here.close()
    again, other = socket.socketpair()
    assert fd in (again.fileno(), other.fileno())
    for sock in (again, other):
        sock.send(b"x")
    try:
        poll.modify(fd, READABLE)
    except FileNotFoundError:
        poll.register(fd, READABLE)
    assert poll.ready(0.0) == [(fd, READABLE)]
    poll.unregister(fd)
    for sock in (there, again, other):
        sock.close()


@pytest.mark.skipif(not hasattr(select, "epoll"), reason="there is no epoll")
@pytest.mark.rule("layers-loop-bounded")
def test_a_turn_is_given_a_bounded_number_and_all_have_theirs() -> None:
    """Descriptors of one ready pipe: the kernel goes round, so nobody is passed over."""
    import os

    source, sink = os.pipe()
    os.write(sink, b"x")
    copies = [os.dup(source) for _ in range(MOST + 100)]
    loop, seen = Loop(), []
    for fd in copies:
        loop.add_reader(fd, seen.append, fd)
    loop.step(0)
    assert len(seen) == MOST
    loop.step(0)
    assert set(seen) == set(copies)
    for fd in copies:
        loop.remove_reader(fd)
    for fd in (*copies, source, sink):
        os.close(fd)
    loop.close()


def test_a_late_event_of_a_closed_descriptor_does_not_reach_the_next_of_its_number() -> None:
    """Both are ready in one turn; the first closes the second, whose number goes to a third."""
    loop, told = Loop(), []
    first, other = socket.socketpair()
    second, another = socket.socketpair()
    third: list[socket.socket] = []
    number = second.fileno()

    def one(sock: socket.socket, victim: socket.socket) -> None:
        if third:
            return
        gone = victim.fileno()
        loop.remove_reader(victim)
        victim.close()
        new = socket.socketpair()
        third.extend(new)
        assert gone in (new[0].fileno(), new[1].fileno())
        loop.add_writer(gone, lambda: told.append("writable"))
        loop.add_reader(gone, lambda: told.append("readable"))

    loop.add_reader(first, one, first, second)
    loop.add_reader(second, one, second, first)
    other.send(b"x")
    another.send(b"x")
    loop.step(0)
    assert number
    assert told == []
    loop.step(0)
    assert told == ["writable"]
    loop.close()
    for sock in (first, second, other, another, *third):
        sock.close()
