"""TLS as a layer: the laws on plaintext, the alerts, and a real ``ssl`` socket as the peer.

The certificate is made here with the ``openssl`` command; without it these tests are skipped.
"""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rawsio
from rawsio import Server
from rawsio.client.stack import Answered, ClientStack
from rawsio.engineio.client.session import Exchange
from rawsio.errors import LocalProtocolError
from rawsio.layer import Closed, Closing, Failed, Role
from rawsio.limits import Limits
from rawsio.net.driver import Driver
from rawsio.net.loop import Loop
from rawsio.net.tcp import TCPStream
from rawsio.stack import ServerStack
from rawsio.testing import TestKit
from rawsio.tls import Secured, TLSConnection, TLSState
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.events import Message
from tests.net.kit import Owner, Parrot, turn_until

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the openssl command makes the certificate"
)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(key), "-out", str(cert), "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return cert, key


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@pytest.fixture(scope="session")
def contexts(certificate: tuple[Path, Path]) -> Contexts:
    client = ssl.create_default_context(cafile=str(certificate[0]))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*map(str, certificate))
    return client, server


class Ends:
    """A client and a server, joined; what each received is kept."""

    def __init__(self, contexts: Contexts, name: str = "localhost") -> None:
        client = TLSConnection(contexts[0], Role.CLIENT, server_hostname=name)
        server = TLSConnection(contexts[1], Role.SERVER)
        self.layers = {Role.CLIENT: client, Role.SERVER: server}
        self.got: dict[Role, list[Any]] = {role: [] for role in Role}

    def deliver(self, sender: Role, cut: int = 1 << 30) -> bool:
        wire = b"".join(self.layers[sender].data_to_send())
        peer = sender.peer
        for start in range(0, len(wire), cut):
            self.got[peer] += self.layers[peer].receive(wire[start : start + cut])
        return bool(wire)

    def settle(self, cut: int = 1 << 30) -> Ends:
        while self.deliver(Role.CLIENT, cut) | self.deliver(Role.SERVER, cut):
            pass
        return self

    def plain(self, role: Role) -> bytes:
        return b"".join(event for event in self.got[role] if isinstance(event, bytes))


PLAIN = st.lists(
    st.tuples(st.sampled_from(Role), st.one_of(st.binary(max_size=50), st.just(b"x" * 20_000))),
    max_size=6,
)


@given(PLAIN, st.sampled_from([1, 7, 1000, 1 << 30]), st.booleans())
def test_what_one_side_sends_the_other_receives_wherever_it_is_cut(
    contexts: Contexts, messages: list[tuple[Role, bytes]], cut: int, early: bool
) -> None:
    ends = Ends(contexts)
    if not early:
        ends.settle()
    for role, data in messages:
        ends.layers[role].send(data[:50] if cut == 1 else data)
        if cut % 2 == 0:
            ends.deliver(role)
    ends.settle(cut)
    short = 50 if cut == 1 else 1 << 30
    for role in Role:
        assert ends.plain(role) == b"".join(d[:short] for r, d in messages if r is role.peer)
        assert ends.layers[role].state is TLSState.OPEN


@given(st.lists(st.binary(max_size=100), max_size=8), st.sampled_from(Role), st.booleans())
def test_junk_gives_a_list_and_at_most_one_terminal_event(
    contexts: Contexts, junk: list[bytes], role: Role, after: bool
) -> None:
    ends = Ends(contexts)
    if after:
        ends.settle()
    layer = ends.layers[role]
    events = [event for unit in junk for event in layer.receive(unit)]
    events += layer.receive_eof()
    assert layer.receive_eof() == []
    assert [type(e) for e in events if not isinstance(e, bytes)] == [Failed]
    assert isinstance(events[-1], Failed)
    assert layer.receive(b"more") == []
    assert layer.closing is not Closing.OPEN
    with pytest.raises(LocalProtocolError):
        layer.send(b"x")


@given(st.data())
def test_one_changed_bit_in_a_record_fails_the_connection(
    contexts: Contexts, data: st.DataObject
) -> None:
    ends = Ends(contexts).settle()
    ends.layers[Role.CLIENT].send(b"a secret")
    wire = bytearray(b"".join(ends.layers[Role.CLIENT].data_to_send()))
    place = data.draw(st.integers(5, len(wire) - 1))
    wire[place] ^= 1 << data.draw(st.integers(0, 7))
    events = ends.layers[Role.SERVER].receive(bytes(wire))
    assert [(e.layer, e.rule) for e in events] == [("tls", "layers-tls-record")]
    assert ends.layers[Role.SERVER].data_to_send(), "the alert is sent"


@pytest.mark.rule("layers-tls-record")
def test_a_broken_record_is_refused_with_an_alert(contexts: Contexts) -> None:
    ends = Ends(contexts).settle()
    events = ends.layers[Role.SERVER].receive(b"GET / HTTP/1.1\r\n\r\n")
    assert [(e.layer, e.rule) for e in events] == [("tls", "layers-tls-record")]
    ends.settle()
    assert [e.rule for e in ends.got[Role.CLIENT]] == ["layers-tls-record"]


@pytest.mark.rule("layers-tls-handshake")
def test_plain_http_on_a_tls_port_is_refused(contexts: Contexts) -> None:
    server = TLSConnection(contexts[1], Role.SERVER)
    (event,) = server.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (event.layer, event.rule) == ("tls", "layers-tls-handshake")
    assert "HTTP_REQUEST" in event.message
    assert "the client does not speak TLS, it sent 'GET / HTTP/1'" in event.message
    assert server.closing is Closing.HALF
    (answer,) = server.data_to_send()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"https://" in answer


def test_a_server_without_tls_is_named_to_its_client(contexts: Contexts) -> None:
    client = TLSConnection(contexts[0], Role.CLIENT, server_hostname="localhost")
    (event,) = client.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert "the server does not speak TLS, it sent 'HTTP/1.1 400'" in event.message


@pytest.mark.rule("layers-tls-handshake", "9110-4.3.4-identity", "9110-4.3.4-refuse")
@pytest.mark.rule("9110-4.3.4-reference")
@pytest.mark.parametrize("name", ["example.com", "127.0.0.1", "::1"])
def test_a_certificate_for_another_name_is_refused_by_the_client(
    contexts: Contexts, name: str
) -> None:
    ends = Ends(contexts, name).settle()
    assert [e.rule for e in ends.got[Role.CLIENT]] == ["layers-tls-handshake"]
    message = ends.got[Role.CLIENT][0].message
    assert "the server's certificate is refused: " in message
    assert "mismatch" in message
    assert "refuses our certificate" in ends.got[Role.SERVER][0].message
    assert [type(e) for e in ends.got[Role.SERVER]] == [Failed]


@pytest.mark.rule("layers-tls-time")
def test_a_handshake_has_so_much_time(contexts: Contexts) -> None:
    server = TLSConnection(contexts[1], Role.SERVER, Limits(tls_time=10.0))
    assert server.deadline == 0.0
    assert server.tick(1000.0) == []
    assert server.deadline == 1010.0
    assert server.tick(1009.0) == []
    (event,) = server.tick(1010.0)
    assert event.rule == "layers-tls-time"
    assert server.deadline is None


def test_after_the_handshake_there_is_no_deadline(contexts: Contexts) -> None:
    ends = Ends(contexts)
    for layer in ends.layers.values():
        layer.tick(5.0)
    ends.settle()
    assert [layer.deadline for layer in ends.layers.values()] == [None, None]
    assert ends.layers[Role.SERVER].tick(1e9) == []


@pytest.mark.rule("layers-tls-closed")
@pytest.mark.parametrize("role", list(Role))
def test_closing_sends_an_alert_that_the_peer_answers(contexts: Contexts, role: Role) -> None:
    ends = Ends(contexts).settle()
    ends.layers[role].send(b"last words")
    ends.layers[role].send(Closed())
    assert ends.layers[role].closing is Closing.HALF
    with pytest.raises(LocalProtocolError):
        ends.layers[role].send(b"too late")
    ends.settle()
    assert ends.got[role.peer] == [b"last words", Closed()]
    assert ends.got[role] == [Closed()]
    assert [layer.closing for layer in ends.layers.values()] == [Closing.NOW, Closing.NOW]


def test_what_crosses_our_closing_alert_still_arrives(contexts: Contexts) -> None:
    ends = Ends(contexts).settle()
    ends.layers[Role.CLIENT].send(Closed())
    ends.layers[Role.SERVER].send(b"crossing")
    ends.settle()
    assert ends.got[Role.CLIENT] == [b"crossing", Closed()]


@pytest.mark.rule("layers-tls-truncated")
def test_an_end_without_an_alert_is_a_failure_unless_we_had_ended(contexts: Contexts) -> None:
    ends = Ends(contexts).settle()
    (event,) = ends.layers[Role.SERVER].receive_eof()
    assert event.rule == "layers-tls-truncated"
    ends.layers[Role.CLIENT].send(Closed())
    assert ends.layers[Role.CLIENT].receive_eof() == [Closed()]


def test_a_connection_closed_in_its_handshake_is_over(contexts: Contexts) -> None:
    server = TLSConnection(contexts[1], Role.SERVER)
    server.send(Closed())
    assert server.closing is Closing.NOW
    assert server.receive(b"\x16") == []


def test_only_plaintext_and_closed_can_be_sent(contexts: Contexts) -> None:
    with pytest.raises(LocalProtocolError):
        TLSConnection(contexts[1], Role.SERVER).send("text")  # type: ignore[arg-type]


def test_ten_small_sends_are_one_record(contexts: Contexts) -> None:
    ends = Ends(contexts).settle()
    for number in range(10):
        ends.layers[Role.SERVER].send(b"%d" % number)
    (wire,) = ends.layers[Role.SERVER].data_to_send()
    assert wire[0] == 23
    assert len(wire) == 5 + int.from_bytes(wire[3:5], "big")


@pytest.mark.rule("layers-tls-bound")
@pytest.mark.parametrize("size", [101, 5000])
def test_an_unfinished_record_is_all_that_is_held(contexts: Contexts, size: int) -> None:
    ends = Ends(contexts).settle()
    ends.layers[Role.CLIENT].send(b"x" * 100_000)
    wire = b"".join(ends.layers[Role.CLIENT].data_to_send())[:-1]
    server = ends.layers[Role.SERVER]
    for start in range(0, len(wire), size):
        server.receive(wire[start : start + size])
        assert server.buffered <= 16384 + 512


# The pile


def secured(contexts: Contexts, role: Role) -> Secured:
    name = "localhost" if role is Role.CLIENT else None
    context = contexts[0 if role is Role.CLIENT else 1]
    return Secured(TLSConnection(context, role, server_hostname=name), Parrot())


def joined(contexts: Contexts) -> tuple[Secured, Secured, list[Any], list[Any]]:
    client, server = secured(contexts, Role.CLIENT), secured(contexts, Role.SERVER)
    got: tuple[list[Any], list[Any]] = ([], [])
    shuttle(client, server, *got)
    return client, server, *got


def shuttle(client: Secured, server: Secured, to_client: list[Any], to_server: list[Any]) -> None:
    for _ in range(10):
        for wire in client.data_to_send():
            to_server += server.receive(wire)
        for wire in server.data_to_send():
            to_client += client.receive(wire)


@pytest.mark.rule("9112-9.7-application-data")
def test_a_pile_has_the_upper_layers_events_and_attributes(contexts: Contexts) -> None:
    client, server, to_client, to_server = joined(contexts)
    client.send(b"hello")
    server.upper.send(b"hi")
    shuttle(client, server, to_client, to_server)
    assert (to_client, to_server) == ([b"hi"], [b"hello"])
    assert server.at_eof is Closing.NOW
    assert (server.reading, server.closing, server.deadline) == (True, Closing.OPEN, None)


@pytest.mark.rule("layers-turn-order")
@pytest.mark.parametrize("how", ["alert", "eof", "junk"])
def test_what_waits_in_the_upper_layer_comes_before_the_end_of_tls(
    contexts: Contexts, how: str
) -> None:
    client = TLSConnection(contexts[0], Role.CLIENT, server_hostname="localhost")
    tls = TLSConnection(contexts[1], Role.SERVER)
    server = Secured(tls, WebSocketConnection(Role.SERVER, Limits(turn_frames=3)))
    for _ in range(3):
        server.receive(b"".join(client.data_to_send()))
        client.receive(b"".join(server.data_to_send()))
    client.send((bytes.fromhex("818500000000") + b"hello") * 10 + b"\x81")
    if how == "alert":
        client.send(Closed())
    wire = b"".join(client.data_to_send())
    events = server.receive(wire + (b"x" * 100 if how == "junk" else b""))
    events += server.receive_eof() if how == "eof" else []
    assert server.closing is Closing.OPEN
    while server.deadline == 0.0:
        events += server.tick(1.0)
    assert [type(event) for event in events[:-1]] == [Message] * (len(events) - 1)
    assert len(events) > 5
    last = events[-1]
    assert isinstance(last, Failed)
    assert last.layer == ("tls" if how == "junk" else "websocket")
    assert server.closing is not Closing.OPEN
    assert server.receive_eof() == []


@pytest.mark.rule("9112-9.8-alert")
def test_when_the_upper_layer_ends_tls_ends_and_the_peers_upper_layer_too(
    contexts: Contexts,
) -> None:
    client, server, to_client, to_server = joined(contexts)
    server.upper.send(b"bye")
    server.upper.closing = Closing.HALF
    shuttle(client, server, to_client, to_server)
    assert to_client == [b"bye", Closed()]
    assert to_server == [Closed()]
    assert server.closing is Closing.NOW


@pytest.mark.rule("9112-9.8-incomplete-close")
def test_a_truncation_is_judged_by_the_upper_layer_and_a_broken_record_is_not(
    contexts: Contexts,
) -> None:
    client, server, _, _ = joined(contexts)
    assert server.receive_eof() == [Closed()]
    assert server.receive_eof() == []
    (event,) = client.receive(b"junk that is no record")
    assert event.rule == "layers-tls-record"
    assert client.upper.eof == 1
    assert client.receive(b"x") == []


@pytest.mark.rule("layers-tls-truncated", "9112-9.7-tls", "9112-9.8-framed", "9112-9.8-recover")
@pytest.mark.parametrize(
    ("head", "complete"),
    [("", False), ("Content-Length: 5\r\n", True), ("Content-Length: 9\r\n", False)],
)
def test_a_response_that_only_the_end_completes_needs_the_closing_alert(
    contexts: Contexts, head: str, *, complete: bool
) -> None:
    wire = f"HTTP/1.1 200 OK\r\n{head}\r\nhello".encode()
    for alert in (False, True):
        tls = TLSConnection(contexts[0], Role.CLIENT, server_hostname="localhost")
        server = secured(contexts, Role.SERVER)
        stack = ClientStack("localhost")
        client = Secured(tls, stack)
        got: list[Any] = []
        stack.begin(Exchange("poll", "GET", "/"))
        shuttle(client, server, got, [])
        server.upper.send(wire)
        server.upper.closing = Closing.HALF if alert else Closing.OPEN
        shuttle(client, server, got, [])
        got += client.receive_eof()
        answered = [event.body for event in got if isinstance(event, Answered)]
        assert answered == ([b"hello"] if complete or (alert and not head) else [])
        failed = [event for event in got if isinstance(event, Failed)]
        assert bool(failed) is (not complete and not (alert and not head))


def test_deadlines_and_ticks_of_both_count(contexts: Contexts) -> None:
    server = secured(contexts, Role.SERVER)
    assert server.deadline == 0.0
    server.tick(100.0)
    assert server.deadline == 110.0
    server.upper.deadline = 105.0
    assert server.deadline == 105.0
    server.upper.tick_events = ["ping"]
    assert server.tick(105.0) == ["ping"]
    (event,) = server.tick(110.0)
    assert event.rule == "layers-tls-time"


def test_a_stream_drives_a_pile_against_a_real_ssl_socket(contexts: Contexts) -> None:
    ours, theirs = socket.socketpair()
    loop = Loop()
    owner = Owner()
    owner.react = lambda stream, event: (
        stream.layer.send(event.upper()) if isinstance(event, bytes) else None
    )
    stream = TCPStream(
        Driver(loop), ours, secured(contexts, Role.SERVER), owner.on_events, owner.on_closed
    )
    answers: list[bytes] = []

    def client() -> None:
        theirs.settimeout(60)
        with contexts[0].wrap_socket(theirs, server_hostname="localhost") as sock:
            sock.sendall(b"hello" * 20_000)
            while sum(map(len, answers)) < 100_000:
                answers.append(sock.recv(65536))
            sock.unwrap().close()

    thread = threading.Thread(target=client)
    thread.start()
    turn_until(loop, lambda: owner.closed)
    thread.join()
    assert b"".join(answers) == b"HELLO" * 20_000
    assert owner.events[-1] == Closed()
    assert not stream.driver.streams
    loop.close()


@pytest.mark.rule("6455-4.2.2-tls", "6455-10.6-tls")
def test_a_server_answers_on_a_listener_with_tls(contexts: Contexts) -> None:
    theirs, ours = contexts
    server = Server(app=lambda question: f"over {question.request.headers.get('host')}")
    host, port = server.listen(tls=ours)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with (
            socket.create_connection((host, port), 60) as plain,
            theirs.wrap_socket(plain, server_hostname="localhost") as wire,
        ):
            wire.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: wire.recv(4096), b""))
    finally:
        server.close()
        thread.join(60)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nover a.example")


@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_handlers_and_the_application_learn_whose_certificate_it_was(
    certificate: tuple[Path, Path], transport: str
) -> None:
    cert, key = map(str, certificate)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(cert, key)
    ours.load_verify_locations(cert)
    ours.verify_mode = ssl.CERT_REQUIRED
    theirs = ssl.create_default_context(cafile=cert)
    theirs.load_cert_chain(cert, key)
    seen: list[Any] = []
    io = Server(app=lambda question: repr(question.peer.certificate["subject"]))
    io.on("connection", lambda socket: seen.append(socket.handshake.certificate))
    io.on("connection", lambda socket: seen.append(socket.conn.certificate))
    port = io.listen(tls=ours)[1]
    plain = io.listen()[1]
    thread = threading.Thread(target=io.run)
    thread.start()
    try:
        url = f"https://localhost:{port}"
        with rawsio.connect(url, tls=theirs, transports=[transport], reconnection=False):
            pass
        with rawsio.connect(f"http://127.0.0.1:{plain}", transports=[transport]):
            pass
        with urllib.request.urlopen(url, context=theirs) as answer:
            assert b"localhost" in answer.read()
    finally:
        io.close(0.2)
        thread.join(60)
    subject = ((("commonName", "localhost"),),)
    assert [one and one["subject"] for one in seen] == [subject, subject, None, None]


@pytest.mark.rule("layers-turn-handlers", "layers-turn-long")
@pytest.mark.parametrize("flood", ["handlers", "long"])
def test_a_quiet_client_over_tls_waits_for_little_beside_floods(
    contexts: Contexts, flood: str
) -> None:
    client, server = contexts
    io = Server()
    calls: list[str] = []
    with TestKit(io, url="https://localhost", tls=server) as kit:

        def work(_socket: object, *values: object) -> None:
            kit.board.now += 0.0 if len(values) > 1 else 0.001
            calls.append("work")

        io.on("work", work)
        io.on("ask", lambda _socket: "answer")
        quiet = kit.connect(tls=client)
        floods = [kit.connect(tls=client) for _ in range(4)]
        kit.advance(1.0)
        for one in floods:
            for number in range(300 if flood == "handlers" else 1):
                one.emit("work", *([number] if flood == "handlers" else [[1]] * 60_000))
        total, waits = 4 * (300 if flood == "handlers" else 1), []
        while len(calls) < total:
            began = kit.board.now
            reply = quiet.emit_with_ack("ask")
            for _ in range(8):
                kit.loop.step(0)
                if reply.done():
                    break
            assert reply.result(0) == "answer"
            waits.append(kit.board.now - began)
        assert max(waits) < 0.03
        assert len(waits) > 5, "they were not long at work"


@pytest.mark.rule("layers-turn-order")
def test_events_that_were_put_back_come_before_the_connection_is_closed(
    contexts: Contexts,
) -> None:
    client = TLSConnection(contexts[0], Role.CLIENT, server_hostname="localhost")
    stack = ServerStack()
    server = Secured(TLSConnection(contexts[1], Role.SERVER), stack)
    for _ in range(3):
        server.receive(b"".join(client.data_to_send()))
        client.receive(b"".join(server.data_to_send()))
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    client.send(Closed())
    events = server.receive(b"".join(client.data_to_send()))
    assert events[-1] == Closed()
    stack.put_back(events[1:])  # as a router does when a share is used up
    assert (server.closing, server.reading, server.deadline) == (Closing.OPEN, False, 0.0)
    assert server.tick(1.0) == events[1:]
    assert server.closing is not Closing.OPEN


@pytest.mark.rule("layers-turn-order")
def test_what_was_put_back_is_handled_before_the_end_of_tls(contexts: Contexts) -> None:
    client, server = contexts
    io = Server()
    calls: list[int] = []
    with TestKit(io, url="https://localhost", tls=server) as kit:

        def work(_socket: object, number: int) -> None:
            kit.board.now += 0.02
            calls.append(number)

        io.on("work", work)
        one = kit.connect(tls=client)
        for number in range(50):
            one.emit("work", number)
        one.disconnect()
        kit.clients[0].close()
        kit.advance(5.0)
        assert calls == list(range(50))
        assert not io.sockets
