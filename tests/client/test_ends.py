"""The ends of a client's connections: nothing waits for ever, and nothing is lost silently."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from rawsio import ConnectionClosed, Refused, Server
from rawsio.client import Client
from rawsio.client.client import ClientState
from rawsio.limits import DEFAULT
from rawsio.socketio.msgpack import MsgpackParser
from rawsio.socketio.packets import Event
from rawsio.testing import TestKit

LIMITS = DEFAULT.but(message=4_000_000, kept_bytes=10_000)


def noted(socket: Any) -> list[Any]:
    """Return a list that gets what happens to a socket."""
    seen: list[Any] = []
    socket.on("connect", lambda: seen.append("connect"))
    socket.on("disconnect", lambda reason, _text: seen.append(reason))
    return seen


def test_what_is_emitted_behind_the_close_frame_is_dropped_and_the_end_is_told() -> None:
    with TestKit(Server()) as kit:
        socket = kit.connect()
        seen = noted(socket)
        kit.refusing = True
        kit.io.close()
        for number in range(6):
            kit.loop.step(0)
            socket.emit("position", number)
        kit.run()
        assert (seen, socket.connected) == (["transport close"], False)
        kit.serve(Server())
        kit.refusing = False
        kit.advance(30.0)
        assert seen == ["transport close", "connect"]


class NoPacket:
    """What no layer can send; that shows when the outbox is drained."""

    def __len__(self) -> int:
        return 1

    def isascii(self) -> bool:
        return True


class BrokenParser(MsgpackParser):
    def encode(self, packet: Any) -> Any:
        return (NoPacket(),) if isinstance(packet, Event) else super().encode(packet)


def test_a_failure_of_ours_in_a_flush_ends_the_session_for_everybody() -> None:
    with TestKit(Server(parser=MsgpackParser())) as kit:
        socket = kit.connect(reconnection=False, parser=BrokenParser())
        seen = noted(socket)
        reply = socket.emit_with_ack("x")
        kit.run()
        assert seen == ["transport error"]
        assert isinstance(reply.exception(), ConnectionClosed)
        assert kit.io.stats()["sessions"] == 0


def over(kit: TestKit, how: str) -> Any:
    """Return a socket for which no connection will be made any more."""
    if how == "refused":
        kit.io.of("/admin").use(_refuse)
        socket = kit.connect().client.socket("/admin")
    elif how == "no reconnection":
        socket = kit.connect(reconnection=False)
        kit.cut(socket)
    elif how == "attempts used up":
        socket = kit.connect(reconnection_attempts=2)
        kit.refusing = True
        kit.cut(socket)
        kit.advance(60.0)
        kit.refusing = False
    elif how == "disconnected":
        socket = kit.connect()
        socket.disconnect()
    else:
        socket = kit.connect()
        kit.run()
        kit.io.disconnect_sockets()
    kit.run()
    return socket


def _refuse(_socket: Any) -> None:
    raise Refused("not you")


ENDS = ["refused", "no reconnection", "attempts used up", "disconnected", "kicked"]


@pytest.mark.parametrize("how", ENDS)
def test_after_the_end_replies_fail_and_emits_are_refused_until_connect(how: str) -> None:
    with TestKit(Server()) as kit:
        kit.io.on("x", lambda _socket: "done")
        socket = over(kit, how)
        reply = socket.emit_with_ack("x")
        assert reply.done()
        assert "call connect() first" in str(reply.exception())
        with pytest.raises(ConnectionClosed, match=r"'/.*cannot be sent: .*connect\(\) first"):
            socket.emit("x")
        socket.volatile.emit("x")
        with pytest.raises(ConnectionClosed):
            socket.receive(1.0)
        if how != "refused":
            socket.connect()
            assert socket.emit_with_ack("x").result(5.0) == "done"


@pytest.mark.parametrize("how", ["attempts used up", "disconnected"])
def test_what_waits_when_the_end_comes_fails_and_is_counted_in_the_log(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    with TestKit(Server()) as kit:
        socket = kit.connect(reconnection_attempts=1)
        kit.refusing = True
        kit.cut(socket)
        reply = socket.emit_with_ack("x")
        socket.emit("y")
        if how == "disconnected":
            socket.disconnect()
        kit.advance(60.0)
        assert isinstance(reply.exception(), ConnectionClosed)
        assert "events in '/' that were not sent: 1; " in caplog.text


def test_a_reply_to_an_event_kept_for_the_next_connection_outlives_the_loss_of_one() -> None:
    with TestKit(Server()) as kit:
        kit.io.on("x", lambda _socket: "done")
        main = kit.connect()
        late = main.client.socket("/late")
        kit.io.of("/late").on("x", lambda _socket: "done")
        reply = late.emit_with_ack("x")  # before the answer to its CONNECT
        kit.cut(main)
        kit.advance(10.0)
        assert reply.result() == "done"


def test_events_of_a_stay_that_was_left_do_not_reach_the_next_one() -> None:
    with TestKit(Server()) as kit:
        room = kit.io.of("/room")
        main = kit.connect()
        socket = main.client.socket("/room")
        kit.run()
        seen = noted(socket)
        socket.on("news", seen.append)
        kit.stall(main)
        room.emit("news", "for the first stay")
        kit.run()
        socket.disconnect()
        socket.connect()
        kit.run()
        kit.resume(main)
        assert seen == ["io client disconnect", "connect"]
        room.emit("news", "for the second stay")
        kit.run()
        assert seen[2:] == ["for the second stay"]


@pytest.mark.parametrize("size", [100, 20_000])
def test_unheard_events_are_bounded_in_bytes_and_the_oldest_go(
    size: int, caplog: pytest.LogCaptureFixture
) -> None:
    with TestKit(Server()) as kit:
        socket = kit.connect(limits=LIMITS)
        for number in range(300):
            kit.io.emit("picture", number, "x" * size)
            kit.run()
        kept = []
        socket.on("picture", lambda number, _data: kept.append(number))
        kit.run()
        assert kept[-1] == 299
        assert len(kept) * size <= max(LIMITS.kept_bytes, size)
        assert kept == list(range(300 - len(kept), 300))
        assert "events that nobody listens to ('picture' and others)" in caplog.text


def test_what_waits_to_be_sent_is_bounded_in_bytes() -> None:
    with TestKit(Server()) as kit:
        kit.refusing = True
        client = kit.client(limits=LIMITS)
        client.main.connect()
        kit.run()
        client.main.emit("x", "y" * 9_000)
        with pytest.raises(ConnectionClosed, match="bytes wait to be sent already"):
            client.main.emit("x", "y" * 9_000)


@pytest.mark.parametrize("theirs", ["/realtime", "/realtime/"])
@pytest.mark.parametrize("ours", ["/realtime", "/realtime/"])
def test_a_path_fits_with_and_without_a_slash(theirs: str, ours: str) -> None:
    with TestKit(Server(path=theirs)) as kit:
        assert kit.connect(path=ours, transports=["polling"]).connected


def test_a_path_without_a_slash_can_be_asked_for() -> None:
    with TestKit(Server(path="/realtime", add_trailing_slash=False)) as kit:
        assert kit.connect(path="/realtime", add_trailing_slash=False).connected


def test_closing_a_client_says_no_disconnect_so_that_the_last_events_count() -> None:
    with TestKit(Server()) as kit:
        reasons: list[str] = []
        heard: list[int] = []
        kit.io.on("disconnect", lambda _socket, reason: reasons.append(reason))
        kit.io.on("last", lambda _socket, number: heard.append(number))
        for transports in (["websocket"], ["polling"], ["polling", "websocket"]):
            socket = kit.client(transports=transports).main.connect()
            kit.run()
            socket.emit("last", 1)
            socket.client.close()
            kit.run()
        assert heard == [1, 1, 1]
        assert reasons == ["transport close"] * 3


@pytest.mark.parametrize("at", ["\x813probe", "the poll's end"])
def test_the_end_has_a_post_of_its_own_whatever_the_upgrade_has_come_to(at: str) -> None:
    """Official servers drop what came in the same post as the end."""
    with TestKit(Server()) as kit:
        heard: list[int] = []
        kit.io.on("last", lambda _socket, number: heard.append(number))
        socket = kit.client(transports=["polling", "websocket"]).main.connect()
        if at == "the poll's end":  # the server lets it wait for a moment
            kit.run()
            kit.hold()
        else:
            kit.hold()
            kit.run()
            while not any(b"3probe" in (wire.coming[0] or b"") for wire in kit.coming):
                for wire in kit.coming:
                    wire.deliver()
                kit.run()
        assert (socket.connected, socket.client.transport) == (True, "polling")
        for number in range(3):
            socket.emit("last", number)
        socket.client.close()
        said: list[bytes] = []
        while True:  # the answer to the probe comes in the turn in which the client closes
            for wire in kit.coming:
                said.append(wire.coming[0] or b"")
                wire.deliver()
            kit.run()
            if not kit.coming:
                break
        assert heard == [0, 1, 2]
        assert [piece[-1:] for piece in said if b'"last",2]' in piece] == [b"]"]


def test_waiting_with_retry_says_at_the_end_why_it_was_in_vain() -> None:
    client = Client("http://127.0.0.1:1", retry=True, timeout=1.5, reconnection_delay=0.05)
    with pytest.raises(TimeoutError, match=r"not connected within 1\.5 s: .*refused"), client:
        pass
    assert client.state is ClientState.CLOSED


def test_an_event_before_the_answer_to_the_first_connect_is_delivered_after_it() -> None:
    # Servers of other kinds emit in their connection handlers, which run before that answer.
    with TestKit(Server()) as kit:
        kit.io.use(lambda socket: socket.emit("news", 1))
        main = kit.client().main
        seen = noted(main)
        main.on("news", seen.append)
        main.connect()
        kit.run()
        assert seen == [1, "connect"]


def test_off_removes_one_of_two_equal_registrations_on_both_sides() -> None:
    with TestKit(Server()) as kit:
        socket = kit.connect()
        (there,) = kit.io.sockets.values()
        for hearer, sender in ((socket, there), (there, socket)):
            seen: list[Any] = []
            note = partial(_note, seen)
            for _ in range(2):
                hearer.on("x", note)
                hearer.on_any(note)
            hearer.off("x", note)
            hearer.off_any(note)
            sender.emit("x")
            kit.run()
            assert len(seen) == 2


def _note(seen: list[Any], *_values: Any) -> None:
    seen.append(1)


@pytest.mark.parametrize("how", ["cut", "server"])
def test_a_connection_that_ends_before_its_namespace_is_joined_is_told(how: str) -> None:
    with TestKit(Server(connect_timeout=1.0)) as kit:
        socket = kit.client(reconnection_attempts=1, reconnection_delay=60.0).main
        errors: list[str] = []
        socket.on("connect_error", lambda error: errors.append(str(error)))
        kit.hold()
        socket.connect()
        kit.run()
        while not socket.client.connected:
            for wire in kit.coming:
                wire.deliver()
            kit.run()
        assert not socket.connected
        if how == "cut":
            kit.cut(socket)
        else:  # our CONNECT does not arrive in time
            kit.advance(1.0)
            kit.release()
        kit.run()
        (said,) = errors
        assert said.startswith("the connection ended before '/' at http://testkit was joined: ")
        assert isinstance(socket.opening.exception(), ConnectionClosed)
        assert socket.active  # the next attempt will be made
