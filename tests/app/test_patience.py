"""The queue of those who are waited for equally long."""

from __future__ import annotations

import pytest

from rawsio.app.patience import Patience, Patiences, Waiting
from rawsio.limits import Limits

from .world import World


class Guest:
    """Notes when it is told that it is late, and may do something then."""

    def __init__(self, world: World, does: object = None) -> None:
        self.world = world
        self.does = does
        self.late_at: list[float] = []

    def late(self) -> None:
        self.late_at.append(self.world.now)
        if callable(self.does):
            self.does()


def guests(
    world: World, patience: Patience, count: int, apart: float = 1.0
) -> list[tuple[Guest, Waiting]]:
    """Return guests that have come one after another, and are waited for ten seconds each."""
    found = []
    for _ in range(count):
        guest = Guest(world)
        found.append((guest, patience.wait(world.now + 10.0, guest)))
        world.pass_time(apart)
    return found


def test_each_is_late_in_its_own_time_and_once() -> None:
    world = World()
    began, patience = world.now, Patience(world)
    found = guests(world, patience, 3)
    world.pass_time(30.0)
    assert [guest.late_at for guest, _ in found] == [[began + 10.0 + n] for n in range(3)]
    assert len(patience) == 0


def test_who_is_waited_for_no_longer_is_not_told_and_leaves_its_place() -> None:
    world = World()
    patience = Patience(world)
    found = guests(world, patience, 4)
    for number in (1, 0, 1):
        found[number][1].cancel()
    assert len(patience) == 2, "those in front are gone, and one that left twice counts once"
    world.pass_time(30.0)
    assert [len(guest.late_at) for guest, _ in found] == [0, 0, 1, 1]
    found[3][1].cancel()
    assert len(patience) == 0


def test_one_who_stays_in_front_does_not_keep_the_places_of_the_others() -> None:
    world = World()
    patience = Patience(world)
    (first, _), *others = guests(world, patience, 1000, 0.0)
    for _, place in others:
        place.cancel()
    assert len(patience) < 200
    last = Guest(world)
    patience.wait(world.now + 10.0, last)
    world.pass_time(10.5)
    assert (len(first.late_at), len(last.late_at), len(patience)) == (1, 1, 0)


def test_what_one_does_that_is_late_may_let_others_come_and_go() -> None:
    world = World()
    patience = Patience(world)
    places: list[Waiting] = []
    newcomer = Guest(world)

    def does() -> None:
        places[1].cancel()
        patience.wait(world.now + 10.0, newcomer)

    began = world.now
    guests = Guest(world, does), Guest(world), Guest(world)
    places.extend(patience.wait(began + 10.0, guest) for guest in guests)
    world.pass_time(15.0)
    assert [place.who for place in places] == [None, None, None]
    assert newcomer.late_at == []
    world.pass_time(15.0)
    assert newcomer.late_at == [began + 20.0]


def test_an_error_of_one_keeps_nobody_else_waiting() -> None:
    world = World()
    patience = Patience(world)
    broken, fine = Guest(world, lambda: 1 // 0), Guest(world)
    for guest in (broken, fine):
        patience.wait(world.now + 10.0, guest)
    with pytest.raises(ZeroDivisionError):
        world.pass_time(11.0)
    world.pass_time(1.0)
    assert len(fine.late_at) == 1


def test_the_timer_is_taken_back_when_the_server_ends_and_nobody_is_waited_for() -> None:
    world = World()
    patience = Patience(world)
    place, late = patience.wait(world.now + 10.0, Guest(world)), Guest(world)
    other = patience.wait(world.now + 10.0, late)
    patience.rest()
    place.cancel()
    world.pass_time(11.0)
    assert len(late.late_at) == 1, "who is waited for is waited for to the end"
    other.cancel()
    patience.wait(world.now + 10.0, Guest(world)).cancel()
    patience.rest()
    assert all(timer.cancelled for timer in world._timers)
    patience.wait(world.now + 10.0, late)
    world.pass_time(11.0)
    assert len(late.late_at) == 2


def test_many_who_are_late_at_once_do_not_keep_the_loop_from_the_others() -> None:
    world = World(limits=Limits(turn_time=1.0))
    patience = Patience(world)

    def takes_long() -> None:
        world.now += 0.6

    found = [Guest(world, takes_long) for _ in range(5)]
    for guest in found:
        patience.wait(world.now + 10.0, guest)
    calls: list[int] = []
    look = patience._look
    begun = world.now
    while len(patience):
        world.now = max(world.now, begun + 10.0)
        look()
        calls.append(len(patience))
    assert calls == [3, 1, 0]


def test_each_length_has_its_own_order() -> None:
    world = World()
    patiences, began = Patiences(world), world.now
    guests = [Guest(world) for _ in range(6)]
    for number, guest in enumerate(guests):
        patiences.wait(10.0 if number % 2 else 2.0, guest)
        world.pass_time(1.0)
    world.pass_time(20.0)
    late = [guest.late_at for guest in guests]
    assert late == [[began + n + (10.0 if n % 2 else 2.0)] for n in range(6)]


def test_lengths_beyond_the_queues_are_kept_as_well_and_queues_are_used_again() -> None:
    world = World()
    patiences, began = Patiences(world), world.now
    guests = [Guest(world) for _ in range(40)]
    places = [patiences.wait(1.0 + number, guest) for number, guest in enumerate(guests)]
    places[39].cancel()
    world.pass_time(50.0)
    assert [guest.late_at for guest in guests[:39]] == [[began + 1.0 + n] for n in range(39)]
    assert guests[39].late_at == []
    last = Guest(world)
    patiences.wait(77.0, last).cancel()
    patiences.rest()
    assert isinstance(patiences.wait(78.0, last), Waiting)
    world.pass_time(100.0)
    assert len(last.late_at) == 1
