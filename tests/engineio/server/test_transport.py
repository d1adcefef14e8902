"""What every transport does: the two that are built in, and one that is written here.

:mod:`.event_stream` shows that a third needs no change in the library: it passes the same tests.
"""

from __future__ import annotations

from typing import Any

import pytest

from rawsio import Server
from rawsio.engineio.packets import Message, Upgraded, encode_payload
from rawsio.engineio.server import Transport
from rawsio.engineio.server.options import EngineOptions
from rawsio.engineio.server.session import Session
from rawsio.engineio.server.transports import BUILT_IN
from rawsio.engineio.states import SessionState
from rawsio.layer import Closed, Failed
from rawsio.limits import Limits
from rawsio.testing import TestKit

from .event_stream import EventStream, packets_of
from .links import Bench, RecordingLink
from .users import OPENED

SERVED = ("polling", "websocket", EventStream)


class Client:
    """A client that knows its transport, and a session of it."""

    name = ""

    def __init__(self, **more: Any) -> None:
        limits = more.pop("limits", Limits())
        options = {"ping_interval": 10.0, "ping_timeout": 5.0, **more}
        self.bench = Bench(EngineOptions(transports=SERVED, **options), limits)
        self.links: list[RecordingLink] = []
        self.opening = self.open()
        self.session: Session = self.bench.events[-1][0]
        assert self.bench.taken() == [OPENED]

    def _get(self, **headers: str) -> RecordingLink:
        link = self.bench.request(self.bench.q(transport=self.name), headers=headers)
        self.links.append(link)
        return link

    def open(self) -> Any:
        """Begin the session; return the open packet."""
        raise NotImplementedError

    def listen(self) -> None:
        """Be ready for packets."""

    def heard(self) -> list[Any]:
        """Return the packets that came since the last time, with the requests that it takes."""
        raise NotImplementedError

    def say(self, *packets: str | bytes) -> RecordingLink:
        """Send packets; return the link that they went over."""
        body = encode_payload(list(packets))
        query = self.bench.q(self.session.id, self.name)
        return self.bench.request(query, "POST", body=body)

    def held_back(self, link: RecordingLink) -> bool:
        """Whether what was said over this link should be the last for now."""
        return link.responses == []

    @property
    def down(self) -> RecordingLink:
        """The link that packets come by now."""
        link = self.session.transport.carrier
        assert isinstance(link, RecordingLink)
        return link


class PollingClient(Client):
    name = "polling"
    poll: RecordingLink | None = None

    def open(self) -> Any:
        return self._get().answer()[1].decode()

    def listen(self) -> None:
        if self.poll is None and self.session.id in self.bench.server.sessions:
            self.poll = self.bench.poll(self.session)
            self.links.append(self.poll)

    def heard(self) -> list[Any]:
        heard: list[Any] = []
        self.listen()
        while self.poll is not None and self.poll.responses:
            heard += self.poll.answer()[1].decode().split("\x1e")
            self.poll = None
            self.listen()
        return [packet for packet in heard if packet != "6"]


class WebSocketClient(Client):
    name = "websocket"

    def open(self) -> Any:
        return self._get(Upgrade="websocket", Connection="Upgrade").drain()[0]

    def heard(self) -> list[Any]:
        return self.links[0].drain()

    def say(self, *packets: str | bytes) -> RecordingLink:
        self.bench.packet(self.links[0], *packets)
        return self.links[0]

    def held_back(self, link: RecordingLink) -> bool:
        return [word for word in link.told if word in ("pause", "resume")][-1:] == ["pause"]


class StreamClient(Client):
    name = "sse"

    def open(self) -> Any:
        self._get()
        return self.heard()[0]

    def heard(self) -> list[Any]:
        content, self.links[0].content = self.links[0].content, b""
        return packets_of(content.decode())


CLIENTS = [PollingClient, WebSocketClient, StreamClient]
each = pytest.mark.parametrize("kind", CLIENTS, ids=lambda kind: kind.name)


def text(packets: list[Any]) -> list[str]:
    """Return packets in the form that they have in a payload."""
    return [encode_payload([packet]).decode() for packet in packets]


@each
def test_it_is_made_by_its_name_and_announces_the_session(kind: type[Client]) -> None:
    client = kind()
    assert client.opening.startswith(f'0{{"sid":"{client.session.id}"')
    assert client.session.transport.name == kind.name
    offered = ["websocket"] if kind.name != "websocket" else []
    assert client.session.transport.upgrades == tuple(offered)
    assert str(offered).replace("'", '"') in client.opening


@each
def test_it_carries_packets_up_in_order(kind: type[Client]) -> None:
    client = kind()
    client.say("4one", b"\x02", "4three")
    client.say("4four")
    expected = [Message("one"), Message(b"\x02"), Message("three"), Message("four")]
    assert client.bench.taken() == expected


@each
def test_it_carries_packets_down_in_order_and_each_once(kind: type[Client]) -> None:
    client = kind()
    client.listen()
    client.bench.send(client.session, "one", b"\x02", "three")
    client.bench.send(client.session, "four")
    assert text(client.heard()) == ["4one", "bAg==", "4three", "4four"]
    client.listen()
    assert client.heard() == []


@each
def test_what_was_encoded_once_for_many_arrives_as_its_messages(kind: type[Client]) -> None:
    class Ready:
        payload = "451-[]\x1ebAQ=="

        def packets(self, _revision: int = 4) -> tuple[str | bytes, ...]:
            return ("451-[]", b"\x01")

    client = kind()
    client.session.send_prepared(Ready())
    client.bench.settle()
    assert text(client.heard()) == ["451-[]", "bAQ=="]


@each
def test_it_is_writable_while_the_client_listens_and_little_waits(kind: type[Client]) -> None:
    client = kind(limits=Limits(low_water=1000))
    client.listen()
    assert client.session.writable
    if kind is PollingClient:
        client.session.send(Message("x" * 2000))
    else:
        client.down.buffered_amount = 2000
    assert client.session.buffered_amount >= 2000
    assert not client.session.writable


@each
def test_a_paused_client_is_held_back_until_it_may_go_on(kind: type[Client]) -> None:
    client = kind()
    client.session.transport.pause()
    link = client.say("4one")
    assert client.bench.taken() == [Message("one")]
    assert client.held_back(link)
    client.session.transport.resume()
    assert not client.held_back(link)
    assert not client.held_back(client.say("4two"))


@each
def test_who_waits_for_a_drain_is_told_once(kind: type[Client]) -> None:
    client = kind()
    client.session.send(Message("x"))
    client.session.transport.await_drain()
    client.bench.settle()
    if kind is PollingClient:
        client.heard()
    else:
        assert "await_drain" in client.down.told
        client.down.user.drained(client.down)
    client.heard()
    assert client.bench.recorder.drains == 1


@each
def test_the_heartbeat_goes_over_it(kind: type[Client]) -> None:
    client = kind()
    for _ in range(3):
        client.listen()
        client.bench.pass_time(10.0)
        assert client.heard() == ["2"]
        client.say("3")
    client.bench.pass_time(15.0)
    (failed,) = client.bench.taken()
    assert failed.rule == "engineio-v4-heartbeat-timeout"
    assert client.session.id not in client.bench.server.sessions


@each
@pytest.mark.parametrize("reason", ["transport close", "reset"])
def test_the_loss_of_what_packets_come_by_ends_the_session(kind: type[Client], reason: str) -> None:
    client = kind()
    client.listen()
    link = client.down
    client.bench.lose(link, reason)
    (end,) = client.bench.taken()
    assert isinstance(end, (Closed, Failed))
    assert client.bench.recorder.over == [client.session]
    assert not client.bench.server.sessions
    assert client.session.transport.carrier is None
    assert link.session is None
    client.bench.lose(link)
    assert client.bench.taken() == []


@each
def test_a_mistake_ends_the_session(kind: type[Client]) -> None:
    client = kind()
    client.listen()
    client.say("4before", "9what?", "4behind")
    before, failed = client.bench.taken()
    assert before == Message("before")
    assert failed.rule == "engineio-v4-packet-known"
    assert client.session.state is SessionState.CLOSED
    assert client.bench.recorder.over == [client.session]


@each
def test_the_last_words_of_the_server_arrive(kind: type[Client]) -> None:
    client = kind()
    client.session.send(Message("last"))
    client.session.close()
    heard = client.heard()
    assert heard[0] == "4last"
    assert heard[1:] in ([], ["1"])
    client.bench.pass_time(0.0)
    assert not client.bench.server.sessions
    assert all(link.session is None for link in client.links)


@each
def test_a_client_that_is_cut_off_is_let_go_of_at_once(kind: type[Client]) -> None:
    client = kind()
    client.listen()
    link = client.down
    client.session.send(Message("never"))
    client.session.cut_off("too slow", "layers-backpressure-queue")
    assert not client.bench.server.sessions
    assert client.bench.recorder.over == [client.session]
    assert link.session is None
    assert kind is PollingClient or "abort: too slow" in link.told


@each
def test_requests_that_name_another_transport_are_refused(kind: type[Client]) -> None:
    client = kind()
    for other in CLIENTS:
        if other is not kind and other is not WebSocketClient:
            link = client.bench.request(client.bench.q(client.session.id, other.name))
            assert link.answer() == (400, b'{"code":3,"message":"Bad request"}')
    assert client.session.state is SessionState.OPEN


@pytest.mark.parametrize("kind", [PollingClient, StreamClient], ids=lambda kind: kind.name)
def test_a_websocket_takes_over_and_nothing_is_lost_or_repeated(kind: type[Client]) -> None:
    client = kind()
    b, session = client.bench, client.session
    websocket = b.websocket(session.id)
    b.packet(websocket, "2probe")
    assert websocket.drain() == ["3probe"]
    b.send(session, "before")
    client.say("4up")
    heard = client.heard() if kind is StreamClient else []  # there it has arrived already
    b.packet(websocket, "5")
    assert heard + websocket.drain() == ["4before"]
    assert b.taken() == [Message("up"), Upgraded()]
    assert session.transport.name == "websocket"
    assert all(link.session is None for link in client.links)
    assert kind is PollingClient or "finish" in client.links[0].told
    b.send(session, "behind")
    assert websocket.drain() == ["4behind"]


# A server with a transport of one's own


def stream(kit: TestKit) -> tuple[Any, bytes]:
    """Return the wire of a stream, and the session id."""
    wire = kit.dial()
    wire.send(b"GET /socket.io/?EIO=4&transport=sse HTTP/1.1\r\nHost: a\r\n\r\n")
    kit.run()
    head = wire.recv(99999)
    assert b"text/event-stream" in head
    return wire, head.partition(b'sid\\":\\"')[2].partition(b"\\")[0]


def post(kit: TestKit, sid: bytes, body: bytes) -> bytes:
    """Post packets; return the answer."""
    wire = kit.dial()
    target = b"POST /socket.io/?EIO=4&transport=sse&sid=" + sid
    wire.send(b"%b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (target, len(body), body))
    kit.run()
    answer = bytes(wire.recv(99999))
    wire.close()  # an open connection keeps its last head
    kit.run()
    return answer


def test_socketio_runs_over_a_transport_of_ones_own() -> None:
    io = Server(transports=["polling", EventStream])
    sockets: list[Any] = []
    io.on("connection", sockets.append)
    io.on("add", lambda _socket, a, b: a + b)
    gone: list[str] = []
    io.on("disconnect", lambda _socket, reason: gone.append(reason))
    with TestKit(io) as kit:
        wire, sid = stream(kit)
        assert post(kit, sid, b"40").endswith(b"ok")
        assert b'40{\\"sid\\":' in wire.recv(99999)
        assert post(kit, sid, b'427["add",1,2]').endswith(b"ok")
        assert b'data: "437[3]"' in wire.recv(99999)
        io.emit("news", b"\x01")
        kit.run()
        assert b'data: "bAQ=="' in wire.recv(99999)
        assert sockets[0].conn.transport == "sse"
        assert kit.io.stats()["sessions"] == 1
        wire.close()
        kit.run()
        assert gone == ["transport close"]


def test_a_stream_that_nobody_reads_is_cut_off_like_every_client() -> None:
    limits = Limits(low_water=100_000, high_water=200_000, queue=400_000)
    io = Server(transports=[EventStream], limits=limits)
    gone: list[str] = []
    io.on("disconnect", lambda _socket, reason: gone.append(reason))
    with TestKit(io) as kit:
        wire, sid = stream(kit)
        post(kit, sid, b"40")
        wire.stalled = True
        for _ in range(100):
            io.emit("news", "x" * 20_000)
            kit.run()
        assert gone == ["transport error"]
        assert kit.io.stats()["sessions"] == 0
        assert kit.io.stats()["memory"]["total"] == 0


# Which transports a server takes


def test_a_transport_without_a_name_or_that_is_none_is_refused() -> None:
    class Nameless(Transport):
        pass

    with pytest.raises(ValueError, match="'' cannot be the name"):
        EngineOptions(transports=(Nameless,)).check()
    with pytest.raises(TypeError, match="derived from Transport"):
        EngineOptions(transports=(dict,)).check()  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="derived from Transport"):
        EngineOptions(transports=(1,)).check()  # type: ignore[arg-type]


def test_two_transports_of_one_name_are_refused() -> None:
    class Second(EventStream):
        pass

    with pytest.raises(ValueError, match="two of them have the name 'sse'"):
        EngineOptions(transports=(EventStream, Second)).check()


def test_one_may_replace_a_transport_that_is_built_in() -> None:
    class Mine(BUILT_IN["polling"]):  # type: ignore[misc,name-defined]
        __slots__ = ()

    options = EngineOptions(transports=(Mine, "websocket"))
    options.check()
    assert options.kinds() == {"polling": Mine, "websocket": BUILT_IN["websocket"]}
