"""The wake-up socket: any number of reasons, one byte, nothing lost."""

from __future__ import annotations

import select

import pytest

from rawsio.net.wakeup import WakeUp


@pytest.fixture
def pair():
    made = WakeUp()
    yield made
    made.close()


def ready(pair: WakeUp) -> bool:
    return bool(select.select([pair.fileno()], [], [], 0)[0])


def test_it_becomes_readable_and_draining_makes_it_quiet_again(pair: WakeUp) -> None:
    assert not ready(pair)
    pair.wake()
    assert ready(pair)
    pair.drain()
    assert not ready(pair)
    pair.wake()
    assert ready(pair)


def test_a_million_reasons_are_one_byte(pair: WakeUp) -> None:
    for _ in range(1000):
        pair.wake()
    assert pair._here.recv(4096) == b"\0"


def test_bytes_of_signals_are_drained_with_ours(pair: WakeUp) -> None:
    import os

    os.write(pair.writable_fileno(), b"\x02\x0f")
    pair.wake()
    pair.drain()
    assert not ready(pair)


def test_a_full_buffer_does_not_block_the_writer(pair: WakeUp) -> None:
    try:
        while True:
            pair._there.send(b"x" * 4096)
    except BlockingIOError:
        pass
    pair.wake()
    assert ready(pair)


def test_draining_nothing_and_waking_after_the_end_are_harmless() -> None:
    pair = WakeUp()
    pair.drain()
    pair.close()
    pair.wake()
