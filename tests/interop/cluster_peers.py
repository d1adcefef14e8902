"""Who else is in a cluster: ``python -m tests.interop.cluster_peers``.

Official clients that fall from one server onto another and back, the official emitter and ours,
servers of python-socketio, and a Redis Cluster of three servers.  Each line of TAP is one of them;
the exit code is 0 if all passed.
"""

from __future__ import annotations

import contextlib
import json
import queue
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import rawsio
from tests.__main__ import environment

from .cluster import HERE, SECONDS, Member, until
from .redis_client import free_port

__all__ = ["CASES", "Crossing", "answers", "main", "redis_cluster"]

ROOT = HERE.parent.parent
PYTHON_SOCKETIO = ["python-socketio==5.18.1", "redis==8.1.0"]


@contextlib.contextmanager
def redis_server(*options: str) -> Iterator[int]:
    """A Redis on a free port, which writes nothing."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        child = subprocess.Popen(
            [
                *("redis-server", "--port", str(port), "--save", "", "--appendonly", "no"),
                *("--dir", folder, *options),
            ],
            stdout=subprocess.DEVNULL,
        )
        try:
            until(lambda: answers(port))
            yield port
        finally:
            child.kill()
            child.wait()


@contextlib.contextmanager
def redis_cluster() -> Iterator[list[int]]:
    """A Redis Cluster of three servers: their ports."""
    with contextlib.ExitStack() as stack:
        ports = [
            stack.enter_context(
                redis_server("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
            )
            for _ in range(3)
        ]
        hosts = [f"127.0.0.1:{port}" for port in ports]
        made = ["redis-cli", "--cluster", "create", *hosts, "--cluster-yes"]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, timeout=60)
        for port in ports:
            until(partial(_knows_all_slots, port))
        yield ports


def _knows_all_slots(port: int) -> bool:
    told = subprocess.check_output(["redis-cli", "-p", str(port), "cluster", "info"], timeout=60)
    return b"cluster_state:ok" in told


def answers(port: int, host: str = "127.0.0.1") -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), 1) as sock:
        sock.sendall(b"PING\r\n")
        return sock.recv(100).startswith(b"+PONG")
    return False


def until_heard(port: int) -> None:
    """Wait until a server listens in every way in which it is told things."""
    until(lambda: _who_listens(port))


def _who_listens(port: int) -> bool:
    clients = subprocess.check_output(["redis-cli", "-p", str(port), "client", "list"], text=True)
    by_pattern = re.search(r" sub=[1-9][0-9]* psub=[1-9]", clients) is not None
    by_stream = re.search(" sub=[1-9]", clients) is not None and "cmd=xread" in clients
    return by_pattern or by_stream


def node_server(url: str, *options: str) -> Member:
    """An official server with a client."""
    return Member("node", 1, ["node", str(HERE / "cluster_server.js"), "--redis", url, *options])


def our_server(url: str, *options: str) -> Member:
    """A server of ours with a client."""
    command = [sys.executable, "-m", "tests.interop.cluster_server", "--redis", url, *options]
    return Member("rawsio", 1, command)


class Directed:
    """A program that is directed by lines of JSON, and says what it sees in such lines."""

    def __init__(self, command: list[str]) -> None:
        self.child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.said: list[list[Any]] = []
        self._lines: queue.Queue[list[Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self._lines.put(json.loads(line))

    def next(self, kind: str) -> list[Any]:
        """Return the next thing of this kind that it says; others are kept for later."""
        end = time.monotonic() + SECONDS
        while True:
            for said in self.said:
                if said[0] == kind:
                    self.said.remove(said)
                    return said[1:]
            self.said.append(self._lines.get(timeout=max(0.0, end - time.monotonic())))

    def do(self, **what: Any) -> None:
        """Have it do something."""
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps(what) + "\n")
        self.child.stdin.flush()

    def end(self) -> None:
        self.child.kill()
        self.child.communicate()


class Crossing:
    """A port that leads to one server after another: its clients fall from each to the next.

    While ``held`` nothing passes, and nobody is told.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.held = False
        self._pairs: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                host, port = self.target.removeprefix("http://").split(":")
                try:
                    there = socket.create_connection((host, int(port)))
                except OSError:
                    here.close()
                    continue
                self._pairs += [here, there]
                for source, sink in ((here, there), (there, here)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self.held:
                    time.sleep(0.01)
                sink.sendall(data)
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def lead_to(self, target: str) -> None:
        """Lead to another server from now on, and break what leads to this one."""
        self.target = target
        pairs, self._pairs = self._pairs, []
        for sock in pairs:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        self._listener.close()
        self.lead_to(self.target)


def a_client_falls_from_an_official_server_onto_ours_and_back() -> None:
    """The official client: the same id each time, and every event once, in order."""
    with redis_server() as port, contextlib.ExitStack() as stack:
        options = ("--adapter", "streams", "--recovery")
        url = f"redis://127.0.0.1:{port}"
        servers = [node_server(url, *options), our_server(url, *options)]
        for server in servers:
            stack.callback(server.end)
        until(lambda: servers[0].do("count") == 2)
        crossing = Crossing(servers[0].url)
        stack.callback(crossing.end)
        client = Directed(["node", str(HERE / "cluster_client.js"), crossing.url])
        stack.callback(client.end)
        sid, recovered = client.next("connect")
        assert not recovered
        client.do(emit=["join", "club"])
        servers[0].do("emit", args=["first", 0])
        assert client.next("event")[:2] == ["first", 0]
        for turn in range(1, 5):
            here, there = servers[(turn + 1) % 2], servers[turn % 2]
            crossing.lead_to("http://127.0.0.1:1")
            client.next("disconnect")
            until(lambda here=here: len(here.do("fetch")) == 2)  # its own clients: ours is gone
            here.do("emit", args=["missed", turn], rooms=["club"])
            there.do("emit", args=["missed too", turn], rooms=[sid])
            there.do("emit", args=["for others"], rooms=["another room"])
            crossing.lead_to(there.url)
            assert client.next("connect") == [sid, True]
            here.do("emit", args=["live", turn], rooms=["club"])
            # Two servers append to the stream side by side: each of them keeps its own order.
            seen = [client.next("event")[:2] for _ in range(3)]
            wanted = [["live", turn], ["missed", turn], ["missed too", turn]]
            assert sorted(seen) == wanted, seen
            assert seen.index(["missed", turn]) < seen.index(["live", turn]), seen


def the_official_emitter_reaches_our_clients() -> None:
    with redis_server() as port, contextlib.ExitStack() as stack:
        url = f"redis://127.0.0.1:{port}"
        server = our_server(url)
        stack.callback(server.end)
        until_heard(port)
        emitter = Directed(["node", str(HERE / "cluster_client.js"), "--emitter", url])
        stack.callback(emitter.end)
        emitter.next("ready")
        emitter.do(call="emit", args=["news", 1, {"a": [None]}, {"bytes": [1, 2]}])
        emitter.do(call="emit", to=["room of rawsio1"], args=["room"])
        emitter.do(call="emit", to=["nobody", "nowhere"], args=["never"])
        emitter.do(call="socketsJoin", args=["club"])
        emitter.do(call="emit", to=["club"], args=["club"])
        emitter.do(call="socketsLeave", args=["club"])
        emitter.do(call="emit", to=["club"], args=["never"])
        emitter.do(call="serverSideEmit", args=["told", "from the emitter"])
        events = [["news", 1, {"a": [None]}, b"\x01\x02"], ["room"], ["club"]]
        until(lambda: server.seen == events, lambda: server.seen)
        heard: list[Any] = []
        until(lambda: heard or heard.extend(server.do("heard")))
        assert heard == [["from the emitter"]]
        emitter.do(call="disconnectSockets", args=[True])
        until(lambda: not server.socket.connected)


def our_emitter_reaches_official_clients(adapter: str = "classic") -> None:
    with redis_server() as port, contextlib.ExitStack() as stack:
        url = f"redis://127.0.0.1:{port}"
        server = node_server(url, "--adapter", adapter)
        stack.callback(server.end)
        until_heard(port)
        io = stack.enter_context(rawsio.Emitter(url, adapter=adapter))
        io.emit("news", 1, {"a": [None]}, b"\x01\x02")
        io.to("room of node1").emit("room")
        io.to("nobody").emit("never")
        io.sockets_join("club")
        io.to("club").compress(False).emit("club")
        io.sockets_leave("club")
        io.to("club").emit("never")
        io.server_side_emit("told", "from the emitter")
        io.flush()
        events = [["news", 1, {"a": [None]}, b"\x01\x02"], ["room"], ["club"]]
        until(lambda: server.seen == events, lambda: server.seen)
        heard: list[Any] = []
        until(lambda: heard or heard.extend(server.do("heard")))
        assert heard == [["from the emitter"]]
        io.disconnect_sockets(close=True)
        until(lambda: not server.socket.connected)


def our_emitter_reaches_official_clients_by_streams() -> None:
    our_emitter_reaches_official_clients("streams")


def servers_of_python_socketio_and_ours_reach_each_other() -> None:
    """Both ways: events with bytes, rooms, callbacks, disconnections."""
    python = environment(ROOT / ".interop" / "python-socketio", PYTHON_SOCKETIO)
    with redis_server() as port, contextlib.ExitStack() as stack:
        url = f"redis://127.0.0.1:{port}"
        command = [python, str(HERE / "python_socketio_server.py"), url]
        theirs = Member("python", 1, command, transport="polling")
        stack.callback(theirs.end)
        ours = our_server(url, "--adapter", "bridge")
        stack.callback(ours.end)

        def they(call: str, *args: Any, **options: Any) -> Any:
            answer = theirs.control_socket.emit_with_ack("do", call, list(args), options)
            return answer.result(SECONDS)

        def both_see(*events: list[Any]) -> None:
            for member in (theirs, ours):
                until(lambda member=member: member.seen == [*events], lambda m=member: m.seen)
                member.seen.clear()

        args = ["news", {"a": [1, None]}, "é😀"]
        # Both listen, and nothing of that is on its way any more.
        until(lambda: ours.do("emit", args=["hello"]) or theirs.seen)
        ours.do("emit", args=["that was all"])
        until(lambda: all(["that was all"] in member.seen for member in (theirs, ours)))
        until(lambda: they("emit", "hello", 1) or ["hello", 1] in ours.seen)
        they("emit", "that was all", 1)
        until(lambda: all(["that was all", 1] in member.seen for member in (theirs, ours)))
        theirs.seen.clear()
        ours.seen.clear()
        ours.do("emit", args=args)
        both_see(args)
        they("emit", "news", {"a": [1]})
        both_see(["news", {"a": [1]}])
        ours.do("emit", args=["bytes", b"\x00\xff", {"deep": b""}])
        both_see(["bytes", b"\x00\xff", {"deep": b""}])
        they("emit", "bytes", b"\x00\xff")
        both_see(["bytes", b"\x00\xff"])
        they("emit", "you", 1, room="room of rawsio1")
        until(lambda: ours.seen == [["you", 1]], lambda: ours.seen)
        ours.do("emit", args=["you", 2], rooms=["room of python1"])
        until(lambda: theirs.seen == [["you", 2]], lambda: theirs.seen)
        ours.seen.clear()
        theirs.seen.clear()
        they("emit", "others", 1, skip_sid=ours.socket.id)
        until(lambda: theirs.seen == [["others", 1]], lambda: theirs.seen)
        theirs.seen.clear()
        ours.do("emit", args=["others"], **{"except": [theirs.socket.id]})
        until(lambda: ours.seen == [["others"]], lambda: ours.seen)
        ours.seen.clear()
        they("ask", "question", 1, room=ours.socket.id)
        until(lambda: they("answers") == [["from rawsio1"]], lambda: they("answers"))
        ours.seen.clear()
        they("enter_room", ours.socket.id, "club")
        until(lambda: len(ours.do("fetch", rooms=["club"])) == 1)
        ours.do("join", rooms=[theirs.socket.id], into="club")
        ours.do("emit", args=["joined"])
        both_see(["joined"])
        they("emit", "club", 1, room="club")
        both_see(["club", 1])
        they("disconnect", ours.socket.id)
        until(lambda: not ours.socket.connected)
        ours.do("disconnect", rooms=[theirs.socket.id], close=False)
        until(lambda: not theirs.socket.connected)


def servers_share_a_redis_cluster_by_sharded_channels() -> None:
    """Three Redis servers; ours are told of any one of them, Node's of all."""
    with contextlib.ExitStack() as stack:
        hosts = [f"127.0.0.1:{port}" for port in stack.enter_context(redis_cluster())]
        sharded = ("--adapter", "sharded")
        members = [
            node_server(",".join(f"redis://{host}" for host in hosts), *sharded),
            our_server(f"redis://{hosts[0]}", *sharded),
            our_server(f"redis://{hosts[2]}", *sharded),
        ]
        for member in members:
            stack.callback(member.end)
        for asked in members:
            until(lambda asked=asked: len(asked.do("fetch")) == 3)
            for n in range(12):
                room = f"room {n}"
                asked.do("join", into=room)
                until(lambda room=room, asked=asked: len(asked.do("fetch", rooms=[room])) == 3)
                for member in members:
                    member.seen.clear()
                    # Node's adapter does not wait for the confirmation of a room's channel.
                sent = time.monotonic()
                while not all(["x", n] in member.seen for member in members):
                    asked.do("emit", args=["x", n], rooms=[room])
                    assert time.monotonic() < sent + SECONDS, [m.seen for m in members]
                asked.do("leave", into=room)
            answers = asked.do("serverAsk", args=["asked", 7])
            assert len(answers) == 2, answers


CASES: tuple[Callable[[], None], ...] = (
    a_client_falls_from_an_official_server_onto_ours_and_back,
    the_official_emitter_reaches_our_clients,
    our_emitter_reaches_official_clients,
    our_emitter_reaches_official_clients_by_streams,
    servers_of_python_socketio_and_ours_reach_each_other,
    servers_share_a_redis_cluster_by_sharded_channels,
)


def main() -> int:
    """Run every case; return the exit code."""
    failed = 0
    chosen = sys.argv[1:]
    cases = [case for case in CASES if not chosen or any(c in case.__name__ for c in chosen)]
    for number, case in enumerate(cases, 1):
        title = f"{number} - {case.__name__.replace('_', ' ')}"
        try:
            case()
        except Exception:  # noqa: BLE001 - a failure of this case, whatever it is
            failed += 1
            traceback.print_exc(limit=-3)
            print(f"not ok {title}", flush=True)
        else:
            print(f"ok {title}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
