"""The few types that all layers share."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from rawsio.layer import Closed, Closing, Failed, Role, record


@record
class Point:
    x: int
    y: int = 0


@record
class Noted:
    __uncompared__ = ("note",)

    value: int
    note: str = ""


@record
class Empty:
    """A record without fields."""


def test_a_record_takes_its_fields_by_position_and_by_name() -> None:
    assert (Point(1).x, Point(1).y) == (1, 0)
    assert Point(1, 2) == Point(y=2, x=1)
    with pytest.raises(TypeError):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Point(1, 2, 3)  # type: ignore[call-arg]


def test_records_are_equal_by_value_and_class() -> None:
    assert Point(1, 2) == Point(1, 2)
    assert Point(1, 2) != Point(2, 1)
    assert Point(1, 0) != Noted(1)
    assert Empty() == Empty()
    assert Point(1) != (1, 0)


def test_fields_that_are_uncompared_do_not_count() -> None:
    assert Noted(1, "a") == Noted(1, "b")
    assert Noted(1) != Noted(2)


def test_a_record_has_slots_and_no_hash() -> None:
    point: Any = Point(1)
    with pytest.raises(AttributeError):
        point.z = 3
    assert not hasattr(point, "__dict__")
    with pytest.raises(TypeError):
        hash(point)


def test_a_record_shows_its_fields_and_matches_by_position() -> None:
    assert repr(Noted(1, "a")) == "Noted(value=1, note='a')"
    assert repr(Empty()) == "Empty()"
    match Point(3, 4):
        case Point(x, y):
            assert (x, y) == (3, 4)


def test_a_record_keeps_docstring_name_and_signature() -> None:
    assert Empty.__doc__ == "A record without fields."
    assert (Point.__name__, Point.__qualname__) == ("Point", "Point")
    assert Point(1).x == 1  # the signature is made with the first object
    assert list(inspect.signature(Point).parameters) == ["x", "y"]


def test_defaults_are_not_shared_as_class_attributes() -> None:
    assert not isinstance(Point.__dict__["y"], int)


def test_every_role_has_a_peer() -> None:
    assert Role.CLIENT.peer is Role.SERVER
    assert Role.SERVER.peer.peer is Role.SERVER


def test_terminal_events_say_who_ended_and_why() -> None:
    assert Closed() == Closed(0, "")
    assert Failed("http", "9112-5-x", 400, "m").code == 400
    assert [closing.name for closing in Closing] == ["OPEN", "HALF", "NOW"]


def test_a_wrong_argument_of_a_record_is_told_with_the_name_of_the_record() -> None:
    with pytest.raises(TypeError, match=r"Closed\.__init__\(\) .* 'kode'"):
        Closed(kode=1)  # type: ignore[call-arg]
