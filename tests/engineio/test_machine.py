"""Sessions against a reference model, through random polls, posts, upgrades, cuts and time-outs.

The model is a client that knows the rules, and two lists of numbers in each direction: sent and
received.  Whatever happens, what was received is what was sent, in order, without a gap and without
a repetition; only what was in flight when a session ended may be missing at its end.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from rawsio.engineio.packets import Message, Upgraded, decode_base64, encode_payload
from rawsio.engineio.payloads_v3 import decode_binary, decode_text
from rawsio.engineio.payloads_v3 import encode_payload as encode_payload_v3
from rawsio.engineio.server.options import EngineOptions
from rawsio.engineio.states import SessionState, Stage
from rawsio.errors import LocalProtocolError
from rawsio.layer import Closed, Failed
from tests.engineio.server.links import Bench, RecordingLink


def _number(message: Message) -> int:
    data = message.data
    return int(data[1:]) if isinstance(data, str) else int.from_bytes(data, "big")


class SessionMachine(RuleBasedStateMachine):
    """One session, its client and the network between them."""

    @initialize(
        eio=st.sampled_from([3, 4]),
        begin=st.sampled_from(["polling", "polling", "polling", "websocket"]),
    )
    def begin(self, eio: int, begin: str) -> None:
        self.bench = Bench(EngineOptions(allow_eio3=True, upgrade_timeout=3.0))
        self.eio = eio
        self.sent_down = self.sent_up = 0
        self.got_down: list[int] = []
        self.got_up: list[int] = []
        self.terminal: Closed | Failed | None = None
        self.closed_by_us = False
        self.poll: RecordingLink | None = None
        self.candidate: RecordingLink | None = None
        self.probed = False
        self.websocket: RecordingLink | None = None
        if begin == "websocket":
            self.session, self.websocket = self.bench.open_websocket(eio=eio)
            self.websocket.drain()
        else:
            self.session = self.bench.open(eio=eio)
        self.take()

    # What the client understands

    def decode(self, link: RecordingLink) -> list[Any]:
        _, body = link.answer()
        if self.eio == 4:
            return list(body.decode().split("\x1e"))
        # A length begins with a digit, a binary payload with 00 or 01.
        return (decode_binary if body[0] < 2 else decode_text)(body, 10**6)

    def take_down(self, packets: list[Any]) -> None:
        for packet in packets:
            if isinstance(packet, bytes):
                data = packet if self.eio == 4 else packet[1:]
                self.got_down.append(int.from_bytes(data, "big"))
            elif packet[0] == "b":
                self.got_down.append(int.from_bytes(decode_base64(packet[1:]), "big"))
            elif packet[0] == "4":
                self.got_down.append(int(packet[2:]))
            elif packet[0] == "1":
                assert self.session.state is SessionState.CLOSED
            else:
                assert packet in ("2", "3", "6", "3probe"), packet

    def take(self) -> None:
        """Take what the server did: its events, its answers, its WebSocket messages."""
        for session, event in self.bench.events:
            assert session is self.session
            assert self.terminal is None, "an event after the end"
            if isinstance(event, Message):
                assert not self.closed_by_us
                self.got_up.append(_number(event))
            elif isinstance(event, (Closed, Failed)):
                self.terminal = event
        self.bench.events.clear()
        if self.poll is not None and self.poll.responses:
            link, self.poll = self.poll, None
            if link.status == 200:
                self.take_down(self.decode(link))
        if self.websocket is not None:
            self.take_down(self.websocket.drain())

    # What the application does

    @rule(binary=st.booleans(), count=st.integers(1, 3))
    def server_sends(self, binary: bool, count: int) -> None:
        for _ in range(count):
            number = self.sent_down
            data = number.to_bytes(2, "big") if binary else f"m{number}"
            try:
                self.session.send(Message(data))
            except LocalProtocolError:
                assert self.session.state is SessionState.CLOSED
                break
            self.sent_down += 1
        self.bench.settle()
        self.take()

    @rule(rare=st.integers(0, 9))
    def server_closes(self, rare: int) -> None:
        if rare == 0:
            self.closed_by_us |= self.session.state is SessionState.OPEN
            self.session.close()
            self.bench.settle()
            self.take()

    # What the client does

    def message_up(self, *, binary: bool) -> Any:
        data = self.sent_up.to_bytes(2, "big")
        text = f"m{self.sent_up}"
        self.sent_up += 1
        if not binary:
            return "4" + text
        return data if self.eio == 4 else b"\x04" + data

    @property
    def polls(self) -> bool:
        return self.websocket is None

    @precondition(lambda self: self.polls and self.poll is None)
    @rule()
    def client_polls(self) -> None:
        self.poll = self.bench.poll(self.session)
        self.take()

    @precondition(lambda self: self.polls)
    @rule(kinds=st.lists(st.booleans(), min_size=1, max_size=3))
    def client_posts(self, kinds: list[bool]) -> None:
        alive = self.session.state is SessionState.OPEN
        packets = [self.message_up(binary=binary) for binary in kinds]
        headers = {}
        if self.eio == 4:
            body = encode_payload(packets)
        else:
            body, octets = encode_payload_v3(packets)
            headers = {"Content-Type": "application/octet-stream"} if octets else {}
        link = self.bench.post(self.session, body, headers=headers)
        if alive:
            assert link.answer() == (200, b"ok")
        else:
            self.sent_up -= len(kinds)
        self.take()

    @precondition(lambda self: self.websocket is not None)
    @rule(binary=st.booleans())
    def client_sends_over_the_websocket(self, binary: bool) -> None:
        assert self.websocket is not None
        alive = self.session.transport.carrier is self.websocket
        packet = self.message_up(binary=binary)
        self.bench.packet(self.websocket, packet)
        self.sent_up -= not alive
        self.take()

    @rule()
    def client_keeps_the_heartbeat(self) -> None:
        packet = "3" if self.eio == 4 else "2"
        if self.websocket is not None:
            self.bench.packet(self.websocket, packet)
        else:
            self.bench.post(self.session, packet if self.eio == 4 else "1:" + packet)
        self.take()

    @precondition(lambda self: self.polls and self.candidate is None)
    @rule()
    def client_opens_a_candidate(self) -> None:
        link = self.bench.websocket(self.session.id, eio=self.eio)
        if link.responses:
            assert self.session.stage is Stage.OVER
        elif not link.closed:
            self.candidate, self.probed = link, False
        self.take()

    @precondition(lambda self: self.candidate is not None and not self.probed)
    @rule()
    def client_probes(self) -> None:
        assert self.candidate is not None
        self.bench.packet(self.candidate, "2probe")
        self.probed = self.candidate.drain() == ["3probe"]
        self.take()

    @precondition(lambda self: self.candidate is not None and self.probed)
    @rule()
    def client_upgrades(self) -> None:
        # An impatient client: it does not wait until its poll has ended.
        assert self.candidate is not None
        before = len(self.bench.events)
        self.bench.packet(self.candidate, "5")
        upgraded = any(isinstance(e, Upgraded) for _, e in self.bench.events[before:])
        if upgraded:
            self.websocket = self.candidate
            poll, self.poll = self.poll, None
            if poll is not None:
                self.take_down(self.decode(poll))
        self.candidate = None
        self.take()

    @precondition(lambda self: self.candidate is not None)
    @rule(packet=st.sampled_from(["4x", "", "2", "6"]))
    def client_says_something_wrong_on_the_candidate(self, packet: str) -> None:
        assert self.candidate is not None
        self.bench.packet(self.candidate, packet)
        assert self.candidate.closed
        self.candidate = None
        self.take()

    @rule(sid=st.sampled_from(["own", "other"]), method=st.sampled_from(["GET", "POST", "PUT"]))
    def client_opens_a_second_websocket_or_asks_nonsense(self, sid: str, method: str) -> None:
        if sid == "own" and method == "GET" and self.candidate is not None:
            assert self.bench.websocket(self.session.id, eio=self.eio).closed or (
                self.session.stage is Stage.OVER
            )
        elif sid == "other" or method == "PUT":
            name = self.session.id if sid == "own" else "other"
            link = self.bench.request(self.bench.q(name, eio=self.eio), method)
            assert link.status == 400
        self.take()

    # What the network does

    @rule(rare=st.integers(0, 5), what=st.sampled_from(["poll", "candidate", "websocket"]))
    def network_cuts(self, rare: int, what: str) -> None:
        link = getattr(self, what)
        if rare != 0 or link is None:
            return
        setattr(self, what, None)
        self.bench.lose(link)
        if what == "websocket":
            self.websocket = link
        self.take()

    @rule(seconds=st.sampled_from([0.05, 0.1, 1.0, 1.0, 5.0, 24.0]))
    def time_passes(self, seconds: float) -> None:
        self.bench.pass_time(seconds)
        if self.candidate is not None and self.candidate.closed:
            self.candidate = None
        self.take()

    # What always holds

    @invariant()
    def nothing_is_lost_repeated_or_reordered(self) -> None:
        if not hasattr(self, "session"):
            return
        assert self.got_up == list(range(len(self.got_up)))
        assert self.got_down == list(range(len(self.got_down)))
        if self.websocket is not None or self.poll is not None:
            assert self.session.connection.pending == 0, "what could go out was held back"
        if self.session.state is SessionState.OPEN:
            assert len(self.got_up) == self.sent_up
            queued = self.session.connection.data_to_send()
            waiting = [p for p in queued if not isinstance(p, str) or p[0] == "4"]
            assert len(self.got_down) + len(waiting) == self.sent_down
            # Put the queue back as it was: the invariant only looks.
            self.session.connection._outbox = queued or None

    @invariant()
    def the_registry_knows_the_living_and_nobody_else(self) -> None:
        if not hasattr(self, "session"):
            return
        living = self.session.stage is not Stage.OVER
        assert (self.session.id in self.bench.server.sessions) is living
        if self.session.state is SessionState.OPEN:
            assert self.terminal is None
            assert self.session.deadline is not None
        elif not self.closed_by_us:
            assert self.terminal is not None
            assert not living
        if not living:
            assert self.session.transport.carrier is self.session.candidate is None
            assert self.session.deadline is None
            assert self.poll is None

    def teardown(self) -> None:
        if not hasattr(self, "session"):
            return
        # Nobody says anything any more: in the end there is nothing left.
        self.bench.pass_time(1000.0)
        assert not self.bench.server.sessions
        for link in (self.poll, self.candidate, self.websocket):
            assert link is None or link.session is None


TestSessions = SessionMachine.TestCase
TestSessions.settings = settings(stateful_step_count=20)
