"""Official servers and ours in one cluster: ``python -m tests.interop.cluster``.

Two servers of each kind share a ``redis-server``, by each adapter, or those that are named; each
server has a client.  Every operation is directed
at one server after the other, and what all clients and servers saw is compared.  Each line of TAP
is an operation and the server that it was asked of; the exit code is 0 if all passed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rawsio
from tests.jobs import first_line

from .redis_client import free_port

__all__ = ["CASES", "Fleet", "main"]

SECONDS = 30.0
"""What one answer may take on a machine that has other things to do."""

OFFSET = re.compile("[0-9]{13}-[0-9]+")

HERE = Path(__file__).parent


class Member:
    """One server of the cluster, with a client and a connection that directs it."""

    def __init__(
        self, kind: str, number: int, command: list[str], transport: str = "websocket"
    ) -> None:
        self.transports = [transport]
        self.kind, self.name = kind, f"{kind}{number}"
        self.child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        line = first_line(self.child)
        if not line.startswith("PORT "):
            raise RuntimeError(f"the server did not start: {' '.join(command)}")
        self.url = f"http://127.0.0.1:{line.split()[1]}"
        self.seen: list[list[Any]] = []
        self.control = rawsio.connect(self.url + "/control", transports=self.transports)
        self.control_socket = self.control.__enter__()
        self.join_cluster()

    def join_cluster(self) -> None:
        """Connect the client."""
        self.client = rawsio.connect(
            self.url, transports=self.transports, query={"name": self.name}, reconnection=False
        )
        self.socket = self.client.__enter__()
        self.socket.on_any(lambda *event: self.seen.append(without_offset(list(event))))
        self.socket.on("question", lambda *_args: f"from {self.name}")
        self.socket.emit_with_ack("join", f"room of {self.name}").result(SECONDS)

    def do(self, operation: str, **details: Any) -> Any:
        """Have the server do something; return what came of it."""
        answer = self.control_socket.emit_with_ack("do", operation, details).result(SECONDS)
        if answer.get("error"):
            raise AssertionError(f"{self.name}: {operation}: {answer}")
        return answer["value"]

    def end(self) -> None:
        for context in (self.client, self.control):
            context.__exit__(None, None, None)
        self.child.kill()
        self.child.wait()
        assert self.child.stdout is not None
        self.child.stdout.close()


class Fleet:
    """A Redis, two official servers and two of ours."""

    def __init__(self, adapter: str, resp: int, library: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        port = free_port()
        self.redis = subprocess.Popen(
            [
                *("redis-server", "--port", str(port), "--save", "", "--appendonly", "no"),
                *("--dir", self.folder.name),
            ],
            stdout=subprocess.DEVNULL,
        )
        url = f"redis://127.0.0.1:{port}"
        kind = ["streams", "--recovery"] if adapter == "recovery" else [adapter]
        options = ["--redis", url, "--resp", str(resp), "--adapter", *kind]
        node = ["node", str(HERE / "cluster_server.js"), *options, "--library", library]
        ours = [sys.executable, "-m", "tests.interop.cluster_server", *options]
        self.members = [
            *(Member("node", n, node) for n in (1, 2)),
            *(Member("rawsio", n, ours) for n in (1, 2)),
        ]
        asked = self.members[0]
        until(lambda: asked.do("count") == 4)

    def clear(self) -> None:
        for member in self.members:
            member.seen.clear()

    def expect(self, event: list[Any], members: list[Member]) -> None:
        """Wait until these clients have seen just this, and show that no other has."""
        until(
            lambda: all(member.seen == [event] for member in members),
            lambda: {member.name: str(member.seen)[:200] for member in members},
        )
        # A round trip through Redis and every server: what else was on its way is there.
        for member in self.members:
            member.do("fetch")
        for member in self.members:
            wanted = [event] if member in members else []
            assert member.seen == wanted, (member.name, member.seen, wanted)

    def end(self) -> None:
        for member in self.members:
            member.end()
        self.redis.kill()
        self.redis.wait()
        self.folder.cleanup()


def until(found: Callable[[], object], what: Callable[[], object] = lambda: "it") -> None:
    """Wait until something is so; ``what()`` shows what there was if it never is."""
    end = time.monotonic() + SECONDS
    while not found():
        if time.monotonic() > end:
            raise AssertionError(f"{str(what())[:2000]} never came")
        time.sleep(0.005)


def without_offset(event: list[Any]) -> list[Any]:
    """Return an event as the application sent it: official servers' end with an offset."""
    last = event[-1]
    if isinstance(last, str) and OFFSET.fullmatch(last):
        return event[:-1]
    return event


VALUES = [1, -1, 1.5, 2**40, True, None, "two", "é€😀", {"a": [1, {"b": None}]}, "x" * 70000]


def an_event_reaches_the_clients_of_every_server(fleet: Fleet, asked: Member) -> None:
    asked.do("emit", args=["news", *VALUES])
    fleet.expect(["news", *VALUES], fleet.members)


def bytes_reach_the_clients_of_every_server(fleet: Fleet, asked: Member) -> None:
    args = ["bytes", bytes(range(256)), {"deep": [b""]}]
    asked.do("emit", args=args)
    fleet.expect(args, fleet.members)


def an_event_to_one_room_reaches_its_members(fleet: Fleet, asked: Member) -> None:
    for member in fleet.members:
        fleet.clear()
        asked.do("emit", args=["to", member.name], rooms=[f"room of {member.name}"])
        fleet.expect(["to", member.name], [member])


def an_event_to_several_rooms_but_one_reaches_the_others(fleet: Fleet, asked: Member) -> None:
    rooms = [f"room of {member.name}" for member in fleet.members]
    without = [rooms[0], rooms[3]]
    asked.do("emit", args=["some"], rooms=rooms, **{"except": without})
    fleet.expect(["some"], fleet.members[1:3])


def a_socket_is_reached_by_its_id(fleet: Fleet, asked: Member) -> None:
    for member in fleet.members:
        fleet.clear()
        asked.do("emit", args=["you"], rooms=[member.socket.id])
        fleet.expect(["you"], [member])


def flags_travel_along(fleet: Fleet, asked: Member) -> None:
    asked.do("emit", args=["flags"], flags={"volatile": True, "compress": False})
    fleet.expect(["flags"], fleet.members)


def a_local_event_stays_on_its_server(fleet: Fleet, asked: Member) -> None:
    asked.do("emit", args=["here"], flags={"local": True})
    fleet.expect(["here"], [asked])


def a_client_tells_all_others(fleet: Fleet, asked: Member) -> None:
    asked.socket.emit("tellOthers", "hello", 1)
    fleet.expect(["hello", 1], [member for member in fleet.members if member is not asked])


def acknowledgements_of_all_clients_are_gathered(fleet: Fleet, asked: Member) -> None:
    answers = asked.do("ask", args=["question", b"1"], flags={"timeout": 4000})
    assert sorted(answers) == sorted(f"from {member.name}" for member in fleet.members)


def sockets_of_all_servers_are_fetched(fleet: Fleet, asked: Member) -> None:
    found = {socket["id"]: socket for socket in asked.do("fetch")}
    assert set(found) == {member.socket.id for member in fleet.members}
    for member in fleet.members:
        socket = found[member.socket.id]
        assert socket["data"] == {"name": member.name}
        assert socket["query"]["name"] == member.name
        assert socket["rooms"] == sorted([member.socket.id, f"room of {member.name}"])
        assert "127.0.0.1" in socket["address"]
    (one,) = asked.do("fetch", rooms=["room of rawsio1"])
    assert one["data"] == {"name": "rawsio1"}


def sockets_join_and_leave_rooms(fleet: Fleet, asked: Member) -> None:
    for member in fleet.members:
        asked.do("join", rooms=[member.socket.id], into="club")
    until(lambda: len(asked.do("fetch", rooms=["club"])) == 4)
    asked.do("emit", args=["club"], rooms=["club"])
    fleet.expect(["club"], fleet.members)
    asked.do("leave", into="club")
    until(lambda: asked.do("fetch", rooms=["club"]) == [])


def servers_hear_each_other(fleet: Fleet, asked: Member) -> None:
    asked.do("serverEmit", args=["told", asked.name, {"a": 1}])
    others = [member for member in fleet.members if member is not asked]
    for member in others:
        heard: list[Any] = []
        until(lambda heard=heard, member=member: heard or heard.extend(member.do("heard")))
        assert heard == [[asked.name, {"a": 1}]]
    assert asked.do("heard") == []


def servers_answer_each_other(fleet: Fleet, asked: Member) -> None:
    answers = asked.do("serverAsk", args=["asked", 7])
    wanted = [f"{member.kind}:7" for member in fleet.members if member is not asked]
    assert sorted(answers) == sorted(wanted)


def servers_are_counted(fleet: Fleet, asked: Member) -> None:
    wanted = 4 if asked.kind == "node" else 2  # ours count those that announce themselves
    until(lambda: asked.do("count") == wanted)


def sockets_are_disconnected(fleet: Fleet, asked: Member) -> None:
    for member in fleet.members:
        asked.do("disconnect", rooms=[member.socket.id], close=True)
        until(lambda member=member: not member.socket.connected)
        member.client.__exit__(None, None, None)
        member.join_cluster()


CASES = (
    an_event_reaches_the_clients_of_every_server,
    bytes_reach_the_clients_of_every_server,
    an_event_to_one_room_reaches_its_members,
    an_event_to_several_rooms_but_one_reaches_the_others,
    a_socket_is_reached_by_its_id,
    flags_travel_along,
    a_local_event_stays_on_its_server,
    a_client_tells_all_others,
    acknowledgements_of_all_clients_are_gathered,
    sockets_of_all_servers_are_fetched,
    sockets_join_and_leave_rooms,
    servers_hear_each_other,
    servers_answer_each_other,
    servers_are_counted,
    sockets_are_disconnected,
)

SETTINGS = (
    *(("classic", resp, library) for resp, library in ((3, "redis"), (2, "ioredis"))),
    *(("sharded", resp, library) for resp, library in ((3, "redis"), (2, "ioredis"))),
    *(("streams", resp, library) for resp, library in ((3, "redis"), (2, "ioredis"))),
    *(("recovery", resp, library) for resp, library in ((3, "redis"), (2, "ioredis"))),
)
"""Adapter, version of RESP, client library of the official servers.

``recovery`` is the streams adapter with connection state recovery.
"""


def main() -> int:
    """Run every case on every server; return the exit code."""
    failed = number = 0
    chosen = sys.argv[1:]
    for adapter, resp, library in SETTINGS:
        if chosen and adapter not in chosen:
            continue
        fleet = Fleet(adapter, resp, library)
        try:
            for case in CASES:
                for asked in fleet.members:
                    number += 1
                    name = case.__name__.replace("_", " ")
                    title = f"{number} - {adapter}, RESP {resp}, {asked.name}: {name}"
                    fleet.clear()
                    try:
                        case(fleet, asked)
                    except Exception:  # noqa: BLE001 - a failure of this case, whatever it is
                        failed += 1
                        traceback.print_exc(limit=-2)
                        print(f"not ok {title}", flush=True)
                    else:
                        print(f"ok {title}", flush=True)
        finally:
            fleet.end()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
