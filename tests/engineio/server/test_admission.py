"""How much one address may take."""

from __future__ import annotations

import pytest

from rawsio.engineio.connection import EngineIOConnection
from rawsio.engineio.packets import Message
from rawsio.engineio.server.admission import Admission
from rawsio.engineio.server.checks import RequestError
from rawsio.engineio.server.polling import Query
from rawsio.engineio.server.registry import SessionRegistry
from rawsio.engineio.server.session import Session
from rawsio.engineio.server.transports import Polling
from rawsio.layer import Failed, Role
from rawsio.limits import Limits

from .links import Bench, RecordingLink
from .users import OPENED


def at(address: str) -> Session:
    connection = EngineIOConnection(Role.SERVER)
    return Session(
        "x",
        connection,
        Polling,
        Query("4", "polling", None, False, None),
        SessionRegistry(),
        RecordingLink(address),
    )


@pytest.mark.rule("engineio-v4-handshake-sessions")
def test_an_address_has_so_many_sessions_and_others_are_not_touched() -> None:
    b = Bench(limits=Limits(sessions_per_address=2))
    first = b.open()
    b.open()
    assert b.request(b.q()).status == 503
    assert b.request(b.q(), link=RecordingLink("198.51.100.7")).status == 200
    first.close(discard=True)
    assert b.request(b.q()).status == 200


@pytest.mark.rule("engineio-v4-handshake-evicted")
@pytest.mark.parametrize("transport", ["polling", "websocket"])
def test_in_a_full_table_the_oldest_guest_makes_room_and_nobody_who_is_confirmed(
    transport: str,
) -> None:
    b = Bench(limits=Limits(sessions=3), guests=True)
    opening = b.open if transport == "polling" else lambda: b.open_websocket()[0]
    old, guest, young = opening(), opening(), opening()
    old.confirm()
    b.taken()
    newcomer = opening()
    failed, opened = b.taken()
    assert opened == OPENED
    assert isinstance(failed, Failed)
    assert failed.rule == "engineio-v4-handshake-evicted"
    assert list(b.server.sessions.values()) == [old, young, newcomer]
    assert guest.guest


@pytest.mark.rule("engineio-v4-handshake-evicted")
def test_an_evicted_client_is_told_so_by_the_poll_that_waits() -> None:
    b = Bench(limits=Limits(sessions=1), guests=True)
    waiting = b.parked(b.open())
    b.open()
    assert waiting.body == b"1"


@pytest.mark.rule("engineio-v4-handshake-sessions")
def test_a_table_full_of_confirmed_sessions_takes_nobody() -> None:
    b = Bench(limits=Limits(sessions=2), guests=True)
    for session in (b.open(), b.open()):
        session.confirm()
        session.confirm()
    assert b.request(b.q()).status == 503
    assert len(b.server.sessions) == 2


@pytest.mark.rule("engineio-v4-handshake-evicted")
def test_the_guest_of_an_address_that_has_its_share_makes_room_for_that_address() -> None:
    b = Bench(limits=Limits(sessions=9, sessions_per_address=2), guests=True)
    b.request(b.q(), link=RecordingLink("198.51.100.7"))
    (other,) = b.server.sessions.values()
    first, second, third = b.open(), b.open(), b.open()
    assert list(b.server.sessions.values()) == [other, second, third]
    second.confirm()
    third.confirm()
    assert b.request(b.q()).status == 503
    assert first.guest


@pytest.mark.rule("engineio-v4-handshake-rate", "engineio-v4-handshake-evicted")
def test_who_opens_sessions_too_fast_pushes_nobody_out() -> None:
    b = Bench(limits=Limits(sessions=1, handshakes_per_second=1), guests=True)
    for _ in range(10):
        last = b.open()
    assert b.request(b.q()).status == 429
    assert list(b.server.sessions.values()) == [last]


@pytest.mark.rule("engineio-v4-close-grace")
def test_a_guest_gets_no_time_to_poll_for_its_last_packets() -> None:
    b = Bench(guests=True)
    session = b.open()
    session.send(Message("last words"))
    session.close()
    assert not b.server.sessions


@pytest.mark.rule("engineio-v4-handshake-shut")
def test_a_server_that_shuts_down_takes_no_new_session() -> None:
    b = Bench()
    session = b.open()
    session.send(Message("last words"))
    b.server.close()
    assert b.request(b.q()).status == 503
    assert b.request(b.q(sid=session.id)).body == b"4last words"


@pytest.mark.rule("engineio-v4-handshake-memory")
def test_without_memory_nobody_new_is_admitted_and_those_who_are_in_go_on() -> None:
    b = Bench()
    session = b.open()
    b.server.admit(False)
    assert b.request(b.q()).status == 503
    session.send(Message("news"))
    assert b.request(b.q(sid=session.id)).body == b"4news"
    b.server.admit(True)
    assert b.request(b.q()).status == 200


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
        door.opened(at(""))
    door.closed(at(""))


def test_what_is_counted_is_forgotten() -> None:
    door = Admission(Limits())
    for number in range(1000):
        door.check(f"2001:db8::{number}", 0, now=0.0)
        door.opened(at(f"2001:db8::{number}"))
    for number in range(1000):
        door.closed(at(f"2001:db8::{number}"))
    door.check("192.0.2.1", 0, now=60.0)
    assert (door._sessions, len(door._handshakes)) == ({}, 1)
