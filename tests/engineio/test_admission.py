"""How much one address may take."""

from __future__ import annotations

import pytest

from rawsio.engineio.admission import Admission
from rawsio.engineio.checks import RequestError
from rawsio.engineio.packets import Message
from rawsio.limits import Limits

from .links import Bench, RecordingLink


@pytest.mark.rule("engineio-v4-handshake-sessions")
def test_an_address_has_so_many_sessions_and_others_are_not_touched() -> None:
    b = Bench(limits=Limits(sessions_per_address=2))
    first = b.open()
    b.open()
    assert b.request(b.q()).status == 503
    assert b.request(b.q(), link=RecordingLink("198.51.100.7")).status == 200
    first.close(discard=True)
    assert b.request(b.q()).status == 200


@pytest.mark.rule("engineio-v4-handshake-shut")
def test_a_server_that_shuts_down_takes_no_new_session() -> None:
    b = Bench()
    session = b.open()
    session.send(Message("last words"))
    b.server.close()
    assert b.request(b.q()).status == 503
    assert b.request(b.q(sid=session.id)).body == b"4last words"


@pytest.mark.rule("engineio-v4-handshake-rate")
def test_an_address_begins_so_many_sessions_in_ten_seconds() -> None:
    door = Admission(Limits(handshakes_per_second=2))
    for _ in range(20):
        door.check("192.0.2.1", 0, now=100.0)
    with pytest.raises(RequestError) as caught:
        door.check("192.0.2.1", 0, now=109.0)
    assert (caught.value.status, caught.value.code) == (429, 3)
    door.check("198.51.100.7", 0, now=109.0)
    door.check("192.0.2.1", 0, now=110.0)


def test_where_there_are_no_addresses_nothing_is_counted() -> None:
    door = Admission(Limits(handshakes_per_second=1, sessions_per_address=1))
    for _ in range(100):
        door.check("", 0, now=0.0)
        door.opened("")
    door.closed("")


def test_what_is_counted_is_forgotten() -> None:
    door = Admission(Limits())
    for number in range(1000):
        door.check(f"2001:db8::{number}", 0, now=0.0)
        door.opened(f"2001:db8::{number}")
    for number in range(1000):
        door.closed(f"2001:db8::{number}")
    door.check("192.0.2.1", 0, now=60.0)
    assert (door._sessions, len(door._handshakes)) == ({}, 1)
