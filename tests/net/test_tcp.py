"""Streams over real socket pairs: one send a turn, back-pressure, and every way to end."""

from __future__ import annotations

import errno
import gc
import socket
import struct
import weakref
from types import SimpleNamespace

import pytest

from rawsio.layer import Closed, Closing
from rawsio.limits import Limits
from rawsio.net.tcp import StreamState, TCPStream

from .kit import Clock, Parrot, joined, only_new_objects, turn_until


def test_what_the_peer_sends_comes_as_events_and_answers_go_back() -> None:
    with joined() as t:
        t.owner.react = lambda stream, event: stream.layer.send(event.upper())
        t.peer.sendall(b"hello")
        t.loop.step(0)
        assert t.owner.events == [b"hello"]
        assert t.peer.recv(100) == b"HELLO"


def test_a_new_layer_is_flushed_and_ticked_in_the_first_turn() -> None:
    t = joined()
    t.layer.send(b"I speak first")
    t.layer.deadline = 0.0
    with t:
        assert t.peer.recv(100) == b"I speak first"
        assert len(t.layer.ticks) == 1
        assert t.layer.deadline is None


@pytest.mark.rule("layers-driver-one-send")
def test_ten_small_sends_are_one_system_call() -> None:
    with joined() as t:
        for number in range(10):
            t.say(b"%d," % number)
        t.loop.step(0)
        assert t.sock.sends == [20]
        assert t.selector.modified == 0
        assert t.peer.recv(100) == b"0,1,2,3,4,5,6,7,8,9,"


def test_ten_answers_to_one_read_are_one_system_call() -> None:
    with joined() as t:

        def answer(stream: TCPStream, _event: object) -> None:
            for _ in range(10):
                stream.layer.send(b"x")
                stream.touch()

        t.owner.react = answer
        t.peer.sendall(b"?")
        t.loop.step(0)
        assert t.sock.sends == [10]


@pytest.mark.rule("layers-driver-one-receive")
def test_one_readable_event_is_one_receive() -> None:
    with joined() as t:
        t.peer.sendall(b"x" * 10)
        t.loop.step(0)
        assert t.sock.receives == [65536]


def test_a_full_read_makes_the_next_one_larger_and_small_ones_end_that_in_steps() -> None:
    with joined(Limits(receive_size=1000)) as t:
        t.peer.sendall(b"x" * 2500)
        t.turns(3)
        for _ in range(3):
            t.peer.sendall(b"y")
            t.loop.step(0)
        assert t.sock.receives == [1000, 4000, 4000, 2000, 1000]
        assert t.owner.received() == b"x" * 2500 + b"yyy"


def test_the_end_of_a_long_message_does_not_cut_the_next_one_in_two() -> None:
    with joined(Limits(receive_size=1000)) as t:
        for _ in range(5):
            t.peer.sendall(b"x" * 1020)
            t.turns(2)
        assert t.sock.receives == [1000, 4000, 2000, 2000, 2000, 2000]
        assert t.owner.received() == b"x" * 5100


def test_a_read_that_takes_long_makes_the_next_ones_smaller_down_to_an_end() -> None:
    clock = Clock()
    with joined(Limits(receive_size=10_000), clock=clock) as t:

        def work(_stream: TCPStream, _event: object) -> None:
            clock.now += 1.0

        t.owner.react = work
        for _ in range(4):
            t.peer.sendall(b"x")
            clock.now += 100.0  # what it had to do without is long over
            t.turns(2)
        assert t.sock.receives == [10_000, 5_000, 2_500, 2_048]


@pytest.mark.rule("layers-contract-tick")
def test_the_layer_is_ticked_before_it_receives_and_its_events_come_first() -> None:
    clock = Clock()
    with joined(clock=clock) as t:
        t.layer.tick_events = ["time passed"]
        clock.now = 1007.0
        t.peer.sendall(b"data")
        t.loop.step(0)
        assert t.owner.events == ["time passed", b"data"]
        assert t.layer.ticks[-1] == 1007.0


@pytest.mark.rule("layers-contract-deadline")
def test_a_deadline_of_zero_is_ticked_in_the_same_turn_and_its_answer_sent_with_the_rest() -> None:
    with joined() as t:

        def answer(stream: TCPStream, event: object) -> None:
            stream.layer.send(b"answer to " + event + b";")
            if event == b"one":
                stream.layer.deadline = 0.0
                stream.layer.tick_events = [b"two"]

        t.owner.react = answer
        t.peer.sendall(b"one")
        t.loop.step(0)
        assert t.peer.recv(100) == b"answer to one;answer to two;"
        assert len(t.sock.sends) == 1


@pytest.mark.rule("layers-contract-deadline")
def test_the_layers_deadline_is_kept_without_any_traffic() -> None:
    clock = Clock()
    with joined(clock=clock) as t:
        t.layer.deadline = 1025.0
        t.say(b"x")
        t.loop.step(0)
        clock.now = 1024.0
        t.loop.step(0)
        assert t.layer.ticks == []
        t.layer.tick_events = ["ping"]
        clock.now = 1025.0
        t.loop.step(0)
        assert t.layer.ticks == [1025.0]
        assert t.owner.events == ["ping"]


# Back-pressure


@pytest.mark.rule("layers-driver-unsent")
def test_a_slow_reader_reaches_high_water_and_drains() -> None:
    limits = Limits(high_water=200_000, low_water=50_000)
    with joined(limits, small=True) as t:
        for _ in range(10):
            t.say(b"x" * 50_000)
            t.loop.step(0)
        assert t.owner.marks == ["high"]
        assert 200_000 <= t.stream.buffered_amount <= 500_000
        got = 0
        while got < 500_000:
            got += len(t.peer_reads())
            before = t.stream.buffered_amount
            t.loop.step(0)
            if t.owner.marks == ["high"]:
                assert t.stream.buffered_amount > 50_000
            elif before > 50_000:
                assert t.stream.buffered_amount <= 50_000
        assert got == 500_000
        assert t.stream.buffered_amount == 0
        assert t.owner.marks == ["high", "drain"]
        assert t.stream.buffered_amount == 0


@pytest.mark.rule("layers-driver-unsent")
def test_a_peer_whose_answers_pile_up_is_not_read_until_it_reads() -> None:
    with joined(Limits(high_water=100_000, low_water=10_000), small=True) as t:
        t.owner.react = lambda stream, event: stream.layer.send(event * 50_000)
        for _ in range(8):
            t.peer.sendall(b"ab")
            t.turns(2)
        assert len(t.owner.events) < 8
        before = t.selector.woken
        t.turns(20)
        assert t.selector.woken == before, "a peer that is not read wakes the loop"
        got = bytearray()
        while len(got) < 800_000:
            got += t.peer_reads()
            t.loop.step(0)
        assert t.owner.received() == b"ab" * 8


@pytest.mark.rule("layers-driver-crowd")
def test_what_waits_in_the_layer_counts_when_the_owner_says_so() -> None:
    with joined(Limits(high_water=100_000, low_water=10_000)) as t:
        t.stream.enter_high_water()
        t.stream.enter_high_water()
        assert t.owner.marks == ["high"]
        t.peer.sendall(b"not read")
        t.loop.step(0)
        assert t.owner.events == []
        t.say(b"little enough to be sent at once")
        t.turns(3)
        assert t.owner.marks == ["high", "drain"]
        assert t.owner.events == [b"not read"]


@pytest.mark.rule("layers-backpressure-policy")
def test_the_owner_can_read_on_while_too_much_is_unsent() -> None:
    with joined(Limits(high_water=100_000, low_water=10_000), small=True) as t:
        t.stream.on_high = lambda stream: (t.owner.marks.append("high"), stream.ignore_high_water())
        t.say(b"x" * 400_000)
        t.turns(2)
        t.peer.sendall(b"still heard")
        t.turns(2)
        assert t.owner.events == [b"still heard"]
        while t.stream.buffered_amount:
            t.peer_reads()
            t.loop.step(0)
        assert t.owner.marks == ["high", "drain"]


def test_everything_arrives_in_order_whatever_the_kernel_takes_at_a_time() -> None:
    with joined(small=True) as t:
        wire = b"".join(b"%06d" % n for n in range(60_000))
        sizes = [1, 7, 40_000, 5, 100_000, 64, 33_000]
        rest, pieces = wire, []
        while rest:
            size = sizes[len(pieces) % len(sizes)]
            pieces.append(rest[:size])
            rest = rest[size:]
        t.sock.most = 9_999
        for number, piece in enumerate(pieces):
            t.layer.send(piece)
            if number % 3 == 0:
                t.stream.touch()
                t.loop.step(0)
        t.stream.touch()
        got = bytearray()
        while len(got) < len(wire):
            t.loop.step(0)
            got += t.peer_reads()
        assert bytes(got) == wire


def test_the_socket_is_watched_for_writing_only_while_something_is_unsent() -> None:
    with joined(small=True) as t:
        key = t.selector.get_key(t.sock.fileno())
        assert key.events == 1
        t.say(b"x" * 300_000)
        t.loop.step(0)
        assert t.selector.get_key(t.sock.fileno()).events == 3
        got = 0
        while got < 300_000:
            got += len(t.peer_reads())
            t.loop.step(0)
        t.loop.step(0)
        assert t.selector.get_key(t.sock.fileno()).events == 1


@pytest.mark.rule("layers-contract-reading")
def test_a_layer_that_can_only_store_is_not_fed_until_it_is_ready() -> None:
    with joined() as t:

        def full(stream: TCPStream, _event: object) -> None:
            stream.layer.reading = False

        t.owner.react = full
        t.peer.sendall(b"one")
        t.loop.step(0)
        t.peer.sendall(b"two")
        before = t.selector.woken
        t.turns(10)
        assert t.owner.events == [b"one"]
        assert t.selector.woken == before
        t.layer.reading = True
        t.stream.touch()
        t.turns(2)
        assert t.owner.events == [b"one", b"two"]


def test_the_owner_can_pause_and_resume_reading() -> None:
    with joined() as t:
        t.stream.pause()
        t.peer.sendall(b"later")
        t.turns()
        assert t.owner.events == []
        t.say(b"writing goes on")
        t.loop.step(0)
        assert t.peer.recv(100) == b"writing goes on"
        t.stream.resume()
        t.loop.step(0)
        assert t.owner.events == [b"later"]


@pytest.mark.rule("layers-driver-write-time")
def test_a_peer_that_takes_nothing_for_too_long_is_cut_off() -> None:
    clock = Clock()
    with joined(Limits(write_time=30.0, write_rate=1), clock, small=True) as t:
        t.say(b"x" * 500_000)
        t.loop.step(0)
        clock.now += 20
        assert t.peer_reads(100_000)
        t.turns(3)  # it took something: thirty seconds from now
        clock.now += 20
        t.turns(3)
        assert t.stream.state is StreamState.OPEN
        clock.now += 11
        t.loop.step(0)
        assert t.owner.closed == ["the peer takes no data"]
        assert t.owner.events == [Closed()]


@pytest.mark.parametrize(
    ("rate", "outcome"), [(1, StreamState.OPEN), (100_000, StreamState.CLOSED)]
)
def test_a_peer_that_takes_next_to_nothing_is_cut_off(rate: int, outcome: StreamState) -> None:
    clock = Clock()
    with joined(Limits(write_time=30.0, write_rate=rate), clock, small=True) as t:
        t.say(b"x" * 2_000_000)
        t.loop.step(0)
        for _ in range(4):
            t.peer_reads(100_000)
            t.turns(3)
            clock.now += 20
            t.turns(3)
        assert t.stream.state is outcome


def test_who_took_everything_is_not_cut_off_later() -> None:
    clock = Clock()
    with joined(Limits(write_time=30.0), clock, small=True) as t:
        t.say(b"x" * 100_000)
        got = 0
        while got < 100_000:
            t.loop.step(0)
            got += len(t.peer_reads())
        t.turns()
        clock.now += 1000
        t.turns()
        assert t.stream.state is StreamState.OPEN


# Ends


@pytest.mark.rule("layers-driver-eof")
def test_the_end_of_the_peer_reaches_the_layer_once_and_then_the_owner() -> None:
    with joined() as t:
        t.peer.sendall(b"last words")
        t.peer.close()
        t.turns()
        assert t.owner.events == [b"last words", Closed()]
        assert t.owner.closed == ["closed"]
        assert t.stream.state is StreamState.CLOSED
        assert t.driver.streams == set()


@pytest.mark.rule("layers-driver-eof")
def test_a_half_open_peer_still_gets_its_answer_and_does_not_spin_the_loop() -> None:
    with joined() as t:
        t.layer.at_eof = Closing.OPEN
        t.peer.sendall(b"GET")
        t.peer.shutdown(socket.SHUT_WR)
        t.turns()
        before = t.selector.woken
        t.turns(50)
        assert t.selector.woken == before
        t.say(b"the answer, late")
        t.layer.closing = Closing.HALF
        t.turns()
        assert t.peer.recv(100) == b"the answer, late"
        assert t.peer.recv(100) == b""
        assert t.owner.closed == ["closed"]


@pytest.mark.rule("layers-contract-closing")
def test_closing_now_closes_when_the_outbox_is_empty() -> None:
    with joined(small=True) as t:
        t.layer.closing = Closing.NOW
        t.say(b"x" * 300_000)
        t.loop.step(0)
        assert t.owner.closed == []
        got = 0
        while got < 300_000:
            got += len(t.peer_reads())
            t.loop.step(0)
        assert t.peer.recv(10) == b""
        t.loop.step(0)
        assert t.owner.closed == ["closed"]


@pytest.mark.rule("layers-contract-closing", "layers-driver-discard", "6455-7.1.1-clean")
def test_closing_half_ends_our_direction_and_goes_on_receiving() -> None:
    with joined() as t:
        t.layer.closing = Closing.HALF
        t.say(b"goodbye")
        t.turns()
        assert t.peer.recv(100) == b"goodbye"
        assert t.peer.recv(100) == b""
        assert t.stream.state is StreamState.ENDED
        t.peer.sendall(b"still here")
        t.turns()
        assert t.owner.events == [b"still here"]
        t.peer.close()
        t.turns()
        assert t.owner.closed == ["closed"]


@pytest.mark.rule("layers-driver-discard")
def test_after_the_end_of_our_direction_so_many_bytes_are_discarded_and_no_more() -> None:
    with joined(Limits(discard=100_000)) as t:
        t.layer.closing = Closing.HALF
        t.say(b"413")
        t.turns(2)
        t.peer.setblocking(False)
        for _ in range(19):
            t.peer.send(b"x" * 5_000)
            t.loop.step(0)
        assert t.owner.closed == []
        t.peer.send(b"x" * 10_000)
        t.loop.step(0)
        assert len(t.owner.received()) <= 100_000
        assert t.owner.closed == ["closed; the peer went on sending"]


@pytest.mark.rule("layers-driver-discard")
def test_after_the_end_of_our_direction_it_waits_for_so_long_and_no_longer() -> None:
    clock = Clock()
    with joined(Limits(discard_time=2.0), clock) as t:
        t.layer.closing = Closing.HALF
        t.say(b"408")
        t.turns(2)
        clock.now += 1.9
        t.turns(2)
        assert t.owner.closed == []
        clock.now += 0.1
        t.turns(2)
        assert t.owner.closed == ["closed; the peer did not"]


def test_a_paused_stream_still_notices_the_peer_while_it_ends() -> None:
    with joined() as t:
        t.stream.pause()
        t.layer.closing = Closing.HALF
        t.stream.touch()
        t.turns()
        t.peer.close()
        t.turns()
        assert t.owner.closed == ["closed"]


@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.ETIMEDOUT, errno.EBADF])
def test_an_error_while_receiving_is_an_end(number: int) -> None:
    with joined() as t:
        t.sock.fail["recv"] = OSError(number, "went wrong")
        t.peer.sendall(b"x")
        t.turns()
        assert t.owner.events == [Closed()]
        assert t.owner.closed == ["went wrong"]


def test_an_error_while_discarding_is_an_end() -> None:
    with joined() as t:
        t.layer.closing = Closing.HALF
        t.say(b"413")
        t.turns(2)
        t.sock.fail["recv"] = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        t.peer.sendall(b"x")
        t.turns()
        assert t.owner.closed == ["Connection reset by peer"]


@pytest.mark.parametrize("size", [10, 100_000])
def test_an_error_while_sending_is_an_end(size: int) -> None:
    with joined() as t:
        t.sock.fail["send"] = BrokenPipeError(errno.EPIPE, "Broken pipe")
        t.layer.deadline = t.loop.time() + 60
        t.say(b"x" * size, b"y" * size)
        t.turns()
        assert t.owner.events == [Closed()]
        assert t.owner.closed == ["Broken pipe"]
        assert t.stream.buffered_amount == 0
        assert len(t.driver.timers) == 0


def test_an_error_while_the_rest_is_sent_is_an_end() -> None:
    with joined(small=True) as t:
        t.say(b"x" * 300_000)
        t.loop.step(0)
        t.peer.close()
        t.turns()
        assert t.owner.events[-1] == Closed()
        assert len(t.owner.closed) == 1


def test_a_socket_that_has_nothing_after_all_is_asked_again_later() -> None:
    with joined() as t:
        t.sock.fail["recv"] = BlockingIOError()
        t.peer.sendall(b"x")
        t.loop.step(0)
        assert t.owner.closed == []
        t.sock.fail.clear()
        t.loop.step(0)
        assert t.owner.events == [b"x"]


def test_abort_closes_at_once_and_tells_the_owner_but_not_the_layer() -> None:
    with joined(small=True) as t:
        t.say(b"x" * 300_000)
        t.loop.step(0)
        t.stream.abort("server closing")
        t.stream.abort("again")
        assert t.owner.closed == ["server closing"]
        assert t.layer.eof == 0
        assert t.stream.deadline is None
        t.say(b"too late")
        t.turns()
        assert len(t.driver.timers) == 0


def test_a_handler_may_abort_the_stream_that_it_handles() -> None:
    with joined() as t:
        t.owner.react = lambda stream, _event: stream.abort("enough")
        t.peer.sendall(b"x")
        t.turns()
        assert t.owner.closed == ["enough"]


@pytest.mark.parametrize("where", ["receive", "tick", "on_events", "data_to_send"])
def test_an_exception_on_our_side_cuts_this_connection_and_is_logged(where: str) -> None:
    with joined() as t:

        def broken(*_arguments: object) -> list[object]:
            raise ZeroDivisionError

        if where == "on_events":
            t.owner.react = broken
        else:
            setattr(t.layer, where, broken)
        t.peer.sendall(b"x")
        t.turns()
        assert t.owner.closed == ["internal error"]
        assert t.lines
        assert t.driver.streams == set()


def test_many_pipelined_events_do_not_keep_the_loop_from_others() -> None:
    with joined() as t:
        left = [1000]

        def more(stream: TCPStream, _event: object) -> None:
            left[0] -= 1
            if left[0]:
                stream.layer.deadline = 0.0
                stream.layer.tick_events = [b"next"]

        t.owner.react = more
        t.peer.sendall(b"first")
        t.loop.step(0)
        assert 0 < left[0] < 1000
        turn_until(t.loop, lambda: left[0] == 0)


def test_a_stream_that_is_gone_leaves_nothing_behind() -> None:
    with joined() as t:
        t.layer.deadline = t.loop.time() + 0.9
        t.say(b"x")
        t.turns()
        assert len(t.driver.timers) == 1
        t.peer.close()
        t.turns()
        assert len(t.driver.timers) == 0
        assert len(t.selector.get_map()) == 1  # the wake-up socket


def test_a_stream_that_is_cut_with_bytes_unsent_leaves_nothing_behind() -> None:
    with joined() as t:
        t.layer.outbox.append(bytes(10_000_000))
        t.stream.touch()
        t.turns()
        assert t.stream.buffered_amount
        t.stream.abort()
        assert len(t.selector.get_map()) == 1  # the wake-up socket
        t.turns()


def test_what_comes_into_an_outbox_that_the_stream_knows_never_overtakes_what_is_unsent() -> None:
    with joined() as t:
        outbox = t.stream.outbox = t.layer.outbox
        t.say(b"first ")
        t.turns()
        assert t.peer_reads() == b"first "
        t.sock.most = 3
        outbox.append(b"second ")
        t.stream.send_soon()
        t.driver.flush()
        assert t.stream.buffered_amount
        t.sock.most = 100  # the peer has read, and the loop does not know yet
        outbox.append(b"third ")
        t.stream.send_soon()
        t.driver.flush()
        t.turns()
        outbox.append(b"fourth")
        t.stream.send_soon()
        t.turns()
        assert t.peer_reads() == b"second third fourth"


def test_a_stream_that_may_have_more_to_send_is_handed_nothing_out_at_once() -> None:
    with joined() as t:
        lane = SimpleNamespace(stream=t.stream, outbox=t.layer.outbox)
        t.driver.hand_out([lane], b"a layer that has to be asked", now=True)
        assert t.sock.sends == []
        t.turns()
        t.stream.outbox = t.layer.outbox
        t.stream.touch()
        t.turns()
        t.peer_reads()
        t.driver.hand_out([lane], b"now", now=True)
        assert t.peer_reads() == b"now"
        t.stream.touch()
        t.driver.hand_out([lane], b"with the rest", now=True)
        assert t.peer_reads() == b""
        t.turns()
        assert t.peer_reads() == b"with the rest"
        t.sock.fail["send"] = ConnectionResetError()
        t.driver.hand_out([lane], b"lost", now=True)
        assert t.owner.closed == []
        t.turns()
        assert t.owner.closed == ["ConnectionResetError"]


def test_a_stream_takes_a_blocking_socket_over() -> None:
    with joined() as t:
        ours, peer = socket.socketpair()
        stream = TCPStream(t.driver, ours, Parrot(), t.owner.on_events)
        assert ours.gettimeout() == 0.0
        assert stream in t.driver.streams
        stream.abort()
        peer.close()


def test_a_stream_can_be_aborted_after_its_loop_was_closed() -> None:
    with joined() as t:
        t.loop.close()
        t.stream.abort()
        assert t.owner.closed == ["aborted"]


def test_a_thousand_connections_that_end_in_every_way_leave_nothing_behind() -> None:
    with only_new_objects(), joined() as t:
        ghosts = []
        for number in range(1000):
            ours, peer = socket.socketpair()
            layer = Parrot()
            layer.deadline = t.loop.time() + 60
            stream = TCPStream(t.driver, ours, layer, t.owner.on_events, t.owner.on_closed)
            ghosts.append(weakref.ref(stream))
            peer.send(b"x")
            if number % 2:
                t.loop.step(0)
            if number % 5 == 0:
                stream.abort()
            elif number % 5 == 1:
                layer.closing = Closing.NOW
                stream.touch()
            elif number % 5 == 2:
                layer.closing = Closing.HALF
                stream.touch()
            elif number % 5 == 3:
                layer.tick = lambda _now: 1 // 0  # type: ignore[method-assign, return-value]
            peer.close()
            del stream, layer
        t.turns(10)
        assert len(t.owner.closed) == 1000
        gc.collect()
        assert not [ghost for ghost in ghosts if ghost() is not None]
        assert len(t.driver.timers._heap) < 100
        assert len(t.selector.get_map()) == 2


def test_who_is_at_the_other_end_is_named_in_the_log() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, joined() as t:
        client = socket.create_connection(server.getsockname())
        sock, address = server.accept()
        stream = TCPStream(t.driver, sock, Parrot(), lambda *_: None)
        assert stream.peer == f"127.0.0.1 port {address[1]}"
        assert t.stream.peer == "unix"
        stream.abort()
        assert stream.peer == "a peer that is gone"
        client.close()


@pytest.mark.rule("layers-memory-total")
@pytest.mark.parametrize("sizes", [[40_000], [40_000, 40_000], [100] * 500, [10] * 3])
def test_what_a_broken_connection_did_not_take_is_counted_no_more(sizes: list[int]) -> None:
    with joined() as t:
        pool = t.driver.pool
        for size in sizes:
            t.say(bytes(size))
        t.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        t.peer.close()
        turn_until(t.loop, lambda: t.stream.state is StreamState.CLOSED)
        assert pool.size == 0
