"""The queue of unsent parts: whatever the kernel takes, the order and the sum are right."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.net import write_buffer as unsent
from rawsio.net.write_buffer import JOIN, Pool, WriteBuffer


class Kernel:
    """A socket that takes so many bytes at a time, then says that it would block."""

    def __init__(self, takes: list[int], *, scatter: bool = True) -> None:
        self.takes = list(takes)
        self.got = bytearray()
        self.calls: list[str] = []
        if scatter:
            self.sendmsg = self._sendmsg

    def _take(self, data: bytes, call: str) -> int:
        self.calls.append(call)
        if not self.takes:
            raise BlockingIOError
        took = data[: self.takes.pop(0)]
        self.got += took
        return len(took)

    def send(self, data: Any) -> int:
        return self._take(bytes(data), "send")

    def _sendmsg(self, parts: Any) -> int:
        return self._take(b"".join(parts), "sendmsg")


PARTS = st.lists(
    st.one_of(st.binary(max_size=20), st.sampled_from([b"x" * 20_000, b"y" * 50_000])), max_size=12
)


@pytest.mark.parametrize("scatter", [True, False])
@given(PARTS, st.lists(PARTS, max_size=4), st.lists(st.integers(0, 60_000), max_size=30))
def test_every_byte_goes_out_once_and_in_order(
    scatter: bool, first: list[bytes], more: list[list[bytes]], takes: list[int]
) -> None:
    before = unsent._HAS_SENDMSG
    unsent._HAS_SENDMSG = scatter
    try:
        queue = WriteBuffer(first)
        kernel: Any = Kernel(takes, scatter=scatter)
        for parts in [*more, []]:
            size = queue.size
            progress = queue.send(kernel)
            assert progress is (queue.size < size)
            queue.extend(parts)
        kernel.takes = [1 << 30] * 100
        while queue.size:
            queue.send(kernel)
    finally:
        unsent._HAS_SENDMSG = before
    assert bytes(kernel.got) == b"".join(first + [part for parts in more for part in parts])


def test_small_parts_are_joined_into_one_call() -> None:
    kernel: Any = Kernel([1 << 30])
    queue = WriteBuffer([b"x" * 100] * 100)
    assert queue.send(kernel)
    assert kernel.calls == ["send"]
    assert queue.size == 0


def test_long_parts_go_out_together_unjoined() -> None:
    kernel: Any = Kernel([1 << 30])
    queue = WriteBuffer([b"head", b"x" * JOIN])
    queue.send(kernel)
    assert kernel.calls == ["sendmsg"]


def test_a_long_part_waits_as_the_object_that_it_is() -> None:
    frame = b"x" * 1_000_000
    queues = [WriteBuffer([b"a", frame]) for _ in range(10)]
    assert all(queue._parts[1] is frame for queue in queues)
    kernel: Any = Kernel([500_000])
    queues[0].send(kernel)
    rest: Any = queues[0]._parts[0]
    assert rest.obj is frame


def test_the_calls_for_one_event_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsent, "_HAS_SENDMSG", False)
    kernel: Any = Kernel([1 << 30] * 1000)
    queue = WriteBuffer([b"x" * 50_000] * 1000)
    queue.send(kernel)
    assert kernel.calls == ["send"] * 16


@pytest.mark.parametrize("parts", [[b"x" * 1000], [b"x" * 100] * 10, [b"x" * JOIN] * 3])
def test_a_call_that_took_less_than_it_was_given_is_the_last(parts: list[bytes]) -> None:
    kernel: Any = Kernel([10] * 100)
    queue = WriteBuffer(parts)
    assert queue.send(kernel)
    assert len(kernel.calls) == 1


def test_empty_parts_are_dropped() -> None:
    queue = WriteBuffer([b"", b"a", b""])
    queue.extend([b""])
    assert (queue.size, len(queue._parts)) == (1, 1)


@pytest.mark.rule("layers-memory-total")
@given(
    st.lists(
        st.one_of(st.binary(max_size=9), st.sampled_from([b"x" * 1100, b"y" * 1200])), max_size=6
    ),
    st.lists(st.integers(1, 5000), max_size=30),
    st.booleans(),
)
def test_the_pool_counts_what_waits_once_and_forgets_what_went_out(
    parts: list[bytes], takes: list[int], scatter: bool
) -> None:
    pool, shared = Pool(), bytes(unsent.POOLED)
    queues = [WriteBuffer([*parts, shared, memoryview(shared)[7:]], pool) for _ in range(3)]
    long = {id(part): len(part) for part in (*parts, shared) if len(part) >= unsent.POOLED}
    assert pool.size == sum(long.values())
    for queue in queues:
        kernel: Any = Kernel(takes, scatter=scatter)
        queue.send(kernel)
        assert 0 <= queue.own <= queue.size
    queues.pop().clear()
    for queue in queues:
        kernel = Kernel([1 << 20] * 1000, scatter=scatter)
        while queue.size:
            queue.send(kernel)
        assert queue.own == 0
    assert pool.size == 0
