"""What hypothesis may send over, and put on, a RESP connection."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from rawsio.layer import Role
from rawsio.limits import DEFAULT
from rawsio.redis import Command, ErrorReply, Push, Reply, encode_command, encode_push, encode_value

LIMITS = DEFAULT.but(
    resp_line=64,
    resp_value=300,
    resp_elements=20,
    resp_depth=4,
    resp_pending=8,
    resp_ping=1e6,
    resp_reply_time=1e6,
)

CHANNELS = st.sampled_from([b"a", b"b", b"news"])
_WORDS = st.sampled_from([b"GET", b"set", b"PING", b"HELLO", b"XREAD", b"QUIT", b"RESET", b"x"])
_KINDS = st.sampled_from(
    [b"SUBSCRIBE", b"unsubscribe", b"PSUBSCRIBE", b"SSUBSCRIBE", b"sunsubscribe"]
)
_TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=8)

commands = st.one_of(
    st.lists(st.binary(max_size=6), max_size=3).flatmap(
        lambda rest: _WORDS.map(lambda word: [word, *rest])
    ),
    st.lists(CHANNELS, max_size=3).flatmap(lambda names: _KINDS.map(lambda kind: [kind, *names])),
    st.sampled_from([[b"HELLO", b"3"], [b"HELLO", b"2"], [b"MONITOR"], [b"CLIENT", b"REPLY"]]),
).map(Command)

errors = st.builds(ErrorReply, st.sampled_from(["ERR", "MOVED"]), _TEXT.map(str.strip))

_same_in_both = st.recursive(
    st.one_of(
        st.none(), st.binary(max_size=8), _TEXT, st.integers(-(2**63), 2**63 - 1), errors,
        st.integers(2**64, 2**70),
    ),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)  # fmt: skip

only_in_3 = st.recursive(
    st.one_of(st.booleans(), st.floats(allow_nan=False), st.binary(max_size=4)),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.binary(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)

pushes = st.one_of(
    st.builds(
        lambda kind, name, count: Push(kind, [name, count]),
        st.sampled_from(["subscribe", "unsubscribe", "psubscribe", "ssubscribe", "sunsubscribe"]),
        CHANNELS,
        st.integers(0, 3),
    ),
    st.builds(lambda name, data: Push("message", [name, data]), CHANNELS, st.binary(max_size=5)),
    st.just(Push("invalidate", [[b"key"]])),
)


def events(role: Role) -> st.SearchStrategy[Any]:
    """Return what a role may try to send; ``Closed`` is not on the wire, so no law sends it."""
    if role is Role.CLIENT:
        return commands
    return st.one_of(_same_in_both.map(Reply), pushes, pushes)


_JUNK = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [
            b"HTTP/1.1 400 Bad Request\r\n",
            b"$5\r\nhelloXX",
            b"*-1\r\n",
            b"$-1\r\n",
            b"$-2\r\n",
            b"*2\r\n",
            b"$999999999999\r\n",
            b"*9999999\r\n",
            b"+a\rb\r\n",
            b":1_0\r\n",
            b"|1\r\n+ttl\r\n:60\r\n",
            b"%1\r\n*0\r\n:1\r\n",
            b"=3\r\ntxt\r\n",
            b"=7\r\ntxt:abc\r\n",
            b"!9\r\nERR wrong\r\n",
            b"~2\r\n:1\r\n:2\r\n",
            b"(99999999999999999999\r\n",
            b">0\r\n",
            b"+" + b"x" * 63 + b"\r\n",
            b"+" + b"x" * 65 + b"\r\n",
            b"*1\r\n" * 6,
            b"GET / HTTP/1.1\r\n",
        ]
    ),
)


def wire(role: Role) -> st.SearchStrategy[list[bytes]]:
    if role is Role.SERVER:
        valid = commands.map(lambda c: encode_command(c.args))
    else:
        valid = st.one_of(
            _same_in_both.map(lambda v: encode_value(v, 2)),
            only_in_3.map(lambda v: encode_value(v, 3)),
            pushes.map(lambda p: encode_push([p.kind.encode(), *p.items], 2)),
            pushes.map(lambda p: encode_push([p.kind.encode(), *p.items], 3)),
        )
    return st.lists(st.one_of(valid, valid, valid, _JUNK), max_size=8)
