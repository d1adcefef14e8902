"""TLS at the socket and TLS as a layer: nobody can tell, whatever comes, and wherever it is cut.

A traced server keeps TLS between its layers, so it is the judge.
"""

from __future__ import annotations

import errno
import functools
import gc
import re
import shutil
import ssl
import weakref
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio import Server
from rawsio.layer import Closed, Role
from rawsio.net.memory import Wire
from rawsio.net.veil import Veil
from rawsio.testing import TestKit
from rawsio.tls import Secured, TLSConnection, TLSState
from rawsio.websocket.connection import WebSocketConnection
from rawsio.websocket.frames import CLOSE, encode_frame
from tests.explore.scenarios import contexts
from tests.stack.joined import UPGRADE
from tests.test_routes import KEY, SMALL, Conversation, _frames, _masked, without_pongs

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the openssl command makes the certificate"
)

HELLO = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"
ROOMY = SMALL.but(message=90_000, turn_bytes=30_000, write_time=60.0)


@functools.cache
def both_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return contexts()


class SecureWire:
    """A client's end of a wire, behind TLS; what TLS itself says is in ``ends``."""

    def __init__(self, wire: Any, run: Any) -> None:
        self.wire, self._run = wire, run
        self.tls = TLSConnection(both_contexts()[0], Role.CLIENT, server_hostname="localhost")
        self.ends: list[Any] = []
        self._plain = b""
        self.cut = 1 << 30
        for _ in range(3):
            self.flush()
            self._hear()

    @property
    def closed(self) -> bool:
        return bool(self.wire.closed)

    @property
    def stalled(self) -> bool:
        return bool(self.wire.stalled)

    @stalled.setter
    def stalled(self, yes: bool) -> None:
        self.wire.stalled = yes

    @property
    def open(self) -> bool:
        return self.tls.state is TLSState.OPEN

    def send(self, data: bytes) -> int:
        if self.open:
            self.tls.send(data)
            self.flush()
        return len(data)

    def raw(self, data: bytes) -> None:
        """Send ciphertext in pieces; the server sees to each."""
        for at in range(0, len(data), self.cut):
            piece = data[at : at + self.cut]
            while piece:
                try:
                    piece = piece[self.wire.send(piece) :]
                except (BlockingIOError, BrokenPipeError):
                    return
                self._run()

    def recv(self, size: int) -> bytes:
        self._hear()
        if not self._plain:
            raise BlockingIOError
        found, self._plain = self._plain[:size], self._plain[size:]
        return found

    def flush(self) -> None:
        for data in self.tls.data_to_send():
            self.raw(data)
        self._run()

    def _hear(self) -> None:
        while not self.wire.stalled:
            try:
                data = self.wire.recv(99999)
            except (BlockingIOError, ConnectionResetError):
                return
            events = self.tls.receive(data) if data else self.tls.receive_eof()
            for event in events:
                if isinstance(event, bytes):
                    self._plain += event
                else:
                    self.ends.append(event)
            if not data:
                return
            self._run()


class SecureConversation(Conversation):
    """The same over TLS, with ends and mistakes of TLS as further steps."""

    def surroundings(self) -> TestKit:
        return TestKit(self.io, url="https://localhost", tls=both_contexts()[1])

    def begin(self, *, traced: bool) -> None:
        self.wire = SecureWire(self.wire, self.kit.run)
        assert isinstance(self.stream.layer, Secured)

    def listen(self) -> None:
        super().listen()
        self.heard = re.sub(rb"Date: [^\r]+", b"Date: today", self.heard)

    @property
    def stream(self) -> Any:
        return next(iter(self.io.net.driver.streams))

    @property
    def veiled(self) -> bool:
        return isinstance(self.stream.sock, Veil)

    def do(self, step: Any) -> None:
        wire = self.wire
        if isinstance(step, bytes):
            super().do(step)
            return
        if isinstance(step, int):
            wire.cut = step
        elif step == "alert":
            if wire.open:
                wire.tls.send(Closed())
                wire.flush()
        elif step == "junk":
            wire.raw(b"\x17\x03\x03\x00\x20" + bytes(32))
        elif step == "last words":  # plaintext, and a broken record behind it, in one read
            if wire.open:
                wire.tls.send(_masked('27["chat","x"]'))
                wire.raw(b"".join(wire.tls.data_to_send()) + b"junk that is no record")
        elif step == "eof":
            wire.wire.shutdown(1)
        elif step == "reset":
            wire.wire.reset()
        else:
            super().do(step)
            return
        self.kit.run()
        self.listen()


def both(steps: list[Any], limits: Any = SMALL, backpressure: str = "pause") -> bool:
    """Do the same with both; return whether TLS was at the socket of one at any time."""
    ways = [
        SecureConversation(limits, traced=traced, backpressure=backpressure)
        for traced in (False, True)
    ]
    veiled = False
    try:
        for step in steps:
            for way in ways:
                way.do(step)
            ours, judge = ways
            assert without_pongs(ours.heard) == without_pongs(judge.heard)
            assert ours.calls == judge.calls
            assert ours.state() == judge.state()
            assert ours.wire.ends == judge.wire.ends
            assert not judge.io.net.driver.streams or not judge.veiled
            assert len(ours.io.net.driver.streams) == len(judge.io.net.driver.streams)
            veiled |= bool(ours.io.net.driver.streams) and ours.veiled
    finally:
        for way in ways:
            way.kit.close()
    return veiled


_steps = st.one_of(
    st.lists(_frames, min_size=1, max_size=6).map(b"".join),
    st.lists(_frames, min_size=1, max_size=6).map(b"".join),
    st.sampled_from(["silence", "listen", 1.0, 9.0, 11.0]),
    st.sampled_from([1 << 30, 1 << 30, 500, 30, 7]),
    st.sampled_from(["alert", "junk", "last words", "eof", "reset"]),
)


@given(
    st.lists(_steps, min_size=1, max_size=8),
    st.sampled_from(["pause", "drop-volatile", "disconnect"]),
)
@example([_masked('27["much"]'), "silence", *[_masked('2["much"]')] * 9, "listen"], "disconnect")
@example([_masked('27["leave"]') + _masked('28["chat"]') + _masked("39[]"), "alert"], "pause")
@example([_masked('2["end"]')], "pause")
@example([encode_frame(CLOSE, b"", mask=KEY)], "pause")
@example(["last words"], "pause")
@example([30, _masked('27["chat"]'), "last words", "eof"], "pause")
def test_nobody_can_tell_where_tls_is(steps: list[Any], backpressure: str) -> None:
    both([UPGRADE, _masked("0"), *steps], backpressure=backpressure)


@pytest.mark.parametrize("last", ["alert", "junk", "last words", "eof", "reset"])
@pytest.mark.parametrize(
    "before",
    [
        [HELLO],
        [HELLO, HELLO[:20]],
        [UPGRADE],
        [UPGRADE, _masked("0"), _masked('27["chat"]')],
        [UPGRADE, _masked("0"), _masked('27["chat"]')[:9]],
        [UPGRADE, _masked("0"), "silence", *[_masked('2["much"]')] * 200],
        [b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    ],
)
def test_every_end_is_the_same_in_each_state(before: list[Any], last: str) -> None:
    assert both([*before, last, "listen", 1.0, HELLO, 100.0])


@pytest.mark.parametrize("size", [0, 1, 5000, 16_384, 16_385, 60_000])
def test_long_messages_are_the_same_both_ways(size: int) -> None:
    text = _masked('27["chat","' + "x" * size + '"]')
    assert both([UPGRADE, _masked("0"), text, 5000, text, _masked('28["chat"]')], ROOMY)


def test_what_the_kernel_does_not_take_is_sent_later_and_the_short_ways_are_open_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = _masked('27["chat","' + "x" * 60_000 + '"]')
    roomy = ROOMY.but(high_water=4_000_000, low_water=100_000, queue=9_000_000)
    way = SecureConversation(roomy, traced=False, backpressure="pause")
    for step in (UPGRADE, _masked("0"), text):
        way.do(step)
    assert way.veiled
    way.do("silence")
    for _ in range(4):
        way.do(text)
    assert not way.veiled
    assert way.stream.buffered_amount
    way.do("listen")
    way.do(_masked('28["none"]'))
    assert way.veiled
    way.do(_masked('29["chat"]'))
    assert way.heard.count(b"x" * 60_000) == 10
    assert b"439[]" in way.heard
    for _ in range(16):  # so many reads nobody looks at, after some that were too long
        way.do(_masked('28["none"]'))
    monkeypatch.setattr(WebSocketConnection, "receive", lambda *_data: pytest.fail("a long way"))
    way.do(_masked('29["chat"]'))
    assert way.heard.count(b"439[]") == 2
    way.kit.close()


@pytest.mark.parametrize("silent", [False, True])
def test_more_frames_than_a_system_call_takes_are_ciphertext_as_well(*, silent: bool) -> None:
    roomy = ROOMY.but(high_water=4_000_000, low_water=100_000, queue=9_000_000)
    way = SecureConversation(roomy, traced=False, backpressure="pause")
    for step in (UPGRADE, _masked("0"), _masked('27["chat"]'), "silence" if silent else "listen"):
        way.do(step)
    assert way.veiled
    for number in range(400):
        way.io.emit("news", f"{number} " + "x" * 1000)
    way.kit.run()
    way.do("listen")
    assert way.wire.ends == []
    assert way.heard.count(b"x" * 1000) == 400
    way.kit.close()


def test_an_error_that_passes_leaves_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = [OSError()]  # not before the connection is open
    theirs: Any = None
    send = Wire.send

    def fail_once(sock: Wire, data: bytes) -> int:
        if failed or sock is theirs:
            return send(sock, data)
        failed.append(OSError(errno.ENOBUFS, "no room"))
        raise failed[0]

    monkeypatch.setattr(Wire, "send", fail_once)
    way = SecureConversation(SMALL, traced=False, backpressure="pause")
    theirs = way.wire.wire
    for step in (UPGRADE, _masked("0"), _masked('27["chat"]')):
        way.do(step)
    assert way.veiled
    failed.clear()
    way.do(_masked('28["chat"]'))
    assert failed
    assert way.wire.ends == []
    assert b"438[]" in way.heard
    way.kit.close()


def test_a_long_message_waits_for_its_turn_where_others_take_long() -> None:
    way = SecureConversation(ROOMY.but(queue=90_000), traced=False, backpressure="pause")
    for step in (UPGRADE, _masked("0"), _masked('27["chat"]'), 1.0):
        way.do(step)
    assert way.veiled
    driver, calls = way.io.net.driver, len(way.calls)
    way.wire.tls.send(_masked('28["chat","' + "x" * 9000 + '"]'))
    way.wire.wire.send(b"".join(way.wire.tls.data_to_send()))
    for _ in range(5):  # and not once for each 256 bytes
        driver.crowded = True
        way.kit.loop.step(0)
    assert len(way.calls) == calls + 1
    way.kit.close()


def test_an_answer_that_is_to_be_sent_when_tls_breaks_is_not_sent_as_plaintext() -> None:
    way = SecureConversation(SMALL, traced=False, backpressure="pause")
    way.do(HELLO)
    stream, wire = way.stream, way.wire
    wire.tls.send(HELLO)
    for data in (b"".join(wire.tls.data_to_send()), b"junk that is no record"):
        wire.wire.send(data)
        stream.readable()  # twice in a turn, as some loops do
    way.kit.run()
    alert = wire.wire.recv(1000)
    assert len(alert) > 7
    assert b"HTTP" not in alert
    way.kit.close()


def test_a_connection_that_has_ended_leaves_no_ring() -> None:
    way = SecureConversation(SMALL, traced=False, backpressure="pause")
    way.do(UPGRADE)
    way.do(_masked("0"))
    stream = weakref.ref(way.stream)
    gc.collect()
    gc.disable()
    try:
        way.do("eof")
        way.peers.clear()
        assert stream() is None
    finally:
        gc.enable()
        way.kit.close()


def test_many_records_in_one_read_count_as_time_that_the_client_takes() -> None:
    io = Server()
    with TestKit(io, url="https://localhost", tls=both_contexts()[1]) as kit:
        wire = SecureWire(kit.dial(), kit.run)
        wire.send(UPGRADE)
        (stream,) = io.net.driver.streams
        tls, records = wire.tls, b""
        for byte in encode_frame(1, b"3" + b"x" * 300, mask=KEY):
            tls.send(bytes([byte]))
            records += b"".join(tls.data_to_send())
        time = kit.board.time
        io.net.driver.time = lambda: time() + next(ticks)  # each look at the clock takes 10 ms
        ticks = iter(n * 0.01 for n in range(10**6))
        wire.wire.send(records)
        kit.loop.step(0)
        assert stream.heavy


def test_what_has_no_plaintext_counts_as_well() -> None:
    io = Server()
    with TestKit(io, url="https://localhost", tls=both_contexts()[1]) as kit:
        wire = SecureWire(kit.dial(), kit.run)
        wire.send(UPGRADE)
        (stream,) = io.net.driver.streams
        wire.tls.send(bytes(9000))
        time = kit.board.time
        io.net.driver.time = lambda: time() + next(ticks)  # each look at the clock takes 10 ms
        ticks = iter(n * 0.01 for n in range(10**6))
        wire.wire.send(b"".join(wire.tls.data_to_send())[:5000])
        kit.loop.step(0)
        assert stream.heavy
