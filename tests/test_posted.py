"""Events that are posted: what is taken in one step, and that nobody can tell.

That both ways say and do the same is also in :mod:`tests.test_routes`, whose conversations by
posts and polls go this way where it takes them.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rawsio.limits import DEFAULT, Limits
from rawsio.reading import Reading, posted_in
from rawsio.routes import Direct
from rawsio.socketio.packets import RESERVED, Event, decode_packet
from tests.test_express import LOOSE, TIGHT, _packets, listen
from tests.test_routes import PollingConversation, both_polling

NAMES = [
    *("chat", "none", "two", "ask", "leave", "end", "bytes", "deep", "no json", "fails", "much"),
    *("any", "later", "watch", "close", "nobody", "connect", "own", "wait", "work", "stop"),
    *("a or b", "quotes", "by value", "now", "both ways", "other", "on", "off", "big", "at once"),
    *("answers much", "long bytes", "nothing"),
]


def conversation(limits: Limits = LOOSE) -> PollingConversation:
    way = PollingConversation(limits, traced=False, backpressure="pause")
    listen(way)
    way.post(["40"])
    return way


def taken(way: PollingConversation, packet: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Return whether the long way sees nothing of this."""
    seen: list[Any] = []
    receive = Direct.receive_packet

    def receiving(route: Any, packet: Any) -> bool:
        seen.append(packet)
        return receive(route, packet)

    monkeypatch.setattr(Direct, "receive_packet", receiving)
    way.post([packet])
    return seen == []


@given(_packets, st.sampled_from([DEFAULT, TIGHT]))
def test_what_it_reads_the_layers_read_as_well(packet: str, limits: Limits) -> None:
    found = posted_in(packet, Reading(limits).main) if packet[:2] == "42" else None
    if found is None or found[1][0] in RESERVED:  # for which there can be no handler
        return
    digits, args = found
    assert decode_packet(packet[1:], limits) == Event("/", args, int(digits) if digits else None)


@pytest.mark.parametrize(
    ("packet", "read"),
    [
        ('42["a"]', True),
        ('421["a"]', True),
        ('42999["a",{"b":[1]}]', True),
        ('421000["a"]', False),
        ('4207["a"]', False),
        ('42["a",[[[1]]]' + " " * 90 + "]", False),
        ('42["a","' + "x" * 290 + '"]', True),
        ('42["a","' + "x" * 300 + '"]', False),
        ('42["a"]\n', False),
        ("42[1]", False),
        ("42[]", False),
        ("42", False),
        ("42123", False),
        ('42/a,["a"]', False),
        ('42"a"', False),
        ("42[", False),
    ],
)
def test_it_reads_what_is_plain(packet: str, read: bool) -> None:
    assert (posted_in(packet, Reading(TIGHT).main) is not None) is read


@pytest.mark.parametrize(
    ("packet", "short"),
    [
        ('42["chat","x"]', True),
        ('427["chat","x",[1]]', True),
        ('427["none"]', True),
        ('427["fails"]', True),
        ('427["bytes"]', True),
        ('42["nobody"]', False),
        ('427["later"]', False),
        ('427["two"]', False),
        ('42/a,7["chat"]', False),
        ("430[]", False),
        ("3", False),
        ("bAQID", False),
    ],
)
def test_an_event_with_one_plain_handler_is_taken(
    packet: str, short: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = conversation()
    assert taken(way, packet, monkeypatch) is short
    way.kit.close()


@pytest.mark.parametrize(
    "before",
    ["own", "any", "leave", "wait"],
)
def test_nothing_is_taken_where_something_is_unusual(
    before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = conversation()
    way.post([f'42["{before}"]'])
    assert not taken(way, '42["chat"]', monkeypatch)
    way.kit.close()


def test_nothing_is_taken_while_an_attachment_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    way = conversation()
    way.post(['451-["chat",{"_placeholder":true,"num":0}]'])
    assert not taken(way, '42["chat"]', monkeypatch)
    way.kit.close()


def test_nothing_is_taken_of_who_is_in_another_namespace_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way = PollingConversation(LOOSE, traced=False, backpressure="pause")
    way.post(["40/a,"])
    assert not taken(way, '42["chat"]', monkeypatch)
    way.kit.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("limits", [LOOSE, DEFAULT])
def test_nobody_can_tell_for_any_kind_of_handler(name: str, limits: Limits) -> None:
    first, second = f'42["{name}"]', f'427["{name}","x"]'
    chat = '428["quotes","é"]'
    for packets in ([first], [second], [second, chat], [chat, first, second]):
        both_polling([["40"], packets, [chat], 1.0, [chat]], "pause", limits, listen)


_numbers = st.sampled_from(["", "0", "7", "07", "999", "999999999999999", "1000000000000001"])
_values = st.sampled_from(
    ['"x"', '"é"', '"\\""', '"' + "x" * 99 + '"', '"' + "y" * 100 + '"', '"\\u0001"', "1", "[1]"]
)
_events = st.builds(
    lambda number, name, values: f"42{number}[{','.join([json.dumps(name), *values])}]",
    _numbers,
    st.sampled_from(NAMES),
    st.lists(_values, max_size=2),
)
_said = st.lists(_events | st.sampled_from(["3", "41", "40", "40/a,", "430[]"]), max_size=4)


@given(
    st.lists(_said | st.sampled_from([0.6, 11.0]), max_size=6),
    st.sampled_from(["pause", "drop-volatile", "disconnect"]),
    st.sampled_from([LOOSE, LOOSE, LOOSE.but(events_per_second=1), LOOSE.but(json_depth=2)]),
)
@example([['427["quotes","x"]'] * 4] * 4, "pause", LOOSE.but(events_per_second=1))
@example([11.0, ['42["none"]'], 4.5, 6.0], "pause", LOOSE)
@example([['427["slowly","' + "a" * 500 + '"]'], 0.2, 1.0], "pause", LOOSE)
@example([['427["quotes","' + "q" * 90 + '"]'] * 4] * 9, "disconnect", LOOSE)
def test_nobody_can_tell(said: list[Any], backpressure: str, limits: Limits) -> None:
    both_polling([["40"], *said, 1.0], backpressure, limits, listen)


def test_the_rest_of_a_post_goes_on_after_an_interrupt() -> None:
    way = conversation()

    @way.io.on("interrupt")
    def interrupt(_socket: Any) -> None:
        raise KeyboardInterrupt

    way.polls = way.posts  # nothing polls meanwhile
    with pytest.raises(KeyboardInterrupt):
        way.post(['421["interrupt"]', '422["quotes","x"]'])
    way.wire = way.posts
    way.kit.run()
    way.listen()
    assert not way.peers[0].busy
    way.kit.close()


def test_the_rest_of_a_post_goes_on_where_an_error_stops_the_program() -> None:
    way = conversation()
    way.io.on("bad", lambda _socket: 1 / 0)

    @way.io.on_error
    def stop(*_what: Any) -> None:
        raise KeyboardInterrupt

    way.polls = way.posts  # nothing polls meanwhile
    with pytest.raises(KeyboardInterrupt):
        way.post(['421["bad"]', '422["quotes","x"]'])
    way.wire = way.posts
    way.kit.run()
    assert not way.peers[0].busy
    way.kit.close()


def test_what_a_handler_has_queued_comes_before_its_answer() -> None:
    def prepare(way: PollingConversation) -> None:
        way.io.on("out", lambda _socket: way.io.of("/a").disconnect_sockets() or "done")
        way.io.of("/a").on("disconnect", lambda _socket, reason: way.calls.append([reason]))

    both_polling([["40"], ["40/a,"], ['427["out"]'], ['428["out"]']], "pause", LOOSE, prepare)


@pytest.mark.parametrize("backpressure", ["pause", "drop-volatile", "disconnect"])
def test_answers_that_nobody_polls_are_counted(backpressure: str) -> None:
    ask = '427["quotes","' + "q" * 90 + '"]'
    limits = LOOSE.but(events_per_second=999, high_water=4000, low_water=400, queue=6000)
    both_polling([["40"], *[[ask] * 17] * 3, [ask] * 60, [ask]], backpressure, limits, listen)


@pytest.mark.parametrize("many", [20, 60, 150])
@pytest.mark.parametrize("backpressure", ["pause", "drop-volatile", "disconnect"])
def test_short_answers_of_one_post_are_counted_as_they_are_given(
    backpressure: str, many: int
) -> None:
    def prepare(way: PollingConversation) -> None:
        def tell(socket: Any) -> str:
            way.calls.append(["tell", socket.conn.writable, socket.conn.buffered_amount > 4000])
            return "a" * 90

        way.io.on("tell", tell)

    limits = LOOSE.but(events_per_second=999, high_water=4000, low_water=400, queue=6000)
    both_polling([["40"], ['427["tell"]'] * many, 1.0], backpressure, limits, prepare)
