"""What the layers of a traced connection report, as bytes that passed."""

from __future__ import annotations

from rawsio.layer import Closed, Role
from rawsio.tracing.inside import Inside

C, S = Role.CLIENT, Role.SERVER


class Heard:
    def __init__(self) -> None:
        self.told: list[tuple[Role, bytes | None]] = []

    def data(self, sender: Role, data: bytes) -> None:
        self.told.append((sender, data))

    def end(self, sender: Role) -> None:
        self.told.append((sender, None))


def test_units_of_the_lowest_layers_are_bytes_and_those_above_are_not() -> None:
    heard = Heard()
    report = Inside(heard)
    report("http", "in", "unit", b"GET")
    report("http", "in", "event", "a request")
    report("engineio", "in", "unit", "42")
    report("http", "out", "unit", bytearray(b"HTTP"))
    assert heard.told == [(C, b"GET"), (S, b"HTTP")]


def test_a_client_sends_what_goes_out() -> None:
    heard = Heard()
    Inside(heard, C)("websocket", "out", "unit", b"\x81\x80")
    assert heard.told == [(C, b"\x81\x80")]


def test_what_came_behind_the_101_is_told_once() -> None:
    heard = Heard()
    report = Inside(heard, C)
    report("http", "in", "unit", b"HTTP/1.1 101 S\r\n\r\n\x81\x00")
    report("websocket", "in", "unit", b"\x81\x00")
    report("websocket", "in", "unit", b"\x81\x00")
    assert [data for _, data in heard.told] == [b"HTTP/1.1 101 S\r\n\r\n\x81\x00", b"\x81\x00"]


def test_the_end_of_a_connection_is_the_end_of_both_directions() -> None:
    heard = Heard()
    Inside(heard)("http", "in", "event", Closed())
    assert heard.told == [(C, None), (S, None)]
