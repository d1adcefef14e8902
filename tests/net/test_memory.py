"""Wires and their switchboard: as sockets and a selector would be."""

from __future__ import annotations

from selectors import EVENT_READ, EVENT_WRITE

import pytest

from rawsio.net.memory import CAPACITY, PATIENCE, START, Switchboard, Wire


def test_a_wire_is_a_socket_to_those_who_use_it() -> None:
    here, there = Switchboard().pair()
    assert (here.gettimeout(), here.peer) == (0.0, there)
    with pytest.raises(BlockingIOError):
        there.recv(1)
    assert here.sendmsg([b"ab", memoryview(b"c")]) == 3
    assert (there.recv(2), there.recv(2)) == (b"ab", b"c")
    assert here.send(b"x" * (CAPACITY + 1)) == CAPACITY
    assert not here.writable
    with pytest.raises(BlockingIOError):
        here.send(b"y")
    here.shutdown(1)
    assert len(there.recv(CAPACITY)) == CAPACITY
    assert there.recv(1) == b""
    there.close()
    with pytest.raises(BrokenPipeError):
        here.send(b"z")
    assert here.recv(1) == b""


def test_what_is_sent_into_a_dead_wire_is_gone() -> None:
    here, there = Switchboard().pair()
    here.cut()
    assert here.send(b"abc") == 3
    assert not there.readable
    with pytest.raises(BlockingIOError):
        there.recv(3)


def test_a_reset_is_told_to_both_ends() -> None:
    here, there = Switchboard().pair()
    here.send(b"lost")
    there.reset()
    for end in (here, there):
        assert end.readable
        assert end.writable
        with pytest.raises(ConnectionResetError):
            end.recv(1)
        with pytest.raises(BrokenPipeError):
            end.send(b"x")


def test_a_selector_says_what_is_ready_and_lets_time_pass_otherwise() -> None:
    board = Switchboard()
    here, there = board.pair()
    board.register(here.fileno(), EVENT_READ, "data")
    assert board.select(2.0) == []
    assert board.time() == START + 2.0
    there.send(b"x")
    ((key, mask),) = board.select(2.0)
    assert (key.data, mask, board.time()) == ("data", EVENT_READ, START + 2.0)
    board.modify(here.fileno(), EVENT_READ | EVENT_WRITE)
    assert board.select(0)[0][1] == EVENT_READ | EVENT_WRITE
    here.stalled = True
    assert board.select(0)[0][1] == EVENT_WRITE
    assert board.unregister(here.fileno()) == key._replace(events=3, data=None)
    with pytest.raises(KeyError):
        board.get_key(here.fileno())
    with pytest.raises(RuntimeError, match="did not happen"):
        board.select(PATIENCE)
    board.close()
    assert not board.get_map()


def test_wires_that_are_closed_are_forgotten() -> None:
    board = Switchboard()
    kept = board.pair()
    for _ in range(1000):
        for end in board.pair():
            end.close()
    assert len(board._wires) < 200
    board.register(kept[0].fileno(), EVENT_WRITE)
    assert board.ready()


def test_what_is_sent_to_a_held_end_arrives_when_it_is_delivered() -> None:
    here, there = Switchboard().pair()
    there.held = True
    here.send(b"abcd")
    here.close()
    assert (there.readable, there.coming) == (False, (b"abcd", b""))
    assert here.room == CAPACITY - 4
    assert (there.deliver(1), there.recv(9), there.coming) == (b"a", b"a", (b"bcd", b""))
    there.held = False
    assert (there.deliver(), there.deliver()) == (b"bcd", b"")
    assert (there.recv(9), there.recv(9), there.coming) == (b"bcd", b"", ())


def test_what_is_sent_after_a_hold_does_not_overtake() -> None:
    here, there = Switchboard().pair()
    there.held = True
    here.send(b"a")
    there.held = False
    here.send(b"b")
    here.shutdown(1)
    assert there.coming == (b"a", b"b", b"")


def test_what_arrives_at_a_closed_end_comes_back_as_a_reset() -> None:
    board = Switchboard()
    board.held = True
    here, there = board.pair()
    there.close()
    assert here.send(b"a") == 1  # the end is still on its way
    there.deliver()
    assert here.coming == (b"", None)
    assert (here.deliver(), here.recv(1)) == (b"", b"")
    assert here.deliver() is None
    with pytest.raises(ConnectionResetError):
        here.recv(1)


def test_a_cut_loses_what_is_on_its_way() -> None:
    board = Switchboard()
    board.held = True
    for end in (Wire.reset, Wire.cut):
        here, there = board.pair()
        here.send(b"a")
        end(there)
        here.close()
        there.close()
        assert there.coming == ()
    assert board.wires == []
