"""Answers to many clients, given together: nobody can tell that no layer was asked."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio import Limits, Server
from rawsio.queue import Published
from rawsio.testing import TestKit
from tests.bench.counts import SECRETS, UPGRADE, NobodyLooks, frame

SPACE = "/queue"
SAID = [
    '42/queue,%d["publish","jobs",1,{}]',
    '42/queue,%d["publish","jobs",{"a":[true]}]',
    '42/queue,%d["publish","jobs",2,{"priority":1}]',
    '42/queue,%d["publish","jobs"]',
    '42/queue,%d["stats-of-nobody"]',
    "41/queue,",
    '42/queue,["publish","jobs","unanswered"]',
]
TURN = st.lists(st.tuples(st.integers(0, 3), st.integers(0, len(SAID) - 1)), max_size=8)


def heard(turns: list[list[tuple[int, int]]], limits: Limits, *, traced: bool) -> list[bytes]:
    """Return what each client hears, some of whom say several things in a turn."""
    io = Server(limits=limits, trace=NobodyLooks() if traced else None)
    jobs = io.queue("jobs", namespace=SPACE)
    noticed: list[Any] = []
    io.of(SPACE).on("connection", noticed.append)
    with TestKit(io) as kit:
        wires = [kit.dial() for _ in range(4)]
        for wire in wires:
            wire.send(UPGRADE % (b"a" * 22))
            kit.run()
            wire.send(frame(b"40/queue,"))
            kit.run()
        # The last one has a listener, and its packets go through the layers.
        noticed[3].on_any_outgoing(lambda *_: None)
        for number, turn in enumerate(turns):
            for at, (who, what) in enumerate(turn):
                text = SAID[what]
                text = text % (number * 10 + at) if "%" in text else text
                wires[who].send(frame(text.encode()))
            own = jobs.publish("from Python")
            kit.run()
            assert own.result().__class__ is Published
        return [SECRETS.sub(b"", wire.recv(1 << 20)) for wire in wires]


@given(st.lists(TURN, max_size=4), st.sampled_from([Limits(), Limits(high_water=400)]))
@example([[(0, 0), (1, 1), (0, 6), (0, 0)], [(0, 5), (0, 0), (3, 0)]], Limits())
@example([[(n % 4, 0) for n in range(8)]], Limits(high_water=400))
def test_clients_hear_the_same_whether_they_are_answered_together(
    turns: list[list[tuple[int, int]]], limits: Limits
) -> None:
    assert heard(turns, limits, traced=False) == heard(turns, limits, traced=True)


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_many_clients_are_answered_by_one_commit(transport: str) -> None:
    io = Server()
    io.queue("jobs", namespace=SPACE)
    with TestKit(io) as kit:
        sockets = [kit.connect(SPACE, transports=[transport]) for _ in range(30)]
        replies = [socket.emit_with_ack("publish", "jobs", {}) for socket in sockets]
        kit.run()
        assert sorted(reply.result()[1]["id"] for reply in replies) == [*range(1, 31)]


def test_no_layer_is_asked_for_an_answer_that_is_given_with_others() -> None:
    import sys

    io = Server()
    io.queue("jobs", namespace=SPACE)
    entered: list[str] = []
    with TestKit(io) as kit:
        sockets = [kit.connect(SPACE, transports=["websocket"]) for _ in range(3)]
        for socket in sockets:
            socket.emit_with_ack("publish", "jobs", {})
        before = sys.getprofile()
        sys.setprofile(lambda code, *_: entered.append(code.f_code.co_name))
        try:
            kit.run()
        finally:
            sys.setprofile(before)
    assert "acknowledge_all" in entered
    assert "acknowledge" not in entered
