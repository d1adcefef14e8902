"""What may be sent and what may arrive: valid frames, nearly valid ones, and junk."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

from hypothesis import strategies as st

from rawsio.layer import Closed, Role
from rawsio.websocket.deflate import Compressor
from rawsio.websocket.events import Message, Ping, Pong
from rawsio.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    encode_close,
    encode_frame,
)

__all__ = ["KEY", "events", "wire", "sizes"]

KEY = b"\x37\xfa\x21\x3d"

_SIZES = [0, 1, 2, 20, 124, 125, 126, 127, 128, 199, 200, 201, 65535, 65536]
sizes = st.sampled_from(_SIZES)
texts = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["x" * n for n in _SIZES]),
    st.sampled_from(["\u00e9" * (n // 2) for n in _SIZES]),
)
payloads = st.one_of(
    st.binary(max_size=8),
    st.sampled_from([bytes(n) for n in _SIZES]),
    texts.map(lambda t: t.encode("utf-8", "replace")),
)
small = st.one_of(st.binary(max_size=8), st.sampled_from([bytes(120), bytes(125), bytes(126)]))
codes = st.sampled_from([1000, 1001, 1002, 1003, 1005, 1007, 1010, 1011, 1014, 3000, 4999])
bad_codes = st.sampled_from([0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 65535])


def events(_role: Role) -> st.SearchStrategy[Any]:
    """Return events that a side may try to send; few of them end the connection."""
    plain = st.one_of(
        st.builds(Message, st.one_of(texts, payloads), st.booleans()),
        st.builds(Ping, small),
        st.builds(Pong, small),
    )
    closed = st.builds(
        Closed,
        st.one_of(codes, bad_codes),
        st.sampled_from(["", "bye", "x" * 123, "x" * 124, "\u20ac"]),
    )
    return st.one_of(plain, plain, plain, closed)


def _frame(role: Role, opcode: int, payload: bytes, **bits: Any) -> bytes:
    return encode_frame(opcode, payload, mask=KEY if role is Role.SERVER else None, **bits)


# Strategies that are the same in each draw are made once: hypothesis looks at each new one.
_opcodes = st.sampled_from([TEXT, BINARY])
_junk = st.binary(max_size=3)
_one_in_six = st.integers(0, 5)


def _fragments(draw: st.DrawFn, role: Role, payload: bytes, *, rsv1: bool) -> bytes:
    """Draw a message, cut into frames, perhaps with a control frame between two of them."""
    opcode = draw(_opcodes)
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    edges = [0, *cuts, len(payload)]
    out = b""
    for n, (a, b) in enumerate(itertools.pairwise(edges)):
        out += _frame(role, opcode, payload[a:b], fin=n == len(edges) - 2, rsv1=rsv1)
        opcode, rsv1 = CONTINUATION, False
        if n < len(edges) - 2 and draw(st.booleans()):
            out += _frame(role, PING, b"between")
    return out


@cache
@st.composite
def _message(draw: st.DrawFn, role: Role) -> bytes:
    payload = draw(payloads)
    rsv1 = draw(st.booleans())
    if rsv1:
        payload = Compressor(15, True).compress(payload)
        if draw(_one_in_six) == 0:
            place = draw(st.integers(0, len(payload) - 1))
            payload = payload[:place] + draw(_junk) + payload[place + 1 :]
    return _fragments(draw, role, payload, rsv1=rsv1)


_kinds = st.sampled_from([PING, PONG, PING, PONG, CLOSE])
_any_code = st.one_of(codes, bad_codes)
_bodies = st.one_of(
    _any_code.map(lambda code: encode_close(code, "why")), st.binary(max_size=6), st.just(b"\x03")
)


@cache
@st.composite
def _control(draw: st.DrawFn, role: Role) -> bytes:
    kind = draw(_kinds)
    return _frame(role, kind, draw(small if kind != CLOSE else _bodies))


_firsts = st.sampled_from([0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0xC1])
_lengths = st.sampled_from([0, 1, 125, 126, 65535, 65536, 2**40, 2**63 - 1, 2**63, 2**64 - 1])


@cache
def _right(role: Role) -> st.SearchStrategy[bytes]:
    return st.one_of(_message(role), _control(role))


@cache
@st.composite
def _broken(draw: st.DrawFn, role: Role) -> bytes:
    """Draw a frame with one byte of its beginning changed, or a header with any length."""
    frame = draw(_right(role))
    if draw(st.booleans()):
        place = draw(st.integers(0, min(len(frame), 14) - 1))
        return frame[:place] + bytes([draw(st.integers(0, 255))]) + frame[place + 1 :]
    bit = 0x80 if role is Role.SERVER else 0
    first, size = draw(_firsts), draw(_lengths)
    if draw(st.booleans()):
        return bytes((first, bit | 127)) + size.to_bytes(8, "big") + KEY + b"x"
    return bytes((first, bit | 126)) + (size & 0xFFFF).to_bytes(2, "big") + KEY + b"x"


def _begun(role: Role) -> st.SearchStrategy[bytes]:
    """Return the beginnings of frames that are long, but honest about it."""
    bit, key = (0x80, KEY) if role is Role.SERVER else (0, b"")
    lengths = [bytes((bit | 126, 0xFF, 0xFF)), bytes((bit | 127,)) + (900_000).to_bytes(8, "big")]
    return st.sampled_from([b"\x82" + length + key for length in lengths])


@cache
def _parts(role: Role) -> tuple[st.SearchStrategy[Any], ...]:
    """Return what begins a wire, what is wrong in it, and what is behind that."""
    good = st.one_of(_message(role), _message(role), _control(role))
    wrong = st.one_of(_broken(role), st.binary(max_size=20), _begun(role))
    return st.lists(good, max_size=6), wrong, st.lists(good, max_size=2)


_one_in_five = st.integers(0, 4)


@cache
@st.composite
def wire(draw: st.DrawFn, role: Role) -> list[bytes]:
    """Draw what reaches a layer of ``role``: mostly valid frames, then perhaps something else."""
    begin, wrong, behind = _parts(role)
    units: list[bytes] = draw(begin)
    if draw(st.booleans()):
        units.append(draw(wrong))
        units += draw(behind)
    if units and draw(_one_in_five) == 0:
        units[-1] = units[-1][: draw(st.integers(0, len(units[-1])))]
    return units
