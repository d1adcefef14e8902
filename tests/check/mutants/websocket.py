"""Servers with one rule of WebSocket or of permessage-deflate broken."""

from __future__ import annotations

import re
from collections.abc import Callable

from rawsio.check.ws_wire import BINARY, CLOSE, CONTINUATION, KEY, PING, PONG, F, Seen

from .taps import Filter, Mutant, Tap, calm, crashes, frames, heads, refuses, sub

__all__ = ["MUTANTS"]

_Only = Callable[[Seen], bool]
_ANY = rb"\A"
_SAMPLE = b"dGhlIHNhbXBsZSBub25jZQ=="


def _anew(seen: Seen, **more: object) -> Seen:
    return Seen(**{**vars_of(seen), **more})  # type: ignore[arg-type]


def vars_of(seen: Seen) -> dict[str, object]:
    """Return the fields of a frame."""
    return {name: getattr(seen, name) for name in ("opcode", "payload", "fin", "rsv", "masked")}


def _if(only: _Only, **more: object) -> Filter:
    """Change the frames of a kind that a client sends."""
    return frames(lambda _tap, seen: _anew(seen, **more) if only(seen) else seen)


def _drop(only: _Only) -> Filter:
    """Drop the frames of a kind, as if they had not come."""
    return frames(lambda _tap, seen: None if only(seen) else seen)


def _is(*opcodes: int) -> _Only:
    return lambda seen: seen.opcode in opcodes


def _data(seen: Seen) -> bool:
    return seen.opcode < 3


def _unmask(turn: bool) -> Filter:
    """Unmask with the key turned by one byte, or with the key of the frame before."""

    def change(tap: Tap, seen: Seen) -> Seen:
        before, tap.facts["key"] = tap.facts.get("key", KEY), tap.key
        used = tap.key[1:] + tap.key[:1] if turn else before
        pad = bytes(a ^ b for a, b in zip(tap.key, used, strict=True))
        if not any(pad) or seen.opcode > 2 or seen.payload == b"40":
            return seen
        return _anew(seen, payload=bytes(b ^ pad[n % 4] for n, b in enumerate(seen.payload)))

    return frames(change)


def _garbled(_tap: Tap, seen: Seen) -> Seen:
    if (
        not _data(seen)
        or b"sid" in seen.payload
        or seen.payload == b"2"
        or seen.payload.startswith(b'42["auth')
    ):
        return seen
    return _anew(seen, payload=b"4" + seen.payload + b"x")


def _in_order(tap: Tap, seen: Seen) -> Seen | None:
    """Drop frames that stand where none may stand."""
    if seen.opcode > 2:
        return seen
    inside = tap.facts.get("inside", False)
    if inside != (seen.opcode == CONTINUATION):
        return None
    tap.facts["inside"] = not seen.fin
    return seen


def _close_last(tap: Tap, seen: Seen) -> Seen | list[Seen | F] | None:
    """Read a close frame after the next frame."""
    if seen.opcode == CLOSE:
        tap.facts["close"] = seen
        return None
    waiting = tap.facts.pop("close", None)
    return seen if waiting is None else [seen, F(CLOSE, waiting.payload)]


def _mended(_tap: Tap, seen: Seen) -> Seen:
    """Leave out what is no UTF-8."""
    start = 2 * (seen.opcode == CLOSE)
    mended = seen.payload[:start] + seen.payload[start:].decode("utf-8", "ignore").encode()
    if seen.opcode in (BINARY, PING, PONG) or mended == seen.payload:
        return seen
    return _anew(seen, payload=mended)


def _deaf(tap: Tap, seen: Seen) -> Seen | None:
    """Hear no message any more once one was no UTF-8."""
    tap.facts["deaf"] = tap.facts.get("deaf") or (
        seen.opcode == 1 and _mended(tap, seen) is not seen
    )
    return None if tap.facts["deaf"] and _data(seen) else seen


def _remember_code(tap: Tap, seen: Seen) -> Seen:
    if seen.opcode == CLOSE:
        tap.facts["code"] = seen.payload[:2]
    return seen


def _same_code(tap: Tap, seen: Seen) -> Seen:
    return _anew(seen, payload=tap.facts.get("code", b"")) if seen.opcode == CLOSE else seen


def _opens(pattern: bytes) -> Filter:
    """Open a WebSocket for a handshake that matches."""
    regex = re.compile(pattern, re.DOTALL)

    def change(_tap: Tap, data: bytes) -> bytes:
        if not regex.search(data) or b"\r\n\r\n" not in data:
            return data
        found = re.search(rb"(?i)\r\nSec-WebSocket-Key: ([0-9a-z+/]{21}[AQgw]==)\r", data)
        target = data.split(b" ")[1]
        return (
            b"GET " + target + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
            + (found[1] if found else _SAMPLE) + b"\r\n\r\n"
        )  # fmt: skip

    return lambda tap, data: data if tap.upgraded else change(tap, data)


def _said(change: Callable[[Tap, Seen], Seen | list[Seen | F] | None]) -> Filter:
    return frames(change, server=True)


_FIELDS = rb"(?i:\nSec-WebSocket-%s:)"
_DEFLATE = rb"(permessage-deflate)[^\r]*"
_RESERVED = [
    Mutant("reserved bits are not looked at", asks=_if(lambda s: bool(s.rsv), rsv=0)),
    Mutant(
        "closes with reserved bits are dropped",
        asks=_drop(lambda s: bool(s.rsv) and s.opcode == CLOSE),
    ),
]
_GARBLES = Mutant("what comes back is changed", says=_said(_garbled))

_TABLE: dict[str, list[Mutant]] = {
    "6455-4.2.2-101": [Mutant("the accept is wrong", says=heads(rb"(Accept: )...", rb"\1AAA"))],
    "6455-4.2.1-upgrade": [
        Mutant(
            "no word has to be there",
            asks=_opens(rb"\A(?!.*\nUpgrade: websocket\r.*\nConnection: Upgrade\r)"),
        ),
        Mutant("no form of handshake is good", asks=refuses(_ANY)),
    ],
    "6455-4.2.1-get": [Mutant("any method opens", asks=_opens(rb"\A(?!GET)"))],
    "6455-4.2.1-http-version": [
        Mutant(
            "any version opens, with any Host",
            asks=_opens(rb"HTTP/1\.0|\A(?!.*\nHost)|Host.*\nHost"),
        ),
        Mutant("a body crashes", asks=crashes(rb"Content-Length|Transfer")),
    ],
    "6455-4.2.1-key": [
        Mutant(
            "any key opens", asks=_opens(rb"\A(?!.*-Key: [0-9A-Za-z+/]{21}[AQgw]==\r)|-Key.*-Key")
        ),
        Mutant("unused bits crash", asks=crashes(rb"ZR==")),
    ],
    "6455-4.2.2-version": [
        Mutant("any version opens", asks=_opens(rb"\A(?!.*-Version: 13\r)|-Version.*-Version"))
    ],
    "6455-4.2.2-protocol": [
        Mutant(
            "a subprotocol is made up",
            says=heads(rb"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: b2\r\n\r\n"),
        )
    ],
    "6455-4.1-protocol-grammar": [
        Mutant("odd offers are dropped", asks=_opens(_FIELDS % b"Protocol"))
    ],
    "6455-9.1-grammar": [Mutant("odd offers are dropped", asks=_opens(_FIELDS % b"Extensions"))],
    "6455-4.2.2-extensions": [
        Mutant(
            "an extension is made up",
            says=heads(rb"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: x-foo\r\n\r\n"),
        )
    ],
    "6455-10.2-origin": [
        Mutant("any origin opens", asks=sub(rb"\r\nOrigin:[^\r]*", b"")),
        Mutant("no origin opens", asks=sub(rb"(\r\nOrigin: http:)[^\r]*", rb"\1//evil.example")),
        Mutant("odd origins crash", asks=crashes(rb"Origin: https://127|Host: evil")),
    ],
    "6455-5.2-format": [
        _GARBLES,
        Mutant("long messages get lost", asks=_drop(lambda s: len(s.payload) > 500_000)),
    ],
    "6455-5.2-length-minimal": [Mutant("any form of a length will do", asks=_if(lambda _s: True))],
    "6455-5.2-length-top-bit": [Mutant("the payload is awaited", asks=_drop(lambda _s: False))],
    "6455-10.4-message": [
        Mutant(
            "the payload is awaited", asks=_drop(lambda s: bool(s.rsv) or s.opcode == CONTINUATION)
        )
    ],
    "6455-5.1-mask": [
        Mutant("a mask may miss", asks=_if(lambda s: not s.masked)),
        Mutant("what has no mask is dropped", asks=_drop(lambda s: not s.masked)),
    ],
    "6455-5.3-algorithm": [
        Mutant("the key is turned by one", asks=_unmask(turn=True)),
        Mutant("the key is that of the frame before", asks=_unmask(turn=False)),
    ],
    "6455-5.2-rsv1": _RESERVED,
    "6455-5.2-rsv": _RESERVED,
    "6455-5.2-opcode": [
        Mutant(
            "unknown opcodes are dropped",
            asks=_drop(lambda s: s.opcode in (*range(3, 8), *range(11, 16))),
        )
    ],
    "6455-5.5.2-pong": [
        Mutant(
            "a pong has other data",
            says=_said(
                lambda _t, s: (
                    _anew(s, payload=s.payload + b"x")
                    if s.opcode == PONG and not s.payload.startswith(b"still")
                    else s
                )
            ),
        ),
        Mutant("a ping behind a close is answered", asks=frames(_close_last)),
    ],
    "6455-5.5-control-length": [
        Mutant(
            "long control frames are dropped",
            asks=_drop(lambda s: s.opcode > 7 and len(s.payload) > 125),
        )
    ],
    "6455-5.5-control-fragmented": [
        Mutant(
            "fragments of control frames are dropped",
            asks=_drop(lambda s: s.opcode > 7 and not s.fin),
        )
    ],
    "6455-5.5.3-latest": [Mutant("no ping is answered", asks=_drop(_is(PING)))],
    "6455-5.5.3-unsolicited": [Mutant("a pong is answered", asks=_if(_is(PONG), opcode=PING))],
    "6455-5.4-fragments": [
        Mutant("each fragment is a message", asks=_if(lambda s: not s.fin, fin=True)),
        _GARBLES,
    ],
    "6455-5.4-interleaved": [
        Mutant("frames out of order are dropped", asks=frames(_in_order)),
        Mutant(
            "a message inside another counts",
            asks=_drop(lambda s: _data(s) and (not s.fin or not s.opcode)),
        ),
    ],
    "6455-5.5.1-answer": [
        Mutant(
            "a close is not answered", says=_said(lambda _t, s: None if s.opcode == CLOSE else s)
        ),
        Mutant(
            "a close is answered twice",
            says=_said(lambda _t, s: [s, s] if s.opcode == CLOSE else s),
        ),
        Mutant("a close is read last", asks=frames(_close_last)),
        Mutant("our end is not heard", mute=True),
        Mutant("a reset ends it", frail=True),
    ],
    "6455-10.4-fragments": [Mutant("fragments get lost", asks=_drop(_data))],
    "6455-10.4-finite": [Mutant("one connection is served at a time", busy=True)],
    "6455-8.1-utf8": [
        Mutant("what is no UTF-8 is left out", asks=frames(_mended)),
        Mutant("nothing is heard behind what is no UTF-8", asks=frames(_deaf)),
        Mutant("inflated text is not looked at", asks=_drop(lambda s: bool(s.rsv))),
        Mutant("closes are not looked at", asks=_drop(_is(CLOSE))),
        _GARBLES,
    ],
    "6455-5.4-utf8-fragments": [Mutant("each fragment is judged by itself", asks=frames(_mended))],
    "6455-5.6-data": [_GARBLES],
    "6455-7.4-close-code": [
        Mutant("any code comes back", asks=frames(_remember_code), says=_said(_same_code))
    ],
    "6455-5.5.1-close-body": [Mutant("a body of one byte is none", asks=_drop(_is(CLOSE)))],
    "6455-5.1-server-mask": [Mutant("frames are masked", says=frames(lambda _t, s: _anew(s)))],
    "7692-7.1-answer": [
        Mutant("windows have 99 bits", says=heads(_DEFLATE, rb"\1; server_max_window_bits=99"))
    ],
    "7692-7.1-decline": [Mutant("parameters are not looked at", asks=sub(_DEFLATE, rb"\1"))],
    "7692-7.2.2-inflate": [_GARBLES],
    "7692-6-rsv1-control": [
        Mutant(
            "reserved bits are not looked at",
            asks=_if(lambda s: s.opcode not in (1, 2) or s.rsv == 2, rsv=0),
        ),
        _RESERVED[1],
    ],
    "7692-7.2.2-malformed": [
        Mutant("what cannot be inflated is dropped", asks=_drop(lambda s: bool(s.rsv)))
    ],
    "7692-7.2.3.2-takeover": [
        Mutant("what follows the first message is garbled", says=_said(_garbled))
    ],
    "7692-7.1.1.2-client-obeys": [
        Mutant(
            "what needs an older context is dropped",
            asks=frames(
                lambda t, s: (
                    (None if t.facts.setdefault("first", s) is not s else s) if s.rsv else s
                )
            ),
        )
    ],
}
MUTANTS = {rule: calm(mutants) for rule, mutants in _TABLE.items()}
