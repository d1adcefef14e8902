"""The six laws of design, written once for any layer.

A test module describes its layer in a :class:`Subject` and gets its tests by

    TestLaws = laws_for(SUBJECT)

1. **Round trip**: what one side sends, the other receives as equal events.
2. **Chunking**: the same wire, cut anywhere (packet layers: grouped into turns in any way), gives
   the same events and the same output.
3. **Totality**: any input gives a list; at most one terminal event, and nothing after it.
4. **Legality**: any sequence of send, receive and tick on a joined pair, with traffic crossing in
   flight, is either refused with ``LocalProtocolError``, leaving state and outbox unchanged, or
   accepted by the peer without ``Failed``.
5. **Bounds**: buffered bytes never pass the limits, whatever comes in.
6. **Preparation**: ``send_prepared(prepare(e))`` equals ``send(e)`` in state and output; so does
   ``transmit(prepare(e))``, which returns that output, where a layer has it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rawsio.errors import LocalProtocolError
from rawsio.layer import Closed, Closing, Failed, Role
from rawsio.limits import Limits

from .pair import Pair

__all__ = ["Subject", "laws_for", "snapshot", "variant"]

TERMINAL = (Closed, Failed)


def _same(value: list[Any]) -> list[Any]:
    return value


def _nothing(_layer: Any, _event: Any) -> None:
    return None


@dataclass
class Subject:
    """What the laws need to know of a layer.

    ``make`` returns a client and a server that may talk to each other: any handshake that is not
    part of the layer itself is done.  ``events(role)`` are events that this role may *try* to
    send, in any order.  ``wire(role)`` is what may *reach* the layer of that role: a list of units
    (for a byte layer: of ``bytes`` which the law joins and cuts), valid, nearly valid and junk.
    """

    make: Callable[[], tuple[Any, Any]]
    events: Callable[[Role], st.SearchStrategy[Any]]
    wire: Callable[[Role], st.SearchStrategy[list[Any]]]
    bytewise: bool = True
    """The unit is bytes, and may be cut anywhere."""
    roles: tuple[Role, ...] = (Role.CLIENT, Role.SERVER)
    """The roles whose receiving side the laws on input test."""
    normalise: Callable[[list[Any]], list[Any]] = _same
    """Makes event lists comparable, e.g. joins adjacent ``Body`` events."""
    automatic: Callable[[Any], bool] = lambda _event: False
    """Events that may reach a side though nobody sent them (a ``Pong``)."""
    react: Callable[[Any, Any], None] = _nothing
    """Called with the layer and each event it gave: sends what makes it go on (a response)."""
    buffered: Callable[[Any], int] = lambda _layer: 0
    """How many bytes the layer holds."""
    bound: int = 0
    """The most that ``buffered`` may ever return."""
    flatten: Callable[[list[Any]], list[Any]] = _same
    """Expands what may stand in an outbox in place of units."""
    prepare: Callable[[Any], Any] | None = None
    """Makes the prepared form of an event, or returns ``None`` if it has none."""
    max_tick: float = 1.0
    """The longest step of time in the legality law, whose steps must not sum to a time-out."""
    steps: int = 30
    """Longest sequence in the laws on pairs."""

    def __post_init__(self) -> None:
        # Hypothesis looks at a strategy once, which takes longer than to draw from it.
        self.events, self.wire = cache(self.events), cache(self.wire)


def snapshot(value: Any, depth: int = 6) -> Any:
    """Return a comparable picture of an object's state, through slots and attributes.

    What stands in several places is looked at once.
    """
    return _picture(value, depth, {})


_PLAIN = frozenset({bool, int, float, str, bytes, type(None)})
_NEVER_CHANGED = (Enum, Limits)


def _picture(value: Any, depth: int, seen: dict[int, tuple[int, int, Any]]) -> Any:
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, _NEVER_CHANGED):
        return kind.__name__, id(value)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if depth == 0:
        return kind.__name__
    known = seen.get(id(value))
    if known and known[0] >= depth:
        return "seen", known[1]
    seen[id(value)] = depth, len(seen), value  # kept, or the next object might have its id
    inner = depth - 1
    if isinstance(value, dict):
        return [(_picture(k, inner, seen), _picture(v, inner, seen)) for k, v in value.items()]
    if isinstance(value, (list, tuple)):
        return [_picture(item, inner, seen) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(repr(_picture(item, inner, seen)) for item in value)
    if callable(value):
        return "callable"
    names = [*_slots(kind), *getattr(value, "__dict__", ())]
    return kind.__name__, [(n, _picture(getattr(value, n, None), inner, seen)) for n in names]


@cache
def _slots(kind: Any) -> list[str]:
    slots = [n for c in kind.__mro__ for n in getattr(c, "__slots__", ())]
    return [name for name in slots if name != "__dict__"]


def _output(subject: Subject, layer: Any, taken: list[Any] | None = None) -> Any:
    units = list(subject.flatten([*(taken or ()), *layer.data_to_send()]))
    return b"".join(units) if subject.bytewise else units


def _comparable(events: list[Any]) -> list[Any]:
    # The message of a failure may quote what was seen so far; the rule and the code may not vary.
    return [(e.layer, e.rule, e.code) if isinstance(e, Failed) else e for e in events]


class _Feeder:
    """Feeds one layer, lets it tick when it asks, and reacts to its events."""

    def __init__(self, subject: Subject, role: Role) -> None:
        client, server = subject.make()
        self.subject = subject
        self.layer = server if role is Role.SERVER else client
        self.events: list[Any] = []

    def feed(self, unit: Any) -> None:
        self._take(self.layer.receive(unit))

    def eof(self) -> None:
        self._take(self.layer.receive_eof())

    def _take(self, events: Any) -> None:
        assert isinstance(events, list)
        turns = 0
        while True:
            self.events += events
            for event in events:
                self.subject.react(self.layer, event)
            if self.layer.deadline != 0.0:
                return
            events = self.layer.tick(0.0)
            turns += 1
            assert turns < 10_000, "deadline stays 0.0 though tick was called"

    def result(self) -> tuple[list[Any], Any, Closing]:
        output = _output(self.subject, self.layer)
        return _comparable(self.subject.normalise(self.events)), output, self.layer.closing


def _cut(wire: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(c, len(wire)) for c in cuts})
    edges = [0, *places, len(wire)]
    return [wire[a:b] for a, b in pairwise(edges) if a < b]


def _flood(subject: Subject, units: list[Any], data: st.DataObject) -> list[Any]:
    """Draw a wire that breaks off, and then the same again and again, beyond what may be held."""
    wire = b"".join(units) if subject.bytewise else units
    end = st.one_of(st.just(len(wire)), st.integers(0, len(wire)))
    begun = wire[: data.draw(end, label="begun")]
    if not subject.bytewise:
        long = b"x" * (subject.bound + 1)
        again = data.draw(st.sampled_from([long, *units]), label="again and again")
        return [*begun, *[again] * 4]
    filler = st.one_of(st.binary(min_size=1, max_size=4), st.just(begun or b"x"))
    again = data.draw(filler, label="again and again")
    piece = again * (subject.bound // 8 // len(again) + 1)
    return [begun, *[piece] * 20]


def _check_terminal(layer: Any, events: list[Any], attempt: Any) -> None:
    terminal = [n for n, event in enumerate(events) if isinstance(event, TERMINAL)]
    assert len(terminal) <= 1, events
    if terminal:
        assert terminal[0] == len(events) - 1, events
        assert layer.closing is not Closing.OPEN
        if attempt is not None:
            with pytest.raises(LocalProtocolError):
                layer.send(attempt)


def _input_laws(subject: Subject) -> dict[str, Any]:
    roles = st.sampled_from(subject.roles)

    @given(st.data(), roles)
    def test_the_same_wire_cut_anywhere_gives_the_same_events(
        self: Any, data: st.DataObject, role: Role
    ) -> None:
        units = data.draw(subject.wire(role), label="wire")
        whole, other = _Feeder(subject, role), _Feeder(subject, role)
        if subject.bytewise:
            wire = b"".join(units)
            how = st.one_of(
                st.just(list(range(min(len(wire), 2000)))),
                st.lists(st.integers(0, max(len(wire), 1)), max_size=8),
            )
            pieces = _cut(wire, data.draw(how, label="cuts"))
            whole.feed(wire)
            for piece in pieces:
                other.feed(piece)
            assert other.result() == whole.result()
            return
        drained: list[Any] = []
        for unit in units:
            whole.feed(unit)
            other.feed(unit)
            if data.draw(st.booleans()):
                drained += subject.flatten(other.layer.data_to_send())
        events, output, closing = other.result()
        assert (events, drained + output, closing) == whole.result()

    @given(st.data(), roles)
    def test_any_input_gives_a_list_and_at_most_one_terminal_event(
        self: Any, data: st.DataObject, role: Role
    ) -> None:
        feeder = _Feeder(subject, role)
        units = data.draw(subject.wire(role), label="wire")
        for unit in units:
            feeder.feed(unit)
        if data.draw(st.booleans(), label="eof"):
            feeder.eof()
            assert feeder.layer.receive_eof() == []
        feeder.layer.data_to_send()
        attempt = data.draw(subject.events(role), label="send after the end")
        _check_terminal(feeder.layer, feeder.events, attempt)
        if feeder.events and isinstance(feeder.events[-1], TERMINAL):
            for unit in units:
                assert feeder.layer.receive(unit) == []
            assert feeder.layer.receive_eof() == []
            assert feeder.layer.data_to_send() == []

    @given(st.data(), roles)
    def test_buffered_bytes_stay_within_the_limits(
        self: Any, data: st.DataObject, role: Role
    ) -> None:
        feeder = _Feeder(subject, role)
        units = data.draw(subject.wire(role), label="wire")
        for unit in _flood(subject, units, data):
            feeder.feed(unit)
            feeder.layer.data_to_send()
            held = subject.buffered(feeder.layer)
            assert held <= subject.bound, f"{held} bytes are held, {subject.bound} allowed"

    return {k: v for k, v in locals().items() if k.startswith("test_")}


def _sent_and_received(subject: Subject, events: list[Any]) -> list[Any]:
    kept = [e for e in events if not isinstance(e, TERMINAL) and not subject.automatic(e)]
    return subject.normalise(kept)


def _try_send(pair: Pair, role: Role, event: Any) -> bool:
    layer = pair.layers[role]
    pair.drain(role)
    before = snapshot(layer)
    try:
        layer.send(event)
    except LocalProtocolError:
        assert snapshot(layer) == before, "a refused send changed the layer"
        assert layer.data_to_send() == [], "a refused send left something in the outbox"
        return False
    return True


def _pair_laws(subject: Subject) -> dict[str, Any]:
    def joined() -> Pair:
        client, server = subject.make()
        return Pair(client, server, bytewise=subject.bytewise, flatten=subject.flatten)

    @given(st.data())
    def test_what_one_side_sends_the_other_receives(self: Any, data: st.DataObject) -> None:
        pair = joined()
        sent: dict[Role, list[Any]] = {role: [] for role in Role}
        for _ in range(data.draw(st.integers(1, subject.steps), label="steps")):
            role = data.draw(st.sampled_from(Role), label="role")
            event = data.draw(subject.events(role), label="event")
            if _try_send(pair, role, event):
                sent[role].append(event)
            pair.settle()
        for role in Role:
            got = pair.received[role.peer]
            assert not any(isinstance(e, Failed) for e in got), got
            ours = _sent_and_received(subject, sent[role])
            assert _sent_and_received(subject, got) == ours
            _check_terminal(pair.layers[role.peer], got, None)

    @given(st.data())
    def test_a_send_is_refused_and_changes_nothing_or_the_peer_accepts_it(
        self: Any, data: st.DataObject
    ) -> None:
        pair = joined()
        for _ in range(data.draw(st.integers(1, subject.steps), label="steps")):
            role = data.draw(st.sampled_from(Role), label="role")
            what = data.draw(st.sampled_from(["send", "send", "deliver", "tick"]), label="what")
            if what == "send":
                _try_send(pair, role, data.draw(subject.events(role), label="event"))
            elif what == "tick":
                pair.tick(role, data.draw(st.floats(0, subject.max_tick), label="seconds"))
            else:
                pair.drain(role)
                count = data.draw(st.integers(0, pair.wires[role].size()), label="count")
                pair.deliver(role, count)
        pair.settle()
        for role in Role:
            failed = [e for e in pair.received[role] if isinstance(e, Failed)]
            assert not failed, f"the {role.value} refused legal traffic: {failed}"
            _check_terminal(pair.layers[role], pair.received[role], None)

    return {k: v for k, v in locals().items() if k.startswith("test_")}


def _prepared_law(subject: Subject) -> dict[str, Any]:
    prepare = subject.prepare
    if prepare is None:
        return {}

    @given(st.data())
    def test_a_prepared_packet_equals_the_event_in_state_and_output(
        self: Any, data: st.DataObject
    ) -> None:
        role = data.draw(st.sampled_from(Role), label="role")
        feeders = {way: _Feeder(subject, role) for way in ("send", "send_prepared", "transmit")}
        if not hasattr(feeders["send"].layer, "transmit"):
            del feeders["transmit"]
        for unit in data.draw(subject.wire(role), label="wire"):
            for feeder in feeders.values():
                feeder.feed(unit)
        for event in data.draw(st.lists(subject.events(role), max_size=5), label="events"):
            prepared = prepare(event)
            if prepared is None:
                continue
            behind = data.draw(st.booleans(), label="something waits in the outbox")
            outcomes: list[Any] = []
            for way, feeder in feeders.items():
                layer = feeder.layer
                if behind:
                    with suppress(LocalProtocolError):
                        layer.send(event)
                try:
                    units = getattr(layer, way)(event if way == "send" else prepared)
                except LocalProtocolError:
                    outcomes.append(None)
                else:
                    outcomes.append(_output(subject, layer, units or []))
            assert outcomes.count(outcomes[0]) == len(outcomes)
            states = [snapshot(feeder.layer) for feeder in feeders.values()]
            assert states.count(states[0]) == len(states)

    return {k: v for k, v in locals().items() if k.startswith("test_")}


def laws_for(subject: Subject) -> type:
    """Return a test class that holds the laws for one layer."""
    tests = {**_input_laws(subject), **_pair_laws(subject), **_prepared_law(subject)}
    return type("TestLaws", (), {**tests, "__doc__": "The laws of design, on this layer."})


def variant(subject: Subject, *, pairs: bool = True) -> type:
    """Return the laws for a variant of the layer, with a fifth of the profile's examples.

    ``pairs=False`` leaves only the laws on input.
    """
    fewer = settings(max_examples=settings().max_examples // 5)
    found = laws_for(subject)
    for name, law in list(vars(found).items()):
        if name.startswith("test_"):
            about_input = "wire" in name or "input" in name or "buffered" in name
            setattr(found, name, fewer(law) if pairs or about_input else None)
    return found
