"""The classic form: bytes captured from official servers, and what is no message."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawsio.app.adapter import Targets
from rawsio.cluster import messages as m
from rawsio.cluster.classic import ClassicFormat
from rawsio.cluster.fields import ClusterError, decode
from rawsio.limits import DEFAULT
from rawsio.socketio.msgpack import pack

FORM = ClassicFormat("/")
ALL = Targets()
R1 = Targets(frozenset(["r1"]))

CAPTURED = [
    (
        m.Broadcast("aB3xY9", ["foo", "bar"], R1),
        "socket.io#/#r1#",
        bytes.fromhex(
            "93a6614233785939 83a4747970650 2a46461746192a3666f6fa3626172a36e7370a12f"
            "83a5726f6f6d7391a27231a665786365707490a5666c61677380".replace(" ", "")
        ),
    ),
    (
        m.Join("uid", Targets(frozenset(["r1"])), ["r2"]),
        "socket.io-request#/#",
        b'{"uid":"uid","type":2,"opts":{"rooms":["r1"],"except":[]},"rooms":["r2"]}',
    ),
    (
        m.Leave("uid", ALL, ["r2"]),
        "socket.io-request#/#",
        b'{"uid":"uid","type":3,"opts":{"rooms":[],"except":[]},"rooms":["r2"]}',
    ),
    (
        m.Disconnect("uid", ALL, True),
        "socket.io-request#/#",
        b'{"uid":"uid","type":4,"opts":{"rooms":[],"except":[]},"close":true}',
    ),
    (
        m.Fetch("2Sdbhx", "8w2iF7", ALL),
        "socket.io-request#/#",
        b'{"uid":"2Sdbhx","requestId":"8w2iF7","type":5,"opts":{"rooms":[],"except":[]}}',
    ),
    (
        m.ServerEvent("uid", ["hello", "w"]),
        "socket.io-request#/#",
        b'{"uid":"uid","type":6,"data":["hello","w"]}',
    ),
    (m.AllRooms("u", "r"), "socket.io-request#/#", b'{"uid":"u","requestId":"r","type":1}'),
]


@pytest.mark.parametrize(
    ("message", "channel", "payload"), CAPTURED, ids=lambda v: type(v).__name__
)
def test_messages_have_the_bytes_of_official_servers(
    message: Any, channel: str, payload: bytes
) -> None:
    assert FORM.encode(message) == (channel, payload)
    assert FORM.decode(channel, payload) == message


names = st.text(min_size=1, max_size=6)
uids = st.text("abcXYZ019-_", min_size=6, max_size=6)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=2),
    max_leaves=5,
)
with_bytes = st.one_of(values, st.binary(max_size=8))
addressed = st.builds(
    Targets,
    st.frozensets(names, max_size=3),
    st.frozensets(names, max_size=2),
    volatile=st.booleans(),
    compress=st.booleans(),
)
plainly = st.builds(Targets, st.frozensets(names, max_size=3), st.frozensets(names, max_size=2))
args = names.flatmap(lambda name: st.lists(values, max_size=3).map(lambda rest: [name, *rest]))
args_with_bytes = names.flatmap(
    lambda name: st.lists(with_bytes, max_size=3).map(lambda rest: [name, *rest])
)
sockets = st.fixed_dictionaries(
    {"id": names, "handshake": st.just({"url": "/"}), "rooms": st.lists(names), "data": values}
)
acknowledged = st.lists(with_bytes, max_size=3)

any_message = st.one_of(
    st.builds(m.Broadcast, uids, args_with_bytes, addressed),
    st.builds(m.Broadcast, uids, args_with_bytes, addressed, uids),
    st.builds(m.Join, uids, plainly, st.lists(names, max_size=3)),
    st.builds(m.Leave, uids, plainly, st.lists(names, max_size=3)),
    st.builds(m.Disconnect, uids, plainly, st.booleans()),
    st.builds(m.Fetch, uids, uids, plainly),
    st.builds(m.AllRooms, uids, uids),
    st.builds(m.ServerEvent, uids, args, st.just("") | uids),
    st.builds(m.SocketsAnswer, uids, st.lists(sockets, max_size=2), uids),
    st.builds(m.RoomsAnswer, uids, st.lists(names, max_size=3), uids),
    st.builds(m.ServerAnswer, uids, st.lists(values, max_size=3), uids),
    st.builds(lambda r, sids, u: m.ClientCount(r, len(sids), sids, u), uids, st.lists(names), uids),
    st.builds(m.ClientAnswer, uids, acknowledged, names, uids),
)


@given(any_message, st.sampled_from(["/", "/a", "/a*[b]?"]))
def test_what_one_server_says_another_reads(message: Any, namespace: str) -> None:
    form = ClassicFormat(namespace)
    assert form.decode(*form.encode(message)) == message
    elsewhere = ClassicFormat(namespace + "x")
    channel, payload = form.encode(message)
    if isinstance(message, m.Broadcast) and not message.request:
        assert elsewhere.decode(elsewhere.broadcasts, payload) is None
    assert elsewhere.decode(channel, payload) is None


@given(
    st.sampled_from(["socket.io#/#", "socket.io-request#/#", "socket.io-response#/#", "other"]),
    st.one_of(
        st.binary(max_size=40),
        values.map(pack),
        st.fixed_dictionaries({}, optional={
            "uid": values, "requestId": values, "type": st.integers(-1, 10), "opts": values,
            "rooms": values, "sockets": values, "data": values, "packet": values, "sid": values,
            "clientCount": values,
        }).map(pack),
    ),
)  # fmt: skip
def test_any_bytes_are_a_message_or_a_cluster_error(channel: str, payload: bytes) -> None:
    with contextlib.suppress(ClusterError):
        FORM.decode(channel, payload)


@pytest.mark.rule("cluster-message-form")
@pytest.mark.rule("cluster-message-fields")
@pytest.mark.rule("cluster-type-known")
@pytest.mark.parametrize(
    ("channel", "payload", "rule"),
    [
        ("socket.io#/#", b"", "cluster-message-form"),
        ("socket.io#/#", b"HTTP", "cluster-message-form"),
        ("socket.io-request#/#", b'{"type":', "cluster-message-form"),
        ("socket.io-request#/#", b"{" * 500, "cluster-message-form"),
        ("socket.io-request#/#", b"\xff", "cluster-message-fields"),
        ("socket.io#/#", pack(["uid", {"data": ["x"]}]), "cluster-message-fields"),
        ("socket.io#/#", pack(["uid", {"data": []}, {"rooms": []}]), "cluster-message-fields"),
        ("socket.io#/#", pack(["uid", {"data": ["x"]}, {"rooms": "r"}]), "cluster-message-fields"),
        ("socket.io#/#", pack([1, {"data": ["x"]}, {"rooms": []}]), "cluster-message-fields"),
        ("socket.io#/#", pack(["u", {"data": ["x"]}, {"rooms": [None]}]), "cluster-message-fields"),
        ("socket.io-request#/#", b'{"uid":"u","type":9}', "cluster-type-known"),
        ("socket.io-request#/#", b'{"uid":"u","type":"2"}', "cluster-type-known"),
        ("socket.io-request#/#", b'{"uid":"u","type":true}', "cluster-type-known"),
        (
            "socket.io-request#/#",
            b'{"uid":"u","type":5,"opts":{"rooms":[]}}',
            "cluster-message-fields",
        ),
        ("socket.io-response#/#", b'{"requestId":"r","type":8}', "cluster-message-fields"),
        ("socket.io-response#/#", b'{"requestId":"r","sockets":[{}]}', "cluster-message-fields"),
        ("socket.io-response#/#", b'{"requestId":"r"}', "cluster-type-known"),
        ("socket.io-response#/#", b'{"type":8,"clientCount":1}', "cluster-message-fields"),
    ],
)
def test_what_is_no_message_is_refused_by_its_rule(channel: str, payload: bytes, rule: str) -> None:
    with pytest.raises(ClusterError) as caught:
        FORM.decode(channel, payload)
    assert caught.value.rule == rule


def test_what_other_writers_do_differently_is_read() -> None:
    emitted = pack(["emitter", {"type": 2, "data": ["x"]}, {"rooms": [42], "flags": {}}])
    assert FORM.decode("socket.io#/#42#", emitted) == m.Broadcast(
        "emitter", ["x"], Targets(frozenset(["42"]))
    )
    unsigned = b'{"type":2,"opts":{"rooms":["r1"],"except":[]},"rooms":["r2"]}'
    assert FORM.decode("socket.io-request#/#", unsigned) == m.Join("emitter", R1, ["r2"])
    older = b'{"requestId":"q","type":3,"sid":"s1","room":"r2"}'
    assert FORM.decode("socket.io-request#/#", older) == m.Leave(
        "emitter", Targets(frozenset(["s1"])), ["r2"]
    )


def test_glob_characters_in_a_namespace_stand_for_themselves() -> None:
    assert ClassicFormat("/a*[b]?\\").pattern() == "socket.io#/a\\*\\[b]\\?\\\\#*"


def test_answers_go_to_the_one_who_asked_where_that_was_chosen() -> None:
    answer = m.ClientCount("r", 0, [], "u")
    assert FORM.encode(answer)[0] == "socket.io-response#/#"
    assert FORM.encode(answer, "aB3xY9")[0] == "socket.io-response#/#aB3xY9#"


@pytest.mark.rule("socketio-v5-limit-containers")
@pytest.mark.parametrize("payload", [pack([[]] * 4), b'{"a":[[],[],[]]}'])
def test_a_message_has_so_many_arrays_and_objects(payload: bytes) -> None:
    limits = DEFAULT.but(containers=5)
    assert decode(payload, limits)
    with pytest.raises(ClusterError, match="containers"):
        decode(payload, limits.but(containers=4))
