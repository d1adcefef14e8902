"""Connection state recovery: nothing is lost, nothing is repeated, sessions are used once.

Every test is about a log in memory, and about one in a file.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from rawsio.app.recovery import Recovery
from rawsio.errors import Refused
from rawsio.limits import Limits
from rawsio.socketio.packets import Connect, Event

from .recovery_contract import Browser
from .world import Client, World, quick_folder

_FOLDER: list[str] = []
_NUMBERS = count()
_WORLDS: list[World] = []


@pytest.fixture(params=["memory", "file"], autouse=True)
def _where(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "file":
        _FOLDER.append(quick_folder())
    yield
    if _FOLDER:
        for world in _WORLDS:
            world.crash()
        shutil.rmtree(_FOLDER[0])
    _FOLDER.clear()
    _WORLDS.clear()


def recovery(**options: Any) -> Recovery:
    path = f"{_FOLDER[0]}/{next(_NUMBERS)}.db" if _FOLDER else None
    return Recovery(path=path, **options)


def make_world(**options: Any) -> World:
    _WORLDS.append(World(recovery=recovery(), **options))
    return _WORLDS[-1]


def world_with(limits: Limits | None = None, **options: Any) -> World:
    _WORLDS.append(World(recovery=recovery(**options), limits=limits))
    return _WORLDS[-1]


def test_a_client_that_was_cut_off_goes_on_where_it_was() -> None:
    world = world_with()
    connections: list[bool] = []
    world.io.on("connection", lambda socket: connections.append(socket.recovered))
    browser = Browser(world)
    browser.socket.join("room")
    browser.socket.data["name"] = "x"
    world.io.emit("e", 1)
    browser.read()
    sid = browser.sid
    browser.client.cut()
    world.io.emit("e", 2)
    world.io.to("room").emit("e", 3)
    world.io.to("other room").emit("e", "not for it")
    world.io.except_("room").emit("e", "not for it")
    world.io.to(sid).emit("e", 4, b"attachment")
    browser.connect()
    assert browser.recovered
    assert browser.sid == sid
    assert browser.seen == [1, 2, 3, 4]
    assert browser.socket.rooms == {sid, "room"}
    assert browser.socket.data == {"name": "x"}
    assert connections == [False, True]
    world.io.to("room").emit("e", 5)
    browser.read()
    assert browser.seen == [1, 2, 3, 4, 5]


def test_what_was_sent_to_a_room_counts_by_who_was_in_it_then() -> None:
    world = world_with()
    browser = Browser(world)
    room = world.io.to("room")
    room.emit("e", "too early")
    browser.socket.join("room")
    room.emit("e", 1)
    browser.socket.leave("room")
    room.emit("e", "too late")
    world.io.except_("room").emit("e", 2)
    browser.socket.join("room")
    room.emit("e", 3)
    browser.client.cut()
    room.emit("e", 4)
    browser.connect()
    assert browser.seen == [1, 2, 3, 4]


def test_what_was_missed_comes_before_the_answer() -> None:
    world = world_with()
    browser = Browser(world)
    browser.client.cut()
    world.io.emit("e", 1)
    client = world.client("/", {"pid": browser.pid})
    assert [type(packet) for packet in client.take()] == [Event, Connect]


def test_no_first_event_is_needed() -> None:
    world = world_with()
    world.io.emit("e", "before it came")
    browser = Browser(world)
    browser.client.cut()
    world.io.emit("e", 1)
    browser.connect()
    assert browser.recovered
    assert browser.seen == [1]


def test_a_volatile_events_last_text_does_not_spoil_the_offset() -> None:
    world = world_with()
    browser = Browser(world)
    world.io.volatile.emit("e", "zero", "a text")
    world.io.emit("e", 1, "a text")
    world.io.volatile.emit("e", 2, "a text")
    browser.socket.volatile.emit("e", 3, "a text")
    browser.read()
    browser.client.cut()
    world.io.emit("e", 4)
    world.io.volatile.emit("e", "lost, as it was volatile")
    browser.connect()
    assert browser.recovered
    assert browser.seen == ["zero", 1, 2, 3, 4]


def test_events_that_ask_for_an_answer_carry_no_offset_and_are_not_kept() -> None:
    world = world_with()
    browser = Browser(world)
    browser.socket.emit_with_ack("q", 1)
    assert browser.client.take()[0].args == ["q", 1]
    browser.client.cut()
    world.io.emit_with_ack("q", 2)
    browser.connect()
    assert browser.seen == []


def test_what_one_socket_is_sent_is_kept_for_it_alone() -> None:
    world = world_with()
    one, two = Browser(world), Browser(world)
    for browser in (one, two):
        browser.socket.compress(False).emit("e", browser.sid)
    one.client.cut()
    two.client.cut()
    one.connect()
    two.connect()
    assert one.seen == [one.sid]
    assert two.seen == [two.sid]
    events = [made.event for made in world.prepared if isinstance(made.event, Event)]
    assert events[-1].args[0] == "e"


@pytest.mark.parametrize(
    ("reason", "recovers"),
    [
        ("transport close", True),
        ("transport error", True),
        ("ping timeout", True),
        ("forced close", True),
        ("server shutting down", True),
        ("forced server close", True),
        ("parse error", False),
        ("server namespace disconnect", False),
        ("client namespace disconnect", False),
    ],
)
def test_only_a_lost_connection_can_be_recovered(reason: str, recovers: bool) -> None:
    world = world_with()
    browser = Browser(world)
    browser.client.cut(reason)
    browser.connect()
    assert browser.recovered is recovers


def test_a_session_is_restored_once() -> None:
    world = world_with()
    browser = Browser(world)
    browser.client.cut()
    pid = browser.pid
    browser.connect()
    browser.client.cut("client namespace disconnect")
    assert browser.recovered
    client = world.client("/", {"pid": pid})
    assert client.take()[0].data["pid"] != pid


def test_a_connection_that_only_seems_alive_is_ended_and_taken_over() -> None:
    world = world_with()
    ended: list[Any] = []
    world.io.on("disconnect", lambda socket, reason: ended.append(reason))
    browser = Browser(world)
    browser.socket.join("room")
    old = browser.client
    world.io.emit("e", 1)
    browser.connect()
    assert browser.recovered
    assert browser.seen == [1]
    assert old.closed == "transport close"
    assert ended == ["transport close"]
    assert len(world.io.sockets) == 1
    assert browser.socket.rooms == {browser.sid, "room"}


def test_two_sockets_never_have_one_id_even_if_the_old_one_is_busy() -> None:
    world = make_world(policy="deferred")
    world.io.on("slow", lambda socket: None)
    first = world.client()
    pid = first.take()[0].data["pid"]
    first.emit("slow")
    second = world.client("/", {"pid": pid})
    assert second.take()[0].data["pid"] != pid
    assert second.socket().id != first.protocol
    while world.started:
        world.finish()
    assert len(world.io.sockets) == 1
    third = world.client("/", {"pid": pid})
    assert third.take()[0].data["pid"] == pid


def test_who_leaves_and_comes_back_while_a_handler_runs_keeps_its_connection() -> None:
    world = make_world(policy="deferred")
    world.io.on("slow", lambda socket: None)
    client = world.client()
    pid = client.take()[0].data["pid"]
    client.emit("slow")
    client.leave()
    client.send(Connect("/", {"pid": pid}))
    assert client.closed is None
    assert client.take()[0].data["pid"] != pid
    while world.started:
        world.finish()
    client.cut()
    assert not world.io.sockets
    assert not world.io.adapter.sids


def test_a_client_that_is_cut_off_by_its_own_recovery_leaves_nothing_behind() -> None:
    world = world_with()
    clients: list[Client] = []
    world.io.on("disconnect", lambda socket: [client.cut() for client in clients])
    pid = world.client().take()[0].data["pid"]
    clients.append(Client(world))
    clients[0].send(Connect("/", {"pid": pid}))
    assert not world.io.sockets
    assert not world.io.adapter.sids
    assert world.io._opening == 0


def test_what_was_missed_is_found_in_a_time_that_does_not_grow_with_joining_and_leaving() -> None:
    world = world_with()
    browser = Browser(world)
    socket, room = browser.socket, world.io.to("room")
    for number in range(2000):
        socket.join("room")
        room.emit("e", number)
        socket.leave("room")
        room.emit("e", "too late")
    seen: list[int] = []

    class Membership(list[int]):
        """One that notes when it is looked at."""

        def __getitem__(self, index: Any) -> Any:
            seen.append(1)
            return super().__getitem__(index)

        def __iter__(self) -> Any:
            seen.append(1)
            return super().__iter__()

    stays = world.io.adapter.log.stays[browser.sid]["room"]
    assert len(stays) == 2000
    stays[:] = [Membership(stay) for stay in stays]
    browser.client.cut()
    browser.connect()
    assert browser.seen == list(range(2000))
    assert len(seen) < 4000 * 20


def test_stays_that_no_packet_of_the_log_lies_in_are_forgotten() -> None:
    world = make_world(limits=Limits(recovery_packets=4))
    browser = Browser(world)
    for _ in range(10):
        browser.socket.join("room")
        world.io.to("room").emit("e")
        browser.socket.leave("room")
        browser.socket.join("room")
        browser.socket.leave("room")
    assert len(world.io.adapter.log.stays[browser.sid]["room"]) == 4
    for _ in range(4):
        world.io.emit("e")
    browser.socket.join("room")
    browser.socket.leave("room")
    assert world.io.adapter.log.stays[browser.sid] == {}


@pytest.mark.parametrize(
    "auth",
    [
        {"pid": "unknown"},
        {"pid": "unknown", "offset": "x"},
        {"pid": 5},
        {"pid": None},
        {"pid": ["x"]},
        {"pid": {}, "offset": {}},
        {},
    ],
)
def test_a_secret_that_is_none_makes_a_new_session(auth: Any) -> None:
    world = world_with()
    client = world.client("/", auth)
    assert set(client.take()[0].data) == {"sid", "pid", "offset"}
    assert not client.socket().recovered


def test_an_offset_leads_to_the_position_behind_its_packet() -> None:
    adapter: Any = world_with().io.adapter
    for number in (*range(1300), 36**3, 2**53):
        assert adapter.log.positions.position(adapter.log.positions.offset(number)) == number + 1


@pytest.mark.parametrize(
    "offset",
    [
        "",
        "x",
        "{}.",
        "{}.-1",
        "{}. 1",
        "{}.\u0661",
        "{}." + "0" * 100,
        "{}.A",
        "00000000.1",
    ],
)
def test_an_offset_that_is_not_ours_makes_a_new_session(offset: str) -> None:
    world = world_with()
    browser = Browser(world)
    world.io.emit("e", 1)
    browser.read()
    assert browser.offset is not None
    browser.client.cut()
    browser.offset = offset.format(browser.offset.partition(".")[0])
    browser.connect()
    assert not browser.recovered


def test_an_offset_that_was_not_given_yet_is_one_that_a_crash_has_undone_or_none() -> None:
    world = world_with()
    browser = Browser(world)
    browser.client.cut()
    browser.offset = world.io.adapter.log.positions.offset(world.io.adapter.log.end + 36)
    world.io.emit("e", 1)
    browser.connect()
    assert browser.recovered is bool(_FOLDER)
    assert browser.seen == []
    world.io.emit("e", 2)
    browser.read()
    assert browser.seen == [2]


def test_an_offset_of_a_type_that_is_none_makes_a_new_session() -> None:
    world = world_with()
    browser = Browser(world)
    browser.client.cut()
    assert not world.client("/", {"pid": browser.pid, "offset": 1}).socket().recovered


def test_a_session_is_kept_for_a_time() -> None:
    for seconds, recovers in ((119, True), (121, False)):
        world = world_with()
        browser = Browser(world)
        browser.client.cut()
        world.pass_time(seconds)
        browser.connect()
        assert browser.recovered is recovers


def test_the_log_and_the_sessions_are_bounded() -> None:
    limits = Limits(recovery_packets=5, recovery_bytes=10_000, recovery_sessions=3)
    world = make_world(limits=limits)
    browsers = [Browser(world) for _ in range(5)]
    for browser in browsers:
        browser.client.cut()
    adapter: Any = world.io.adapter
    assert len(adapter.log.lost) == 3
    for number in range(5):
        world.io.emit("e", number)
    browsers[4].connect()
    assert browsers[4].seen == [0, 1, 2, 3, 4]
    world.io.emit("e", 5)
    browsers[3].connect()
    assert not browsers[3].recovered, "what it missed is not all there"
    world.io.emit("e", "x" * 9_970)
    assert len(adapter.log.packets) == 1
    world.pass_time(200)
    world.io.emit("e", 1)
    assert len(adapter.log.packets) == 1
    world.pass_time(200)
    world.io.emit("e", 2)
    assert [kept.prepared.event.args[1] for kept in adapter.log.packets] == [2]
    assert not adapter.log.lost
    assert adapter.log._bytes == sum(kept.size for kept in adapter.log.packets)


def test_middleware_is_skipped_unless_you_say_otherwise() -> None:
    for skip in (True, False):
        world = world_with(skip_middlewares=skip)
        asked: list[Any] = []
        world.io.use(asked.append)
        browser = Browser(world)
        browser.client.cut()
        browser.connect()
        assert browser.recovered
        assert len(asked) == (1 if skip else 2)


def test_a_client_that_middleware_refuses_gets_nothing_of_what_it_missed() -> None:
    world = world_with(skip_middlewares=False)
    refuse = False

    @world.io.use
    def check(socket: Any) -> None:
        if refuse:
            raise Refused("no")

    browser = Browser(world)
    browser.socket.join("room")
    browser.client.cut()
    world.io.emit("e", "secret")
    refuse = True
    client = world.client("/", {"pid": browser.pid})
    assert [type(p).__name__ for p in client.take()] == ["ConnectError"]
    assert not world.io.adapter.rooms


def test_what_middleware_emits_is_neither_lost_nor_repeated() -> None:
    world = world_with(skip_middlewares=False)
    world.io.use(lambda socket: socket.emit("e", "hello"))
    browser = Browser(world)
    assert browser.seen == ["hello"]
    browser.client.cut()
    world.io.emit("e", 1)
    browser.connect()
    assert browser.recovered
    assert browser.seen == ["hello", 1, "hello"]
    browser.client.cut()
    browser.connect()
    assert browser.seen == ["hello", 1, "hello", "hello"]


def test_what_is_forgotten_while_middleware_is_asked_makes_a_new_session() -> None:
    world = world_with(limits=Limits(recovery_packets=3), skip_middlewares=False)
    nsp = world.namespaces.of("/")
    browser = Browser(world)
    nsp.in_(browser.sid).sockets_join("red")
    nsp.emit("x", 0)
    browser.read()
    browser.client.cut()

    @nsp.use
    def think(_socket: Any) -> None:
        for n in range(1, 9):
            nsp.emit("x", n)

    browser.connect()
    nsp.emit("x", 9)
    browser.read()
    assert (browser.recovered, browser.seen) == (False, [0, 9])
    (socket,) = nsp.sockets.values()
    assert (socket.recovered, set(socket.rooms), socket.data) == (False, {socket.id}, {})


def test_from_another_thread_offsets_follow_the_order_of_delivery() -> None:
    world = world_with()
    browser = Browser(world)
    world.owned = False
    browser.socket.emit("e", 1)
    world.owned = True
    world.io.emit("e", 2)
    world.run_calls()
    browser.read()
    assert browser.seen == [2, 1]
    browser.client.cut()
    browser.connect()
    assert browser.seen == [2, 1]


def test_from_another_thread_arguments_are_those_of_the_moment_of_the_emit() -> None:
    world = world_with()
    browser = Browser(world)
    world.owned = False
    changing: Any = {"a": [1]}
    picture = bytearray(b"old")
    browser.socket.emit("e", changing, picture)
    world.io.emit("e", changing)
    changing["a"].append(2)
    picture[:] = b"new"
    world.owned = True
    world.run_calls()
    events = browser.client.events()
    assert [args[1] for args in events] == [{"a": [1]}] * 2
    assert events[0][2] == b"old"


def test_an_emit_to_a_socket_that_has_ended_is_kept_nowhere() -> None:
    world = world_with()
    browser = Browser(world)
    socket = browser.socket
    browser.client.writable = False
    socket.volatile.emit("e", 0)
    browser.client.cut("client namespace disconnect")
    socket.emit("e", 1)
    adapter: Any = world.io.adapter
    assert not adapter.log.packets


def small_shares() -> Limits:
    return Limits(turn_frames=4, turn_bytes=1000)


def cut_with(world: World, missed: int) -> Browser:
    """Return a browser that was cut off before so many events."""
    browser = Browser(world)
    browser.client.cut()
    for number in range(missed):
        world.io.emit("e", number)
    return browser


def come_back(world: World, browser: Browser) -> Client:
    return world.client("/", {"pid": browser.pid, "offset": browser.offset})


def heard(client: Client) -> list[Any]:
    return [p.args[1] if isinstance(p, Event) else type(p) for p in client.take()]


@pytest.mark.rule("layers-turn-replay")
def test_what_was_missed_is_sent_a_share_in_each_turn() -> None:
    world = world_with(small_shares())
    client = come_back(world, cut_with(world, 10))
    assert heard(client) == [0, 1, 2, 3]
    world.pass_time(0.0)
    assert heard(client) == [4, 5, 6, 7, 8, 9, Connect]


@pytest.mark.rule("layers-turn-replay")
def test_a_share_of_what_was_missed_ends_with_its_bytes_too() -> None:
    world = world_with(small_shares())
    browser = Browser(world)
    browser.client.cut()
    for number in range(3):
        world.io.emit("e", number, "x" * 600)
    client = come_back(world, browser)
    assert world.timers() > 0
    world.pass_time(0.0)
    assert heard(client) == [0, 1, 2, Connect]


@pytest.mark.rule("layers-turn-replay")
def test_what_is_sent_while_others_have_their_turn_follows() -> None:
    world = world_with(small_shares())
    browser = cut_with(world, 6)
    client = come_back(world, browser)
    world.io.emit("e", "meanwhile")
    world.io.to(browser.sid).emit("e", "for it alone")
    world.io.except_(browser.sid).emit("e", "not for it")
    world.pass_time(0.0)
    world.io.emit("e", "after")
    assert heard(client) == [*range(6), "meanwhile", "for it alone", Connect, "after"]


@pytest.mark.rule("layers-turn-replay")
def test_a_connection_that_breaks_between_two_shares_leaves_the_session_to_the_next() -> None:
    world = world_with(small_shares())
    browser = cut_with(world, 10)
    client = come_back(world, browser)
    client.cut()
    world.pass_time(0.0)
    assert (len(world.io.sockets), world.io._opening) == (0, 0)
    again = come_back(world, browser)
    world.pass_time(0.0)
    assert heard(again) == [*range(10), Connect]
    assert again.socket().recovered


def test_a_connection_that_is_replaced_between_two_shares_is_ended() -> None:
    world = world_with(small_shares())
    browser = cut_with(world, 10)
    first = come_back(world, browser)
    second = come_back(world, browser)
    assert first.closed == "transport close"
    world.pass_time(0.0)
    assert heard(second) == [*range(10), Connect]
    assert second.socket().recovered
    assert len(world.io.sockets) == 1


def test_what_is_forgotten_between_two_shares_makes_a_new_session() -> None:
    world = world_with(small_shares().but(recovery_packets=8))
    browser = cut_with(world, 8)
    client = come_back(world, browser)
    for number in range(20):
        world.io.emit("e", number)
    world.pass_time(0.0)
    packets = client.take()
    assert isinstance(packets[-1], Connect)
    assert packets[-1].data["pid"] != browser.pid
    assert not client.socket().recovered


def test_a_client_that_leaves_between_two_shares_is_not_let_in() -> None:
    world = world_with(small_shares())
    client = come_back(world, cut_with(world, 10))
    client.leave()
    world.pass_time(0.0)
    assert Connect not in heard(client)
    assert (len(world.io.sockets), world.io._opening) == (0, 0)


def test_who_is_cut_off_while_middleware_is_asked_does_not_lose_its_session() -> None:
    _WORLDS.append(World(recovery=recovery(skip_middlewares=False), policy="deferred"))
    world = _WORLDS[-1]
    world.io.use(lambda socket: None)
    first = world.client()
    world.finish()
    (answer,) = first.take()
    first.cut()
    world.io.emit("e", 1)
    second = world.client("/", {"pid": answer.data["pid"]})
    second.cut()
    third = world.client("/", {"pid": answer.data["pid"]})
    while world.started:
        world.finish()
    assert heard(third) == [1, Connect]
    assert third.socket().recovered
