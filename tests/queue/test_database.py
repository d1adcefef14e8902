"""The file of a queue: who may open it, and what is said when it cannot be."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rawsio.queue.database import VERSION, translate
from rawsio.queue.operations import Bodies, Claim, Delete, Insert, StoreError, Sweep
from rawsio.queue.sqlite import SQLiteStore


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "app.db")


def opened(path: str, **options: Any) -> SQLiteStore:
    store = SQLiteStore(path, **options)
    store.open("jobs", 5, 0)
    return store


@pytest.mark.rule("queue-owner-single")
def test_a_second_owner_is_told_who_the_first_is(path: str) -> None:
    store = opened(path)
    code = (
        "import sys; from rawsio.queue import SQLiteStore\n"
        "try: SQLiteStore(sys.argv[1])\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert f"app.db is in use: process {os.getpid()} owns it" in done.stdout, done
    with pytest.raises(StoreError, match="in use"):
        SQLiteStore(path)
    store.close()
    opened(path).close()


def test_everybody_may_read_while_it_is_owned_and_write_to_tables_of_his_own(path: str) -> None:
    store = opened(path)
    store.apply([Insert("jobs", b"1", 0)])
    other = sqlite3.connect(path)
    assert other.execute("SELECT count(*) FROM rawsio_message").fetchone() == (1,)
    with other:
        other.execute("CREATE TABLE mine (x)")
        other.execute("INSERT INTO mine VALUES (1)")
    store.apply([Insert("jobs", b"2", 0)])
    other.close()
    store.close()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder"):
        SQLiteStore(str(tmp_path))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        SQLiteStore(str(tmp_path / "none" / "app.db"))


def test_what_is_no_database_is_left_as_it_is(path: str) -> None:
    Path(path).write_bytes(b"Dear diary, " * 100)
    with pytest.raises(StoreError, match="no SQLite database"):
        SQLiteStore(path)
    assert Path(path).read_bytes() == b"Dear diary, " * 100
    with pytest.raises(StoreError, match="no SQLite database"):
        SQLiteStore(path)  # the lock of the first attempt is gone


def test_a_damaged_file_is_named_and_kept(path: str) -> None:
    store = opened(path)
    store.apply([Insert("jobs", bytes(500), 0) for _ in range(500)])
    store.close()
    data = bytearray(Path(path).read_bytes())
    data[4096 * 3 : -4096] = b"\xff" * (len(data) - 4096 * 4)
    Path(path).write_bytes(data)

    def use() -> None:
        with contextlib.closing(SQLiteStore(path)) as store:
            store.open("jobs", 5, 0)
            store.apply([Claim("jobs", 500, 1)])

    with pytest.raises(StoreError, match="damaged"):
        use()
    assert len(Path(path).read_bytes()) >= len(data)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE rawsio_meta SET value = 'many' WHERE name = 'version'",
        "UPDATE rawsio_meta SET value = 1.5 WHERE name = 'clock'",
        "UPDATE rawsio_message SET state = 7",
    ],
)
def test_values_that_nothing_here_writes_are_damage(path: str, sql: str) -> None:
    store = opened(path)
    store.apply([Insert("jobs", b"1", 0)])
    store.connection.execute(sql)
    store.close()
    for _ in range(2):  # the lock of the first attempt is gone

        def use() -> None:
            with contextlib.closing(SQLiteStore(path)) as store:
                store.open("jobs", 5, 0)

        with pytest.raises(StoreError, match="damaged"):
            use()


@pytest.mark.parametrize("ending", ["", "-wal", "-owner"])
@pytest.mark.parametrize("what", ["deleted", "replaced"])
def test_what_is_taken_away_while_it_is_used_is_named_and_may_be_put_back(
    path: str, ending: str, what: str
) -> None:
    store = opened(path)
    store.apply([Insert("jobs", b"1", 0)])
    os.rename(path + ending, path + "-elsewhere")
    if what == "replaced":
        Path(path + ending).write_bytes(b"another")

    def go_on() -> None:
        for _ in range(20):
            store.apply([Sweep("jobs", 0, 1)])

    with pytest.raises(StoreError, match="was deleted, moved or replaced") as caught:
        go_on()
    assert f"{path}{ending} was" in str(caught.value)
    for operations in ([Insert("jobs", b"2", 2000)], [Claim("jobs", 1, 1)]):
        with pytest.raises(StoreError, match="was deleted, moved or replaced"):
            store.apply(operations)
    os.replace(path + "-elsewhere", path + ending)
    assert len(store.apply([Claim("jobs", 5, 2)])[0]) == 1
    store.close()


def test_runs_of_bodies_notice_that_the_file_is_gone(path: str) -> None:
    store = opened(path)
    store.apply([Bodies("jobs", 0, [b"1"])])
    os.unlink(path)

    def go_on() -> None:
        for _ in range(20):
            store.apply([Bodies("jobs", 0, [b"2"])])

    for _ in range(2):
        with pytest.raises(StoreError, match="was deleted"):
            go_on()
    store.close()


def test_a_file_of_a_newer_version_is_refused(path: str) -> None:
    opened(path).close()
    other = sqlite3.connect(path)
    with other:
        other.execute("UPDATE rawsio_meta SET value = ? WHERE name = 'version'", (VERSION + 1,))
    other.close()
    with pytest.raises(StoreError, match="newer rawsio"):
        SQLiteStore(path)


def test_a_file_of_the_application_keeps_its_own_version_and_tables(path: str) -> None:
    other = sqlite3.connect(path)
    with other:
        other.execute("PRAGMA user_version = 42")
        other.execute("CREATE TABLE mine (x)")
    other.close()
    store = opened(path)
    assert store.connection.execute("PRAGMA user_version").fetchone() == (42,)
    store.close()


def test_the_level_of_safety_is_checked_and_used(path: str) -> None:
    with pytest.raises(ValueError, match="synchronous"):
        SQLiteStore(path, synchronous="sometimes")
    for level, number in (("FULL", 2), ("NORMAL", 1), ("OFF", 0)):
        store = opened(path, synchronous=level)
        assert store.connection.execute("PRAGMA synchronous").fetchone() == (number,)
        store.close()


def test_ids_go_on_behind_the_last_one_after_everything_was_deleted(path: str) -> None:
    store = opened(path)
    ((first, _),) = store.apply([Insert("jobs", b"1", 0)])
    store.apply([Claim("jobs", 1, 1), Delete("jobs", first, 1, 1)])
    store.close()
    store = opened(path)
    ((second, _),) = store.apply([Insert("jobs", b"1", 0)])
    assert second > first
    store.close()


@pytest.mark.rule("queue-batch-atomic")
def test_a_batch_that_fails_changes_nothing(path: str) -> None:
    store = opened(path)
    store.apply([Insert("jobs", b"1", 0)])
    before = store.counts("jobs")
    store.connection.execute("CREATE TEMP TRIGGER no BEFORE UPDATE ON rawsio_message"
                             " BEGIN SELECT raise(ABORT, 'a test says no'); END")  # fmt: skip
    with pytest.raises(StoreError, match="a test says no"):
        store.apply([Insert("jobs", b"2", 0, key="k", until=9), Claim("jobs", 5, 1)])
    assert store.counts("jobs") == before
    store.connection.execute("DROP TRIGGER no")
    assert [row.body for row in store.apply([Claim("jobs", 5, 1)])[0]] == [b"1"]
    store.close()


def test_a_file_that_was_full_gives_its_pages_back(path: str) -> None:
    store = opened(path, synchronous="OFF")
    for _ in range(30):
        store.apply([Insert("jobs", bytes(4000), 0) for _ in range(100)])
    size = store.connection.execute("PRAGMA page_count").fetchone()[0]
    (rows,) = store.apply([Claim("jobs", 3000, 1)])
    store.apply([Delete("jobs", row.id, 1, row.size) for row in rows])
    for number in range(256 * 4):
        store.apply([Insert("jobs", b"1", number, known_only=True)])
    assert store.connection.execute("PRAGMA page_count").fetchone()[0] < size // 2
    store.close()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("database or disk is full", "no room left"),
        ("attempt to write a readonly database", "cannot be written"),
        ("database is locked", "another program"),
        ("disk I/O error", "disk I/O error"),
    ],
)
def test_errors_say_what_to_do(text: str, words: str) -> None:
    error = translate(sqlite3.OperationalError(text), "app.db")
    assert words in str(error)
    assert "app.db" in str(error)
    assert error.full is ("full" in text)


def store_for_ever(store: SQLiteStore) -> None:
    while True:
        store.apply([Insert("jobs", b"1", 0)])


def test_on_a_full_disk_nothing_is_stored_and_the_rest_goes_on(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(path)
    store.apply([Insert("jobs", b"1", 0)] * 3)
    monkeypatch.setattr("rawsio.net.files.Reserve.free", lambda _self: 1000.0)
    # The disk is looked at before what was stored since the last look needs the reserve.
    before = Path(path + "-wal").stat().st_size
    with pytest.raises(StoreError, match="no room left") as caught:
        store_for_ever(store)
    assert caught.value.full
    assert Path(path + "-wal").stat().st_size - before < Path(path + "-reserve").stat().st_size
    (rows,) = store.apply([Claim("jobs", 1000, 1)])
    store.apply([Delete("jobs", row.id, 1, row.size) for row in rows])
    assert store.counts("jobs").total == 0
    store.close()


@pytest.mark.parametrize(
    ("operation", "result"),
    [(Insert("jobs", b"2", 0, key="k"), (2, False)), (Bodies("jobs", 0, [b"2"]), range(2, 3))],
)
def test_a_program_that_writes_for_too_long_is_named_and_nothing_is_lost(
    path: str, operation: Any, result: object
) -> None:
    store = opened(path)
    store.apply([Insert("jobs", b"1", 0)])
    store.connection.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="another program writes to it for too long") as caught:
        store.apply([operation])
    assert not caught.value.full
    assert store.counts("jobs").ready == 1
    other.execute("ROLLBACK")
    other.close()
    assert store.apply([operation]) == [result]
    store.close()


def test_a_statement_that_finds_no_room_uses_the_reserve(path: str) -> None:
    store = opened(path)
    store.apply([Insert("jobs", b"1", 0)])  # ids are reserved: the next ones are one statement
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    store.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError) as caught:
        store.apply([Bodies("jobs", 0, [bytes(1000)] * 50)])
    assert caught.value.full
    assert not Path(path + "-reserve").exists()
    assert store.counts("jobs").ready == 1
    store.connection.execute("PRAGMA max_page_count = 100000")
    assert store.apply([Bodies("jobs", 0, [bytes(1000)] * 50)]) == [range(2, 52)]
    store.close()


def test_a_transaction_that_finds_no_room_uses_the_reserve(path: str) -> None:
    store = opened(path)
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    store.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError) as caught:
        store.apply([Insert("jobs", bytes(50_000), 0)])
    assert caught.value.full
    assert not Path(path + "-reserve").exists()
    store.connection.execute("PRAGMA max_page_count = 100000")
    store.apply([Insert("jobs", bytes(50_000), 0)])
    assert Path(path + "-reserve").exists()
    store.close()
    assert not Path(path + "-reserve").exists()


def test_pages_that_nothing_is_in_are_room(path: str) -> None:
    store = opened(path)
    store.apply([Insert("jobs", bytes(900_000), 0) for _ in range(8)])
    assert store.database.has_room(1000)
    store.database._reserve.free = lambda: 0  # type: ignore[method-assign]  # a full disk
    while store.database.has_room(1000):
        pass  # as long as it was not looked at
    store.connection.execute("DELETE FROM rawsio_body")
    assert store.database.has_room(1000)
    assert not store.database.has_room(9_000_000)
    store.close()


def test_only_errors_of_the_database_become_those_of_the_store(path: str) -> None:
    store = opened(path)

    def fail() -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        store._transact(fail)
    with pytest.raises(StoreError):
        store._transact(lambda: store.connection.execute("SELECT * FROM nothing"))
    assert not store.connection.in_transaction
    store.close()


def test_a_commit_of_what_is_not_leased_or_fails_undoes_all(path: str) -> None:
    store = opened(path)
    delete = Delete("jobs", 1, 7, 1)
    store.begin()
    assert store.commit([delete]) is False
    assert not store.connection.in_transaction
    store.begin()
    store.connection.execute("ALTER TABLE rawsio_message RENAME TO moved")
    with pytest.raises(StoreError):
        store.commit([delete])
    assert not store.connection.in_transaction
    assert store.counts("jobs").ready == 0
    store.close()


FORKED = """
import os, sys
from rawsio import Server
from rawsio.queue import StoreError, QueueError

def publish():
    reply = jobs.publish({"a": 1})
    while not reply.done():
        io.step(0.1)
    try:
        return f"{reply.result()}"
    except QueueError as error:
        return f"{error}"

io = Server()
jobs = io.queue("jobs", path=sys.argv[1])
if sys.argv[2] == "used":
    publish()
child = os.fork()
if not child:
    print("child:", publish(), flush=True)
    io.close()
    while not io.closed:
        io.step(0.1)
    os._exit(0)
os.waitpid(child, 0)
print("parent:", publish(), flush=True)
io.close()
while not io.closed:
    io.step(0.1)
"""


@pytest.mark.rule("queue-owner-single")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.parametrize("used", ["new", "used"])
def test_a_child_process_has_no_part_in_the_file_of_its_parent(path: str, used: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKED, path, used]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    child, parent = done.stdout.splitlines()
    assert "was opened before this process was forked" in child
    number = 2 if used == "used" else 1
    assert parent == f"parent: Published(id={number}, duplicate=False)"
    opened(path).close()
