"""Our client against the official server: ``python -m tests.interop.python_client``.

``tests.interop.run`` starts it with ``SERVER_COMMAND`` (``official_server.js``, or our own server)
in the environment, as it does with the suites in JavaScript.  Each case runs over polling, over
WebSocket and through the upgrade, and writes a line of TAP; the exit code is 0 if all passed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import rawsio
from rawsio import ConnectionClosed, LocalProtocolError, Refused
from tests.jobs import first_line

__all__ = ["CASES", "Peer", "main"]

SECONDS = 60.0
"""What one answer may take."""

TRANSPORTS = {
    "polling": ["polling"],
    "websocket": ["websocket"],
    "upgrade": ["polling", "websocket"],
}


class Peer:
    """A server that can be ended and started again at the same address."""

    def __init__(self) -> None:
        self.command = json.loads(os.environ["SERVER_COMMAND"])
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start it; return once it listens."""
        self.child = subprocess.Popen(
            [*self.command, "--mode", "client", "--port", str(self.port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = first_line(self.child)
        if not line.startswith("PORT "):
            self.end()
            raise RuntimeError(f"the server did not start: {' '.join(self.command)}")
        self.port = int(line.split()[1])

    def end(self) -> None:
        """End it, without a goodbye."""
        self.child.kill()
        self.child.wait()
        assert self.child.stdout is not None
        self.child.stdout.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def until(found: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + SECONDS
    while not found():
        if time.monotonic() > end:
            raise AssertionError("it never came")
        time.sleep(0.005)


def the_auth_arrives_and_the_transport_is_the_expected_one(peer: Peer, **how: Any) -> None:
    with rawsio.connect(peer.url, auth={"token": "é€"}, **how) as socket:
        assert socket.receive(SECONDS) == ["auth", {"token": "é€"}]
        until(lambda: socket.client.transport == how["transports"][-1])


def acknowledgements_go_both_ways(peer: Peer, **how: Any) -> None:
    with rawsio.connect(peer.url, **how) as socket:
        values = ("é€\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), 1.5, None)
        assert socket.emit_with_ack("ack", *values).result(SECONDS) == values
        socket.on("question", lambda *args: [len(args), *args])
        socket.emit("ask", "a", {"b": [True]})
        answered: list[Any] = []
        socket.on("answered", lambda *args: answered.append(args))
        until(lambda: answered)
        assert answered == [([2, "a", {"b": [True]}],)]


def binary_travels_in_both_directions(peer: Peer, **how: Any) -> None:
    with rawsio.connect(peer.url, **how) as socket:
        assert socket.receive(SECONDS)[0] == "auth"
        value = {"a": b"\0\xff", "b": [b"", bytearray(b"x")]}
        expected = {"a": b"\0\xff", "b": [b"", b"x"]}
        assert socket.emit_with_ack("ack", value, 1).result(SECONDS) == (expected, 1)
        socket.emit("echo", b"\x01", "text")
        assert socket.receive(SECONDS) == ["echo back", b"\x01", "text"]


def long_bodies_arrive_whole_and_too_long_ones_are_not_sent(peer: Peer, **how: Any) -> None:
    with rawsio.connect(peer.url, **how) as socket:
        for body in ("x" * 1_000_000, bytes(range(250)) * 4000):
            assert socket.emit_with_ack("size", body).result(SECONDS) == 1_000_000
            assert socket.emit_with_ack("ack", body).result(SECONDS) == body
        try:
            socket.emit("size", "x" * 4_000_001)
        except LocalProtocolError:
            assert socket.emit_with_ack("size", "x").result(SECONDS) == 1
        else:
            raise AssertionError("it was sent")


def bursts_arrive_in_order(peer: Peer, **how: Any) -> None:
    with rawsio.connect(peer.url, **how) as socket:
        assert socket.receive(SECONDS)[0] == "auth"
        socket.emit("burst", 100)
        assert [socket.receive(SECONDS)[1] for _ in range(100)] == list(range(100))
        for number in range(100):
            socket.emit("echo", number)
        assert [socket.receive(SECONDS)[1] for _ in range(100)] == list(range(100))


def rooms_and_broadcasts_reach_the_others(peer: Peer, **how: Any) -> None:
    with rawsio.connect(peer.url, **how) as one, rawsio.connect(peer.url, **how) as two:
        news: list[Any] = []
        two.on("news", lambda *args: news.append(args))
        two.emit_with_ack("join", "room").result(SECONDS)
        one.emit_with_ack("to room", "room", 1).result(SECONDS)
        one.emit_with_ack("broadcast", 2).result(SECONDS)
        one.emit_with_ack("except", "room", 3).result(SECONDS)
        until(lambda: len(news) == 2)
        assert news == [(1,), (2,)]


def the_last_events_before_the_end_arrive(peer: Peer, **how: Any) -> None:
    with rawsio.connect(peer.url, **how) as one:
        news: list[Any] = []
        one.on("news", lambda *args: news.append(args))
        with rawsio.connect(peer.url, **how) as two:
            for number in range(20):
                two.emit("broadcast", number)
        until(lambda: len(news) == 20)
        assert news == [(number,) for number in range(20)]


def namespaces_share_a_connection(peer: Peer, **how: Any) -> None:
    with rawsio.connect(peer.url, **how) as socket:
        custom = socket.client.socket("/custom", {"who": "me"})
        assert custom.receive(SECONDS) == ["auth", {"who": "me"}]
        assert custom.emit_with_ack("ack", 1).result(SECONDS) == 1
        assert custom.id != socket.id
        custom.disconnect()
        assert socket.emit_with_ack("ack", 2).result(SECONDS) == 2


def a_refused_client_learns_why(peer: Peer, **how: Any) -> None:
    refused = None
    try:
        rawsio.connect(peer.url + "/admin", auth={"token": "no"}, **how)
    except Refused as error:
        refused = (error.message, error.data)
    assert refused == ("not authorized", {"retry": False})
    with rawsio.connect(peer.url + "/admin", auth=lambda: {"token": "secret"}, **how) as socket:
        assert socket.emit_with_ack("ack", 1).result(SECONDS) == 1


def both_ends_learn_of_a_disconnection(peer: Peer, **how: Any) -> None:
    with rawsio.connect(peer.url, **how) as watcher, rawsio.connect(peer.url, **how) as socket:
        gone: list[Any] = []
        watcher.on("gone", lambda *args: gone.append(args))
        sid, reasons = socket.id, []
        socket.on("disconnect", lambda reason, _text: reasons.append(reason))
        reply = socket.emit_with_ack("never")
        socket.emit("leave me", False)
        until(lambda: reasons and gone)
        assert reasons == ["io server disconnect"]
        assert gone == [(sid, "server namespace disconnect")]
        assert isinstance(reply.exception(SECONDS), ConnectionClosed)
        socket.connect()
        until(lambda: socket.connected)
        sid = socket.id
        socket.disconnect()
        until(lambda: len(gone) == 2)
        assert gone[1] == (sid, "client namespace disconnect")


def the_client_comes_back_after_the_server_restarts(peer: Peer, **how: Any) -> None:
    quick = {"reconnection_delay": 0.05, "reconnection_delay_max": 0.2}
    with rawsio.connect(peer.url, **quick, **how) as socket:
        before = socket.id
        socket.emit_with_ack("ack").result(SECONDS)
        peer.end()
        until(lambda: not socket.connected)
        reply = socket.emit_with_ack("ack", "kept")
        peer.start()
        assert reply.result(SECONDS) == "kept"
        assert socket.id != before


CASES = (
    the_auth_arrives_and_the_transport_is_the_expected_one,
    acknowledgements_go_both_ways,
    binary_travels_in_both_directions,
    long_bodies_arrive_whole_and_too_long_ones_are_not_sent,
    bursts_arrive_in_order,
    rooms_and_broadcasts_reach_the_others,
    the_last_events_before_the_end_arrive,
    namespaces_share_a_connection,
    a_refused_client_learns_why,
    both_ends_learn_of_a_disconnection,
    the_client_comes_back_after_the_server_restarts,
)


def main() -> int:
    """Run every case over every transport; return the exit code."""
    peer = Peer()
    failed = number = 0
    try:
        for name, transports in TRANSPORTS.items():
            for case in CASES:
                number += 1
                title = f"{number} - {name}: {case.__name__.replace('_', ' ')}"
                try:
                    case(peer, transports=transports)
                except Exception:  # noqa: BLE001 - a failure of this case, whatever it is
                    failed += 1
                    traceback.print_exc()
                    print(f"not ok {title}", flush=True)
                else:
                    print(f"ok {title}", flush=True)
    finally:
        peer.end()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
