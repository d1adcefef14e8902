"""The proxy: every byte, every end, every reset passes; a bad network is as bad as it should be."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from random import Random

import pytest

from rawsio.layer import Role
from rawsio.tracing.badness import Badness
from rawsio.tracing.proxy import HIGH
from rawsio.websocket.deflate import Agreement
from rawsio.websocket.frames import encode_frame
from tests.net.kit import silent_address

from .wires import World, world

C, S = Role.CLIENT, Role.SERVER
REQUEST = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the openssl command makes the certificate"
)

BAD = [
    Badness(),
    Badness(split=(1, 3)),
    Badness(delay=(0.002, 0.001), jitter=(0.002, 0.001)),
    Badness(rate=(200_000.0, 300_000.0)),
]


def converse(made: World, random: Random) -> None:
    """Let both ends say random bytes in random pieces and end in a random order; compare."""
    ends = made.pair()
    said = {C: b"", S: b""}
    for _ in range(random.randrange(1, 8)):
        who = random.choice([C, S])
        piece = random.randbytes(random.choice([1, 2, 30, 300, 3000]))
        said[who] += piece
        ends[who].pipe.write(piece)
        if random.random() < 0.5:
            made.loop.step(0.0)
    first = random.choice([C, S])
    ends[first].pipe.end()
    made.until(lambda: ends[first.peer].peer_ended)
    # Half-closed: the other direction still carries bytes.
    ends[first.peer].pipe.write(b"last words")
    said[first.peer] += b"last words"
    ends[first.peer].pipe.end()
    made.until(lambda: all(end.over for end in ends.values()))
    assert {who: ends[who.peer].heard for who in Role} == said
    assert {end.over for end in ends.values()} == {"closed"}
    made.until(lambda: not made.proxy.links)


@pytest.mark.parametrize("badness", BAD, ids=lambda b: repr(b)[8:60])
def test_random_bytes_pass_exactly_and_each_direction_ends_by_itself(badness: Badness) -> None:
    with world(badness) as made:
        for number in range(6):
            converse(made, Random(number))


def test_a_reset_passes_as_a_reset() -> None:
    with world() as made:
        for who in Role:
            ends = made.pair()
            ends[who].pipe.write(b"hello")
            made.until(lambda ends=ends, who=who: ends[who.peer].heard == b"hello")
            ends[who].pipe.abort(reset=True)
            made.until(lambda ends=ends, who=who: ends[who.peer].over)
            assert ends[who.peer].over == "reset"
        assert made.said == []


def test_a_side_that_takes_nothing_stops_the_other() -> None:
    with world() as made:
        ends = made.pair()
        ends[C].pipe.pause()
        data = bytes(1 << 20)
        for _ in range(16):
            ends[S].pipe.write(data)
        for _ in range(200):
            made.loop.step(0.001)
        (link,) = made.proxy.links
        waiting = sum(side.pipe.unsent for side in link._sides.values())
        assert waiting < HIGH + 2 * 65536
        assert ends[S].pipe.unsent > 0
        ends[C].pipe.resume()
        made.until(lambda: len(ends[C].heard) == 16 << 20)


@pytest.mark.rule("layers-turn-told")
def test_a_side_that_says_more_than_can_be_told_is_stopped_and_nothing_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rawsio.tracing.backlog.SHARE", 0.0)  # one message in each turn
    with world() as made:
        ends = made.pair()
        much = (b"\x82\xfe\x17\x70" + bytes(4) + b"x" * 6000) * 500
        ends[C].pipe.write(much)
        (link,) = made.proxy.links
        waited: list[int] = []

        def all_told() -> bool:
            waited.append(link._tap.waiting)
            return len(made.items) == 500

        made.until(all_told)
        assert len(ends[S].heard) == len(much)
        assert HIGH < max(waited) < HIGH + 4 * 262_144


@pytest.mark.rule("layers-turn-told")
def test_while_a_message_is_told_others_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawsio.tracing.backlog.SHARE", 0.0)  # one step in each turn
    with world() as made:
        bomb, quiet = made.pair(), made.pair()
        bomb[C].pipe.write(REQUEST)
        made.until(lambda: bomb[S].heard == REQUEST)
        bomb[S].pipe.write(ANSWER)
        made.until(lambda: bomb[C].heard == ANSWER)
        wire = Agreement().compressor(C).compress(b'42["e",[' + b"[]," * 100_000 + b"1]]")
        bomb[C].pipe.write(encode_frame(1, wire, rsv1=True, mask=b"abcd"))
        turns = 0
        while not any("EVENT" in item.summary for _, item in made.items):
            turns += 1
            quiet[C].pipe.write(b"a")
            made.until(lambda turns=turns: len(quiet[S].heard) == turns)
        assert turns > 20


def test_an_upstream_that_is_down_is_said_and_resets_the_client() -> None:
    with world(port=1) as made:
        client = made.client()
        made.until(lambda: client.over)
        assert client.over == "reset"
        (line,) = made.said
        assert line.startswith("127.0.0.1:1 cannot be reached: ")


def test_a_connection_is_cut_after_exactly_so_many_bytes() -> None:
    with world(Badness(cut=10)) as made:
        ends = made.pair()
        ends[C].pipe.write(b"123456")
        made.until(lambda: ends[S].heard == b"123456")
        ends[S].pipe.write(b"abcdefgh")
        made.until(lambda: ends[C].over or ends[C].peer_ended)
        assert ends[C].heard in (b"abcd", b"")


def test_some_connections_are_reset_at_their_start() -> None:
    with world(Badness(reset=1.0)) as made:
        client = made.client()
        made.until(lambda: client.over)
        assert client.over == "reset"
        assert made.servers == []


def test_a_stall_holds_everything_once() -> None:
    with world(Badness(stall=0.05)) as made:
        ends = made.pair()
        began = made.loop.time()
        ends[C].pipe.write(bytes(20_000))
        ends[C].pipe.write(b"x")
        made.until(lambda: len(ends[S].heard) >= 20_000)
        ends[S].pipe.write(b"back")
        made.until(lambda: ends[C].heard == b"back")
        assert made.loop.time() - began >= 0.05


def test_what_passes_is_recorded_and_what_it_is() -> None:
    with world() as made:
        ends = made.pair()
        ends[C].pipe.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        made.until(lambda: ends[S].heard.endswith(b"\r\n\r\n"))
        ends[S].pipe.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        made.until(lambda: len(made.items) == 3)
        assert [item.summary for _, item in made.items] == [
            "request head GET /", "response head 200 OK", "body 2 bytes",
        ]  # fmt: skip


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    command += ["-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert", folder / "key")
    return server, ssl.create_default_context(cafile=str(folder / "cert"))


@needs_openssl
def test_tls_ends_on_either_side(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    server, client = contexts
    got: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        sock, _ = listening.accept()
        with server.wrap_socket(sock, server_side=True) as wire:
            wire.sendall(wire.recv(100).upper())

    def ask(address: tuple[str, int]) -> None:
        sock = socket.create_connection(address, 60)
        with client.wrap_socket(sock, server_hostname="127.0.0.1") as wire:
            wire.sendall(b"hello")
            got.append(wire.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with world(tls=server, upstream_tls=client, port=port) as made:
            threads = [
                threading.Thread(target=serve, args=(listening,)),
                threading.Thread(target=ask, args=(made.address,)),
            ]
            for thread in threads:
                thread.start()
            made.until(lambda: not any(thread.is_alive() for thread in threads))
            made.until(lambda: not made.proxy.links)
            assert (got, made.said) == ([b"HELLO"], [])
            assert {item.tree.value for _, item in made.items} == {"hello", "HELLO"}


def test_an_upstream_that_speaks_no_tls_is_said() -> None:
    strict = ssl.create_default_context()
    with world(upstream_tls=strict) as made:
        client = made.client()
        made.until(lambda: made.servers)
        # What answers is no TLS at all.
        made.servers[0].pipe.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        made.until(lambda: client.over)
        assert client.over == "reset"
        assert "the server does not speak TLS" in made.said[0]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="another system may answer")
def test_a_proxy_that_closes_gives_up_the_connections_that_it_tries_to_make() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    with silent_address() as (_host, port):
        before = descriptors()
        with world(port=port) as made:
            made.client()
            made.until(lambda: made.proxy.links)
        assert descriptors() <= before
