"""Who is in which room: against lists of pairs, and in the reference's order of events."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rawsio.app.adapter import EVERYONE, Adapter, Targets

from .world import World

IDS = [f"id{n}" for n in range(6)]
ROOMS = ["red", "blue", "green", *IDS[:3]]
ids = st.sampled_from(IDS)
rooms = st.lists(st.sampled_from(ROOMS), max_size=4)


def make(*sids: str) -> Adapter:
    return Adapter(SimpleNamespace(sockets=dict.fromkeys(sids, True)))


class RoomsAreAListOfPairs(RuleBasedStateMachine):
    """The model: a list of (socket, room) pairs, and a list of connected sockets."""

    def __init__(self) -> None:
        super().__init__()
        self.connected: dict[str, bool] = {}
        self.adapter = Adapter(SimpleNamespace(sockets=self.connected))
        self.adapter.on_event = self.told
        self.pairs: list[tuple[str, str]] = []
        self.heard: list[tuple[str, str]] = []
        self.existing: set[str] = set()

    def told(self, kind: str, room: str, sid: str) -> None:
        if kind == "create-room":
            assert room not in self.existing
            self.existing.add(room)
        elif kind == "delete-room":
            self.existing.remove(room)
        elif kind == "join-room":
            assert room in self.existing
            self.heard.append((sid, room))
        else:
            assert room in self.existing
            self.heard.remove((sid, room))

    @rule(sid=ids)
    def connect(self, sid: str) -> None:
        if sid not in self.connected:
            self.connected[sid] = True
            self.adapter.connected(sid)
            self.pairs.append((sid, sid))

    @rule(sid=ids, rooms=rooms)
    def join(self, sid: str, rooms: list[str]) -> None:
        self.adapter.add_all(sid, rooms)
        for room in rooms:
            if room != sid and (sid, room) not in self.pairs:
                self.pairs.append((sid, room))

    @rule(sid=ids, room=st.sampled_from(ROOMS))
    def leave(self, sid: str, room: str) -> None:
        self.adapter.remove(sid, room)
        if room != sid and (sid, room) in self.pairs:
            self.pairs.remove((sid, room))

    @rule(sid=ids)
    def disconnect(self, sid: str) -> None:
        was = self.connected.pop(sid, False)
        self.adapter.remove_all(sid, was_connected=was)
        self.pairs = [pair for pair in self.pairs if pair[0] != sid]

    @rule(chosen=rooms, excluded=rooms)
    def select(self, chosen: list[str], excluded: list[str]) -> None:
        expected = {
            sid
            for sid in self.connected
            if (not chosen or any((sid, room) in self.pairs for room in chosen))
            and not any((sid, room) in self.pairs for room in excluded)
        }
        found = self.adapter.sockets(set(chosen), set(excluded))
        assert len(found) == len(set(found))
        assert set(found) == expected

    @invariant()
    def both_dictionaries_say_the_same_as_the_pairs(self) -> None:
        explicit = sorted(pair for pair in self.pairs if pair[0] != pair[1])
        by_room = [(sid, room) for room, sids in self.adapter.rooms.items() for sid in sids]
        by_sid = [(sid, room) for sid, rooms in self.adapter.sids.items() for room in rooms]
        assert sorted(by_room) == sorted(by_sid) == explicit
        assert all(self.adapter.rooms.values()), "an empty room was kept"
        assert all(self.adapter.sids.values()), "an empty set was kept"

    @invariant()
    def listeners_were_told_everything(self) -> None:
        assert sorted(self.heard) == sorted(self.pairs)
        assert self.existing == {room for _, room in self.pairs}

    @invariant()
    def a_socket_knows_its_rooms(self) -> None:
        for sid in IDS:
            expected = {room for member, room in self.pairs if member == sid}
            assert self.adapter.socket_rooms(sid) == expected


TestRooms = RoomsAreAListOfPairs.TestCase
TestRooms.settings = settings(stateful_step_count=25)


def test_events_of_rooms_come_in_the_order_of_the_reference() -> None:
    adapter = make("a", "b")
    told: list[tuple[str, str, str]] = []
    adapter.on_event = lambda *event: told.append(event)
    adapter.add_all("a", ["red"])
    adapter.add_all("b", ["red"])
    adapter.remove("a", "red")
    adapter.remove_all("b", was_connected=False)
    assert told == [
        ("create-room", "red", "a"),
        ("join-room", "red", "a"),
        ("join-room", "red", "b"),
        ("leave-room", "red", "a"),
        ("leave-room", "red", "b"),
        ("delete-room", "red", "b"),
    ]


def test_the_room_of_a_sockets_own_id_is_stored_nowhere() -> None:
    adapter = make("a", "b")
    adapter.add_all("a", ["a"])
    assert not adapter.rooms
    assert not adapter.sids
    assert adapter.sockets({"a"}) == ["a"]
    adapter.remove("a", "a")
    assert adapter.sockets({"a"}) == ["a"]


def test_one_may_join_the_room_of_another() -> None:
    adapter = make("a", "b")
    adapter.add_all("b", ["a"])
    assert sorted(adapter.sockets({"a"})) == ["a", "b"]
    assert adapter.sockets({"a"}, {"a"}) == []
    assert sorted(adapter.sockets({"a"}, {"b"})) == ["a"]


def test_who_is_not_connected_is_not_selected() -> None:
    adapter = make("a")
    adapter.add_all("a", ["red"])
    adapter.add_all("judged", ["red"])
    assert adapter.sockets({"red"}) == ["a"]
    assert adapter.sockets({"judged"}) == []
    assert adapter.sockets({"red", "judged"}) == ["a"]


def test_targets_are_equal_by_value() -> None:
    assert Targets() == EVERYONE
    assert Targets(volatile=True) != EVERYONE


def test_the_adapter_of_one_server_answers_for_a_cluster_of_one() -> None:
    world = World()
    adapter = world.io.adapter
    assert adapter.server_count() == 1
    reply = world.io.server_side_emit("news", 1)
    assert reply.result() == []
    assert world.lines[-1][0] == "socketio"
    assert adapter.persist_session(None) is None
    found: list[object] = []
    adapter.restore_session("secret", None, found.append)
    adapter.keep_session(None)
    assert found == [None]
    assert list(adapter.missed(None)) == []


def test_an_adapter_of_your_own_is_begun_and_ended() -> None:
    life: list[str] = []

    class Mine(Adapter):
        def init(self) -> None:
            life.append(f"init {self.namespace.name}")

        def close(self) -> None:
            life.append(f"close {self.namespace.name}")

    world = World(make_adapter=Mine)
    world.namespaces.of("/chat")
    assert not life  # nothing runs yet
    world.namespaces.start(world)
    world.namespaces.of("/later")
    world.namespaces.stop(0.0)
    names = ("/", "/chat", "/later")
    assert life == [f"{what} {name}" for what in ("init", "close") for name in names]


@pytest.mark.parametrize("count", [0, 1, 100])
def test_an_idle_socket_costs_the_adapter_nothing(count: int) -> None:
    world = World()
    for _ in range(count):
        world.client()
    assert not world.io.adapter.rooms
    assert not world.io.adapter.sids


class Lanes:
    """A lane of a server whose lanes hold so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.outbox: list[bytes] = []
        self.stream = self
        self.handed_out: list[tuple[int, bytes, bool]] = []

    def holds(self, size: int) -> bool:
        return size <= self.room

    def takes(self, prepared: Any) -> bool:
        return self.holds(len(prepared.frame))

    def touch(self, _streams: list[Any]) -> None:
        """Nothing is sent here."""

    def hand_out(self, lanes: list[Any], frame: bytes, *, now: bool) -> None:
        self.handed_out.append((len(lanes), frame, now))


class Listener:
    """A socket, as an adapter sees it; notes what it is told."""

    def __init__(self, lane: Lanes | None = None) -> None:
        self._lane = lane
        self.told: list[Any] = []

    def _deliver(self, packet: Any) -> None:
        self.told.append(packet.frame)

    def _deliver_volatile(self, packet: Any) -> None:
        self.told.append(("volatile", packet.frame))


class Several(list[Any]):
    """Two packets that came together."""

    frame = b"onetwo"


def joined() -> Several:
    return Several([SimpleNamespace(frame=b"one"), SimpleNamespace(frame=b"two")])


def test_packets_that_came_together_are_one_piece_for_a_lane_and_several_for_others() -> None:
    lane = Lanes(10)
    with_lane, without = Listener(lane), Listener()
    make().send_joined([with_lane, without, with_lane], joined(), EVERYONE, last=True)
    assert (lane.handed_out, with_lane.told) == ([(2, b"onetwo", True)], [])
    assert without.told == [b"one", b"two"]
    make().send_joined([with_lane], joined(), EVERYONE, last=False)
    assert lane.handed_out[1:] == [(1, b"onetwo", False)]
    make().send_joined([without], joined(), EVERYONE, last=True)
    assert without.told == [b"one", b"two"] * 2


def test_packets_that_lanes_have_no_room_for_together_go_as_they_went_alone() -> None:
    lane = Lanes(5)
    with_lane, without = Listener(lane), Listener()
    make().send_joined([with_lane, without], joined(), EVERYONE, last=True)
    assert (lane.outbox, without.told) == ([b"one", b"two"], [b"one", b"two"])
    nobody = Listener(Lanes(2))
    make().send_joined([nobody], joined(), EVERYONE, last=True)
    assert nobody.told == [b"one", b"two"]


def test_volatile_packets_that_came_together_are_volatile_for_each_client() -> None:
    with_lane, without = Listener(Lanes(10)), Listener()
    make().send_joined([with_lane, without], joined(), Targets(volatile=True), last=True)
    assert with_lane.told == without.told == [("volatile", b"one"), ("volatile", b"two")]
