"""What recovery promises, as a model that is driven over a log in memory, and over one in a file.

:func:`machine_for` returns a test case of hypothesis.  With a file, a turn of the server ends with
a transaction, and the server may crash at any moment: what was not committed has not happened then,
and nobody has heard of it.
"""

from __future__ import annotations

import shutil
from copy import deepcopy
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from rawsio.app.recovery import Recovery
from rawsio.socketio.packets import Connect, Event

from .world import Client, World, quick_folder

__all__ = ["Browser", "machine_for"]


class Browser:
    """What the official client remembers: its secret and the last offset that it saw."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.pid: str | None = None
        self.offset: str | None = None
        self.seen: list[Any] = []
        self.recovered = False
        self.connect()

    def connect(self) -> None:
        auth: dict[str, Any] = {}
        if self.pid is not None:
            auth["pid"] = self.pid
            if self.offset is not None:
                auth["offset"] = self.offset
        self.client: Client = self.world.client("/", auth)
        self.world.pass_time(0.0)  # what it missed comes in shares
        packets = self.client.take()
        # Events before the answer are kept back until the answer is there.
        answers = [p for p in packets if isinstance(p, Connect)]
        self.recovered = answers[0].data["pid"] == self.pid
        self.pid = answers[0].data["pid"]
        self.sid = answers[0].data["sid"]
        self._read(packets)

    def read(self) -> None:
        self._read(self.client.take())

    def _read(self, packets: list[Any]) -> None:
        for packet in packets:
            if isinstance(packet, Event):
                if isinstance(packet.args[-1], str):
                    self.offset = packet.args[-1]
                self.seen.append(packet.args[1])

    @property
    def socket(self) -> Any:
        return self.client.socket()


class RecoveryLosesAndRepeatsNothing(RuleBasedStateMachine):
    """The model: for each browser, what it ought to have seen, where it is, and its data."""

    path: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.world = self.open(1000.0)
        self.browsers = [Browser(self.world) for _ in range(3)]
        self.expected: list[list[int]] = [[], [], []]
        self.rooms: list[set[str]] = [set(), set(), set()]
        self.data: list[int | None] = [None, None, None]
        self.number = 0
        self.turn()

    def open(self, now: float) -> World:
        world = World(recovery=Recovery(3000.0, path=self.path), now=now)

        @world.io.on("set")
        def set_data(socket: Any, number: int) -> None:
            socket.data["n"] = number

        return world

    def turn(self) -> None:
        """End the turn: nothing that has happened so far can be undone."""
        self.world.turn()
        self.saved = deepcopy((self.expected, self.rooms, self.data))

    def connected(self, n: int) -> bool:
        return self.browsers[n].client.closed is None

    def sent(self, who: list[int]) -> int:
        self.number += 1
        for n in who:
            self.expected[n].append(self.number)
        return self.number

    @rule()
    def end_of_turn(self) -> None:
        self.turn()

    @rule()
    def to_all(self) -> None:
        self.world.io.emit("e", self.sent([0, 1, 2]))

    @rule(room=st.sampled_from("ab"), excluded=st.sampled_from("ab"), exclude=st.booleans())
    def to_a_room(self, room: str, excluded: str, exclude: bool) -> None:
        operator = self.world.io.to(room)
        who = [n for n in range(3) if room in self.rooms[n]]
        if exclude:
            operator = operator.except_(excluded)
            who = [n for n in who if excluded not in self.rooms[n]]
        operator.emit("e", self.sent(who))

    @rule(n=st.integers(0, 2))
    def to_one(self, n: int) -> None:
        self.world.io.to(self.browsers[n].sid).emit("e", self.sent([n]), b"attachment")

    @rule(n=st.integers(0, 2))
    def directly(self, n: int) -> None:
        if self.connected(n):
            self.browsers[n].socket.emit("e", self.sent([n]))

    @rule(n=st.integers(0, 2))
    def volatile(self, n: int) -> None:
        if self.connected(n):
            self.browsers[n].socket.volatile.emit("e", self.sent([n]), "some text")
            self.turn()  # it may be out already, as nothing depends on it

    @rule(n=st.integers(0, 2), room=st.sampled_from("ab"), into=st.booleans())
    def join_or_leave(self, n: int, room: str, into: bool) -> None:
        if self.connected(n):
            socket = self.browsers[n].socket
            (socket.join if into else socket.leave)(room)
            (self.rooms[n].add if into else self.rooms[n].discard)(room)

    @rule(n=st.integers(0, 2))
    def set_data(self, n: int) -> None:
        if self.connected(n):
            self.number += 1
            self.data[n] = self.number
            self.browsers[n].client.emit("set", self.number)

    @rule(n=st.integers(0, 2))
    def read(self, n: int) -> None:
        self.turn()
        self.browsers[n].read()

    @rule(n=st.integers(0, 2), seen=st.integers(0, 3))
    def cut(self, n: int, seen: int) -> None:
        """The connection breaks; only the first few of the packets under way arrived."""
        if self.connected(n):
            self.turn()
            self.browsers[n].client.cut()
            self.arrive(n, seen)

    def arrive(self, n: int, seen: int) -> None:
        browser = self.browsers[n]
        under_way = [p for p in browser.client.inbox if isinstance(p, Event)]
        browser.client.inbox.clear()
        browser._read(under_way[:seen])
        lost = [p.args[1] for p in under_way[seen:] if repr(p.args[-2]) == "'some text'"]
        for expected in (self.expected, self.saved[0]):
            expected[n] = [e for e in expected[n] if e not in lost]

    @rule(n=st.integers(0, 2))
    def come_back(self, n: int) -> None:
        if not self.connected(n):
            self.browsers[n].connect()
            self.turn()
            assert self.browsers[n].recovered
            assert self.browsers[n].socket.rooms == {self.browsers[n].sid, *self.rooms[n]}
            assert self.browsers[n].socket.data.get("n") == self.data[n]

    @precondition(lambda self: all(self.connected(n) for n in range(3)))
    @rule()
    def everybody_saw_what_was_meant_for_them_once_and_in_order(self) -> None:
        self.turn()
        for browser, expected in zip(self.browsers, self.expected, strict=True):
            browser.read()
            assert browser.seen == expected

    def teardown(self) -> None:
        for n in range(3):
            self.come_back(n)
        self.everybody_saw_what_was_meant_for_them_once_and_in_order()


class RecoveryInAFile(RecoveryLosesAndRepeatsNothing):
    """The same, where the server may end at any moment."""

    def __init__(self) -> None:
        self.folder = quick_folder()
        self.path = f"{self.folder}/app.db"
        super().__init__()

    @rule(seen=st.integers(0, 3), seconds=st.integers(0, 30))
    def crash(self, seen: int, seconds: int) -> None:
        """The process is killed, and begins anew: what was not committed has not happened."""
        self.world.crash()
        self.expected, self.rooms, self.data = deepcopy(self.saved)
        self._begin_anew(seen, seconds)

    @rule(seconds=st.integers(0, 30))
    def restart(self, seconds: int) -> None:
        """The server is closed, and begins anew."""
        for n in range(3):
            if self.connected(n):
                self.browsers[n].client.peer.ended("server shutting down")
        ended = self.world.keeping.stop(0.0)
        self.turn()
        assert ended.done()
        self._begin_anew(9, seconds)

    def _begin_anew(self, seen: int, seconds: int) -> None:
        self.world = self.open(self.world.now + seconds)
        for n in range(3):
            self.browsers[n].world = self.world
            if self.connected(n):
                self.browsers[n].client.closed = "transport close"
                self.arrive(n, seen)

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            self.world.crash()
            shutil.rmtree(self.folder, ignore_errors=True)


def machine_for(*, file: bool) -> Any:
    """Return the test case for logs in memory, or in a file."""
    case: Any = (RecoveryInAFile if file else RecoveryLosesAndRepeatsNothing).TestCase
    case.settings = settings(stateful_step_count=25)
    return case
