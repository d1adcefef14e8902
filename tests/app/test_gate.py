"""Packets wait for what they tell of to be written, in their order, and not for ever."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from rawsio.app.gate import Gate, GatedRoute, HeldRoute
from rawsio.errors import LocalProtocolError
from rawsio.limits import Limits
from rawsio.prepared import prepare
from rawsio.socketio.packets import Connect, ConnectError, Event

from .world import Client, World


class Gated:
    """Two clients in the namespace of a world, behind a gate."""

    def __init__(self, **limits: Any) -> None:
        self.world = World(limits=Limits(**limits))
        self.gate = Gate()
        self.gate.attach(self.world)
        self.clients = [self.client(), self.client()]

    def client(self) -> Client:
        client = Client(self.world)
        client.peer.route = self.gate.route(client.peer, client.peer.route)
        client.send(Connect("/"))
        client.take()
        return client


@pytest.mark.rule("durable-recovery-output-committed")
def test_what_is_sent_after_something_was_noted_waits_for_its_transaction() -> None:
    gated = Gated()
    one, two = gated.clients
    gated.world.io.on("ask", lambda socket: "answer")
    gated.gate.note()
    one.socket().emit("e", 1)
    one.emit("ask", ack=5)
    two.socket().emit("e", 2)
    assert one.take() == two.take() == []
    first = gated.gate.submit()
    gated.gate.note()
    one.socket().emit("e", 3)
    gated.gate.pass_until(first)
    assert [packet.args for packet in one.take()] == [["e", 1], ["answer"]]
    assert two.events() == [["e", 2]]
    two.socket().emit("e", 4)
    assert two.take() == []
    gated.gate.pass_until(gated.gate.submit())
    assert one.events() == [["e", 3]]
    assert two.events() == [["e", 4]]
    assert not gated.gate.shut
    assert gated.world.timers() == 0


def test_what_depends_on_nothing_that_is_unwritten_does_not_wait() -> None:
    gated = Gated()
    one, _two = gated.clients
    gated.gate.note()
    number = gated.gate.submit()
    gated.gate.pass_until(number)
    one.socket().emit("e", 1)
    assert one.events() == [["e", 1]]


def test_what_sending_leads_to_comes_behind_what_waits() -> None:
    gated = Gated()
    one, _two = gated.clients
    socket = one.socket()
    gated.gate.note()
    socket.emit("e", 1)
    socket.emit("e", 2)
    route: Any = one.peer.route
    inner = route.inner

    class Answering:
        """A route that leads to another packet when the first is sent."""

        def transmit(self, prepared: Any) -> None:
            if prepared.event.args == ["e", 1]:
                socket.emit("e", 3)
            inner.transmit(prepared)

    route.inner = Answering()
    gated.gate.pass_until(gated.gate.submit())
    assert [args[1] for args in one.events()] == [1, 2, 3]


def test_a_mistake_is_raised_where_it_is_made_though_the_packet_waits() -> None:
    gated = Gated()
    one, _two = gated.clients
    gated.gate.note()
    with pytest.raises(LocalProtocolError):
        one.peer.route.send(ConnectError("/", {"message": object()}))
    with pytest.raises(LocalProtocolError):
        one.peer.route.acknowledge("/", [object()], 1)


def test_who_has_left_meanwhile_gets_nothing_and_nobody_hears_of_it() -> None:
    gated = Gated()
    one, two = gated.clients
    gated.gate.note()
    one.socket().emit("e", 1)
    two.socket().emit("e", 1)
    one.leave()
    two.cut()
    gated.gate.pass_until(gated.gate.submit())
    assert one.take() == []
    assert gated.world.lines == []


def test_who_is_disconnected_gets_all_that_was_sent_before() -> None:
    gated = Gated()
    one, two = gated.clients
    gated.gate.note()
    one.socket().emit("e", 1)
    one.socket().disconnect(close=True)
    assert [type(packet).__name__ for packet in one.take()] == ["Event", "Disconnect"]
    two.socket().emit("e", 2)
    two.socket().disconnect()
    gated.gate.pass_until(gated.gate.submit())
    assert [type(packet).__name__ for packet in two.take()] == ["Event", "Disconnect"]


def test_an_answer_to_a_connect_that_was_withdrawn_is_not_sent() -> None:
    gated = Gated()
    client = Client(gated.world)
    client.peer.route = gated.gate.route(client.peer, client.peer.route)
    gated.gate.note()
    client.send(Connect("/"))
    client.leave()
    gated.gate.pass_until(gated.gate.submit())
    assert not any(isinstance(packet, Event) for packet in client.take())
    assert [line for line in gated.world.lines if line[1] > 10] == []


def test_a_session_whose_transport_changes_keeps_what_waits() -> None:
    gated = Gated()
    one, _two = gated.clients
    gated.gate.note()
    one.socket().emit("e", 1)
    before = one.peer.route
    again = gated.gate.route(one.peer, one.route(one.peer))
    assert isinstance(again, GatedRoute)
    assert again is before
    gated.gate.pass_until(gated.gate.submit())
    assert one.events() == [["e", 1]]


@pytest.mark.rule("durable-recovery-output-late")
def test_a_disk_that_does_not_answer_holds_nobody_for_long_and_the_log_says_so() -> None:
    gated = Gated(recovery_wait=0.5)
    one, _two = gated.clients
    gated.gate.note()
    number = gated.gate.submit()
    one.socket().emit("e", 1)
    gated.world.pass_time(0.4)
    assert one.take() == []
    gated.world.pass_time(0.2)
    gated.gate.note()
    one.socket().emit("e", 2)
    assert one.events() == [["e", 1], ["e", 2]], "nobody waits any more"
    assert [line for *_, line in gated.world.lines if "not answered in time" in line]
    gated.gate.pass_until(number)
    one.socket().emit("e", 3)
    assert one.take() == [], "it answers again, and something is unwritten"
    gated.gate.pass_until(gated.gate.submit())
    assert one.events() == [["e", 3]]


def test_when_nothing_will_be_written_everything_goes_out() -> None:
    gated = Gated()
    one, _two = gated.clients
    gated.gate.note()
    one.peer.route.transmit(prepare(Event("/", ["e", 1])))
    gated.gate.open()
    assert one.events() == [["e", 1]]
    assert gated.world.timers() == 0
    gated.gate.note()
    one.socket().emit("e", 2)
    assert one.take() == []


def test_a_session_that_is_held_waits_alone_and_until_all_has_happened() -> None:
    world = World()
    clients = [Client(world), Client(world)]
    for client in clients:
        client.send(Connect("/"))
        client.take()
    one, two = clients
    plain = one.peer.route
    held = HeldRoute.of(one.peer)
    assert HeldRoute.of(one.peer) is held
    one.socket().emit("e", 1)
    two.socket().emit("e", 2)
    held.open()
    one.socket().emit("e", 3)
    assert (one.events(), two.events()) == ([], [["e", 2]])
    held.open()
    assert one.events() == [["e", 1], ["e", 3]]
    assert one.peer.route is plain


def test_a_session_that_is_held_and_changes_its_way_still_waits_at_the_gate() -> None:
    gated = Gated()
    one, _two = gated.clients
    gate = one.peer.route
    held = HeldRoute.of(one.peer)
    gated.gate.note()
    one.socket().emit("e", 1)
    gated.world.keeping = SimpleNamespace(gate=gated.gate)
    one.peer.reroute()
    assert (one.peer.route, held.inner) == (held, gate)
    held.open()
    assert one.events() == []
    gated.gate.pass_until(gated.gate.submit())
    assert one.events() == [["e", 1]]


def test_a_session_that_is_held_sends_all_before_it_ends() -> None:
    world = World()
    client = Client(world)
    client.send(Connect("/"))
    client.take()
    held = HeldRoute.of(client.peer)
    client.socket().emit("e", 1)
    client.peer.ended("forced close")
    assert client.events() == [["e", 1]]
    held.open()
    assert client.peer.route is not held
