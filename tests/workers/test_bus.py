"""What workers say to each other: two or three of them in one process, over real socket pairs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from rawsio.app.adapter import Targets
from rawsio.cluster.messages import AllRooms, Broadcast, Fetch
from rawsio.errors import LocalProtocolError
from rawsio.limits import Limits
from rawsio.net.descriptors import stream_pair
from rawsio.net.loop import Loop
from rawsio.workers.bus import WorkersBus, WorkersLink, name_of
from tests.net.kit import closed_after, turn_until

LIMITS = Limits(worker_queue=100_000, worker_message=10_000_000)


class Host:
    """What a bus needs of a server."""

    limits = LIMITS

    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, _channel: str, _level: int, message: str) -> None:
        self.lines.append(message)


class Namespace:
    def __init__(self, name: str) -> None:
        self.name = name
        self.host = Host()


class Member:
    """One worker, with a bus of one namespace."""

    def __init__(self, loop: Loop, number: int, name: str = "/") -> None:
        self.link = WorkersLink(number, LIMITS)
        self.link.start(loop)
        self.namespace: Any = Namespace(name)
        self.bus = WorkersBus(self.link, self.namespace)
        self.heard: list[Any] = []
        self.left: list[str] = []
        self.bus.node_left = self.left.append
        self.bus.start(self.heard.append)

    def say(self, *args: Any, to: str = "") -> None:
        self.bus.publish(Broadcast(self.link.name, list(args), Targets()), to)


def join(one: Member, other: Member) -> None:
    here, there = stream_pair()
    one.link.join(int(other.link.name[7:]), here)
    other.link.join(int(one.link.name[7:]), there)


loop = closed_after(Loop)


@pytest.fixture
def members(loop: Loop) -> Iterator[list[Member]]:
    made = [Member(loop, number) for number in range(3)]
    join(made[0], made[1])
    join(made[0], made[2])
    join(made[1], made[2])
    yield made
    for member in made:
        member.link.stop()


def test_all_others_hear_what_one_says_and_one_what_is_for_it(
    loop: Loop, members: list[Member]
) -> None:
    one, other, third = members
    one.say("a", b"\x00", {"n": 1.5})
    one.say("b", to=name_of(2))
    turn_until(loop, lambda: len(third.heard) == 2)
    first = Broadcast("worker-0", ["a", b"\x00", {"n": 1.5}], Targets())
    assert other.heard == [first]
    assert third.heard == [first, Broadcast("worker-0", ["b"], Targets())]
    assert one.heard == []
    counted: list[Any] = []
    one.bus.count(counted.append)
    assert (counted, one.bus.nodes()) == ([3], ["worker-1", "worker-2"])
    assert one.link.stats()["servers"] == 3
    one.say("c", to="worker-9")
    loop.step(0)
    assert one.link.stats()["dropped"] == 0


def test_a_namespace_hears_what_is_said_in_it(loop: Loop, members: list[Member]) -> None:
    one, other, _third = members
    bus = WorkersBus(other.link, Namespace("/ä"))  # type: ignore[arg-type]  # what it asks for
    heard: list[Any] = []
    bus.start(heard.append)
    theirs = WorkersBus(one.link, Namespace("/ä"))  # type: ignore[arg-type]
    theirs.publish(Fetch("worker-0", "1", Targets()))
    turn_until(loop, lambda: heard)
    assert other.heard == []
    bus.stop()
    theirs.publish(Fetch("worker-0", "2", Targets()))
    one.say("last")
    turn_until(loop, lambda: other.heard)
    assert len(heard) == 1


def test_a_worker_that_is_gone_is_told_to_all(loop: Loop, members: list[Member]) -> None:
    one, other, third = members
    other.link.stop()
    turn_until(loop, lambda: one.left and third.left)
    assert one.left == third.left == ["worker-1"]
    assert one.bus.nodes() == ["worker-2"]


def test_one_that_hangs_misses_messages_and_holds_up_nobody(
    loop: Loop, members: list[Member], caplog: pytest.LogCaptureFixture
) -> None:
    one, other, third = members
    for peer in other.link.peers.values():
        peer.pause()
    with caplog.at_level(logging.WARNING):
        for n in range(20):
            one.say(n, "x" * 50_000)
            turn_until(loop, lambda n=n: len(third.heard) == n + 1)
    dropped = one.link.stats()["dropped"]
    assert dropped > 5
    assert "worker-1 takes nothing" in caplog.text
    for peer in other.link.peers.values():
        peer.resume()
    turn_until(loop, lambda: len(other.heard) == 20 - dropped)


def test_what_is_no_message_is_dropped_and_the_next_one_heard(
    loop: Loop, members: list[Member]
) -> None:
    one, other, _third = members
    for payload in (b"", b"\xc1", b'{"type":99,"nsp":"/"}', b"[]", b'{"nsp":"/x"}'):
        one.link.publish(b"/", payload, "worker-1")
    one.link.publish(b"", b"", "worker-1")
    one.say("good")
    turn_until(loop, lambda: other.heard)
    assert len(other.heard) == 1
    assert len(other.namespace.host.lines) == 4


def test_what_has_no_form_is_refused_where_it_is_said(members: list[Member]) -> None:
    with pytest.raises(LocalProtocolError, match="AllRooms has no form"):
        members[0].bus.publish(AllRooms("worker-0", "1"))
    with pytest.raises(LocalProtocolError, match=r"Limits\.worker_message"):
        members[0].say("x" * 11_000_000)
