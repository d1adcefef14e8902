"""The file of recovery: what is in it, what it may hold, what is said when it cannot be used."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rawsio.app.recovery import Recovery
from rawsio.limits import Limits
from rawsio.queue.operations import StoreError, Write
from rawsio.queue.recovery_file import RecoveryFile
from rawsio.queue.recovery_journal import VERSION
from tests.app.recovery_contract import Browser
from tests.app.world import World, quick_folder


class Place:
    """A path, and the worlds that have it one after another."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.world: World | None = None
        self.now = 1000.0

    def open(self, seconds: float = 0.0, **options: Any) -> World:
        """Begin a server on the file, after the end of the one before, however it was."""
        if self.world is not None:
            self.now = self.world.now
            if self.world.keeping._file is not None:
                self.world.crash()
        recovery = Recovery(path=self.path, **options.pop("recovery", {}))
        self.world = World(recovery=recovery, now=self.now + seconds, **options)
        if options.get("begin", True):
            self.world.turn()
        return self.world

    def close(self) -> None:
        """Close the server as one that ends well."""
        assert self.world is not None
        for socket in list(self.world.io.sockets.values()):
            socket._peer.ended("server shutting down")
        self.world.keeping.stop(0.0)
        self.world.turn()

    def rows(self, table: str, columns: str = "*") -> list[Any]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(f"SELECT {columns} FROM rawsio_{table}").fetchall()
        finally:
            connection.close()


@pytest.fixture
def place() -> Iterator[Place]:
    folder = quick_folder()
    made = Place(f"{folder}/app.db")
    yield made
    if made.world is not None and made.world.keeping._file is not None:
        made.world.crash()
    shutil.rmtree(folder)


def lines(world: World, word: str) -> list[str]:
    return [line for _, _, line in world.lines if word in line]


def back(browser: Browser, world: World) -> None:
    """Let a browser come back to another server."""
    browser.world = world
    browser.client.closed = "transport close"
    browser.connect()


@pytest.mark.rule("durable-recovery-restart-all")
def test_clients_come_back_after_a_crash_to_rooms_data_and_what_they_missed(place: Place) -> None:
    world = place.open()
    browser, other = Browser(world), Browser(world)
    browser.socket.join("room", "left")
    browser.socket.leave("left")
    world.io.on("set", lambda socket, name: socket.data.update(name=name))
    browser.client.emit("set", "x")
    other.client.cut()
    world.io.to("room").emit("e", 1, b"bytes")
    world.io.to("left").emit("e", "not for it")
    browser.read()
    world.io.to("room").except_("nobody").emit("e", 2)
    world.turn()
    again = place.open(seconds=1)
    again.io.to("room").emit("e", 3)
    back(browser, again)
    assert browser.recovered
    assert browser.seen == [1, 2, 3]
    assert browser.socket.rooms == {browser.sid, "room"}
    assert browser.socket.data == {"name": "x"}
    back(other, again)
    assert other.recovered
    assert other.seen == []


def test_what_was_not_committed_was_seen_by_nobody(place: Place) -> None:
    world = place.open()
    one, two = Browser(world), Browser(world)
    world.io.on("ask", lambda socket: "answer")
    world.io.emit("e", 1)
    one.client.emit("ask", ack=1)
    assert one.client.inbox == two.client.inbox == []
    again = place.open()
    back(one, again)
    back(two, again)
    assert one.recovered
    assert two.recovered
    assert one.seen == two.seen == []


def test_the_secret_of_a_client_is_not_in_the_file(place: Place) -> None:
    world = place.open()
    browser = Browser(world)
    world.turn()
    content = b"".join(Path(p).read_bytes() for p in (place.path, place.path + "-wal"))
    assert browser.sid.encode() in content
    assert str(browser.pid).encode() not in content


@pytest.mark.parametrize(("seconds", "recovers"), [(100, True), (140, False)])
def test_a_client_that_was_connected_when_the_process_ended_is_lost_since_then(
    place: Place, seconds: float, recovers: bool
) -> None:
    world = place.open()
    browser = Browser(world)
    world.pass_time(1000)
    world.turn()
    again = place.open(seconds=seconds)
    back(browser, again)
    assert browser.recovered is recovers
    assert len(place.rows("session")) == 1, "its own"


def test_a_second_crash_does_not_make_a_lost_client_any_younger(place: Place) -> None:
    browser = Browser(place.open())
    place.open(seconds=60)
    again = place.open(seconds=80)
    back(browser, again)
    assert not browser.recovered


def test_after_an_orderly_end_clients_come_back_too(place: Place) -> None:
    world = place.open()
    browser = Browser(world)
    world.io.emit("e", 1)
    place.close()
    again = place.open(seconds=100)
    back(browser, again)
    assert browser.recovered
    assert browser.seen == [1]


def test_a_server_without_sessions_writes_nothing_and_has_no_timer(place: Place) -> None:
    world = place.open()
    assert world.timers() == 0
    browser = Browser(world)
    for _ in range(10):
        world.pass_time(20)
        world.turn()
    (noted,) = [value for name, value in place.rows("meta") if name == "recovery_seen"]
    assert noted == pytest.approx(world.now * 1000, abs=20_000)
    browser.client.cut("client namespace disconnect")
    world.pass_time(1000)
    world.turn()
    assert world.timers() == 0
    assert place.rows("session") == place.rows("stay") == []


def test_what_the_server_emits_before_it_begins_reaches_those_who_come_back(place: Place) -> None:
    browser = Browser(place.open())
    world = place.open(begin=False)
    world.io.emit("e", "we are back")
    world.begin()
    back(browser, world)
    assert browser.recovered
    assert browser.seen == ["we are back"]


@pytest.mark.rule("durable-recovery-data-json")
def test_data_without_a_form_is_named_once_and_the_rest_is_kept(place: Place) -> None:
    world = place.open()
    browser = Browser(world)

    @world.io.on("set")
    def set_data(socket: Any, number: int) -> None:
        socket.data["n"] = number
        socket.data["connection"] = object()

    for number in range(3):
        browser.client.emit("set", number)
    world.turn()
    assert len(lines(world, "socket.data['connection'] in '/' is not kept")) == 1
    again = place.open()
    back(browser, again)
    assert browser.socket.data == {"n": 2}


def test_data_that_is_too_much_is_not_kept_and_named(place: Place) -> None:
    world = place.open(limits=Limits(recovery_data=100))
    browser = Browser(world)
    world.io.on("set", lambda socket, size: socket.data.update(text="x" * size))
    browser.client.emit("set", 10)
    browser.client.emit("set", 1000)
    world.turn()
    assert len(lines(world, "more than 100 bytes")) == 1
    again = place.open()
    back(browser, again)
    assert browser.recovered
    assert browser.socket.data == {}


def test_data_that_a_handler_leaves_as_it_was_is_not_written_again(place: Place) -> None:
    world = place.open()
    browser = Browser(world)
    world.io.on("look", lambda socket: len(socket.data))
    world.io.on("set", lambda socket: socket.data.update(a=1))
    browser.client.emit("set")
    world.turn()
    assert not world.keeping._file.waiting
    browser.client.emit("look")
    browser.client.emit("set")
    assert not world.keeping._file.waiting


def test_data_of_a_connection_handler_and_of_middleware_is_kept(place: Place) -> None:
    world = place.open()
    world.io.use(lambda socket: socket.data.update(a=1))
    world.io.on("connection", lambda socket: socket.data.update(b=2))
    browser = Browser(world)
    world.turn()
    again = place.open()
    back(browser, again)
    assert browser.socket.data == {"a": 1, "b": 2}


@pytest.mark.rule("durable-recovery-file-bounds")
def test_the_file_is_bounded_in_packets_sessions_and_stays(place: Place) -> None:
    limits = Limits(recovery_packets=5, recovery_sessions=3)
    world = place.open(limits=limits)
    browsers = [Browser(world) for _ in range(6)]
    for browser in browsers[1:]:
        browser.client.cut()
    for number in range(50):
        browsers[0].socket.join("room")
        world.io.to("room").emit("e", number)
        browsers[0].socket.leave("room")
    world.turn()
    assert len(place.rows("packet")) == 5
    assert len(place.rows("session")) == 4
    assert len(place.rows("stay")) == 5
    again = place.open(limits=limits)
    back(browsers[1], again)
    assert not browsers[1].recovered, "it was the oldest of too many"
    again.pass_time(300)
    again.turn()
    assert place.rows("packet") == []
    assert len(place.rows("session")) == 1, "the one that is here"


def test_a_client_that_missed_more_than_is_kept_begins_anew_after_a_restart_too(
    place: Place,
) -> None:
    limits = Limits(recovery_packets=5)
    world = place.open(limits=limits)
    browser = Browser(world)
    for number in range(6):
        world.io.emit("e", number)
    world.turn()
    again = place.open(limits=limits)
    back(browser, again)
    assert not browser.recovered


def test_two_namespaces_have_logs_of_their_own_in_one_file(place: Place) -> None:
    world = place.open()
    world.namespaces.of("/b")
    one = Browser(world)
    client = world.client("/b", {})
    pid = client.take()[0].data["pid"]
    world.namespaces.of("/b").emit("e", "b")
    world.io.emit("e", "a")
    world.turn()
    again = place.open()
    again.namespaces.of("/b")
    back(one, again)
    assert one.seen == ["a"]
    other = again.client("/b", {"pid": pid})
    assert [packet.args[1] for packet in other.take()[:1]] == ["b"]
    assert sorted(name for (name,) in place.rows("space", "name")) == ["/", "/b"]


def test_a_namespace_that_is_forgotten_leaves_nothing_in_the_file(place: Place) -> None:
    world = place.open(cleanup_empty=True)
    world.namespaces.of(re.compile("/room-[0-9]+"))
    client = world.client("/room-1", {})
    client.take()
    client.socket("/room-1").namespace.emit("e", 1)
    world.turn()
    assert len(place.rows("packet")) == 1
    client.leave("/room-1")
    world.turn()
    assert place.rows("packet") == place.rows("session") == []
    assert [name for (name,) in place.rows("space", "name")] == ["/"]


# Bad input


def test_a_newer_schema_is_refused_and_left_alone(place: Place) -> None:
    place.open()
    assert place.world is not None
    place.close()
    connection = sqlite3.connect(place.path)
    connection.execute("UPDATE rawsio_meta SET value = ? WHERE name = 'recovery'", (VERSION + 1,))
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match=r"newer rawsio.*recovery of version 2"):
        place.open()
    place.world = None
    assert ("recovery", VERSION + 1) in place.rows("meta")


def test_a_folder_and_what_is_no_database_are_refused(place: Place, tmp_path: Path) -> None:
    Path(place.path).write_bytes(b"Dear diary, " * 100)
    with pytest.raises(StoreError, match="no SQLite database"):
        place.open()
    with pytest.raises(StoreError, match="is a folder"):
        World(recovery=Recovery(path=tmp_path))


def test_a_packet_that_cannot_be_read_keeps_nobody_from_coming_back_who_has_seen_it(
    place: Place,
) -> None:
    world = place.open()
    behind, ahead = Browser(world), Browser(world)
    world.io.emit("e", 1)
    ahead.read()
    world.io.emit("e", 2)
    world.turn()
    world.crash()
    connection = sqlite3.connect(place.path)
    connection.execute(
        "UPDATE rawsio_packet SET body = x'7b7b' WHERE id = (SELECT min(id) FROM rawsio_packet)"
    )
    connection.execute("UPDATE rawsio_session SET data = x'00ff'")
    connection.commit()
    connection.close()
    again = World(recovery=Recovery(path=place.path), now=1001.0)
    place.world = again
    assert lines(again, "a packet of '/' cannot be read")
    assert lines(again, "the data of a socket cannot be read")
    back(behind, again)
    assert not behind.recovered, "what it missed is not all there"
    back(ahead, again)
    assert ahead.recovered
    assert ahead.seen == [1, 2]


class Failing:
    """A store that fails when it is told."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.error: StoreError | None = None
        self.deletes = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def apply(self, operations: list[Any]) -> list[Any]:
        deleting = all(isinstance(op, Write) and op.sql[:6] == "DELETE" for op in operations)
        if self.error is not None and not (deleting and self.deletes):
            raise self.error
        return list(self._store.apply(operations))


def failing(world: World) -> Failing:
    keeper = world.keeping._keeper
    keeper.store = Failing(keeper.store)
    return keeper.store


@pytest.mark.rule("durable-recovery-file-degraded")
def test_a_file_that_cannot_be_written_is_left_empty_and_clients_come_back_from_memory(
    place: Place,
) -> None:
    world = place.open()
    browser, other = Browser(world), Browser(world)
    world.io.emit("e", 1)
    world.turn()
    store = failing(world)
    store.error = StoreError("no room left on the disk", full=True)
    world.io.emit("e", 2)
    browser.read()
    assert browser.seen == [1, 2], "nobody waits for a disk that is full"
    assert len(lines(world, "it goes on in memory: no room left on the disk")) == 1
    browser.client.cut()
    world.io.emit("e", 3)
    browser.connect()
    assert browser.recovered
    assert browser.seen == [1, 2, 3]
    assert place.rows("packet") == place.rows("session") == []
    back(other, place.open())
    assert not other.recovered, "it is told that it may have missed something"


def test_a_file_that_can_be_written_again_has_everything_as_it_is_then(place: Place) -> None:
    world = place.open()
    browser, lost, gone = Browser(world), Browser(world), Browser(world)
    world.io.on("set", lambda socket, n: socket.data.update(n=n))
    store = failing(world)
    store.error = StoreError("the disk is gone")
    world.io.emit("e", 1)
    world.turn()
    browser.socket.join("room")
    browser.client.emit("set", 5)
    lost.client.cut()
    gone.client.leave()
    world.io.to("room").emit("e", 2)
    for _ in range(5):
        world.pass_time(10)
        world.turn()
    assert len(lines(world, "it goes on in memory")) == 1, "the same trouble is named once"
    store.error = None
    world.pass_time(60)
    world.turn()
    assert lines(world, "it is written again")
    world.io.to("room").emit("e", 3)
    world.turn()
    again = place.open()
    back(browser, again)
    assert browser.recovered
    assert browser.seen == [1, 2, 3]
    assert browser.socket.data == {"n": 5}
    assert browser.socket.rooms == {browser.sid, "room"}
    back(lost, again)
    assert lost.recovered
    assert lost.seen == [1]
    back(gone, again)
    assert not gone.recovered


def test_a_file_that_cannot_even_be_emptied_is_named(place: Place) -> None:
    world = place.open()
    Browser(world)
    store = failing(world)
    store.error, store.deletes = StoreError("attempt to write a readonly database"), False
    world.io.emit("e", 1)
    world.turn()
    assert len(lines(world, "could not be deleted")) == 1


def test_more_than_the_log_holds_does_not_wait_for_a_disk(place: Place) -> None:
    world = place.open(limits=Limits(recovery_bytes=10_000))
    browser = Browser(world)
    for _ in range(20):
        world.io.emit("e", "x" * 1000)
    assert len(lines(world, "wait for the disk")) == 1
    browser.read()
    assert len(browser.seen) == 20
    world.pass_time(2)
    world.turn()
    assert lines(world, "it is written again")
    assert len(place.rows("packet")) == 9


def test_the_disk_has_everything_a_second_after_it_was_written(place: Place) -> None:
    world = place.open()
    browser = Browser(world)
    world.pass_time(2)
    world.turn()
    database, levels = world.store().database, []
    world.io.emit("e", 1)
    world.turn()
    levels.append(database._used)
    world.io.emit("e", 2)
    world.pass_time(1)
    world.turn()
    levels.append(database._used)
    world.io.emit("e", 3)
    world.turn()
    levels.append(database._used)
    assert levels == ["NORMAL", "FULL", "NORMAL"]
    browser.client.cut("client namespace disconnect")
    world.pass_time(2)
    world.turn()
    before = world.timers()
    world.pass_time(100)
    world.turn()
    assert world.timers() <= before, "and then nothing is written any more"
    assert not world.keeping._file.waiting


def test_every_row_that_is_written_names_its_size(place: Place) -> None:
    world = place.open()
    browser = Browser(world)
    world.turn()
    file: RecoveryFile = world.keeping._file
    world.io.emit("e", "x" * 5000)
    assert sum(write.size for write in file.operations()) > 5000
    del browser
