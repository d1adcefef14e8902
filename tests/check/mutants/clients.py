"""Clients with one rule broken.

``asks`` filters see what the tester sends to the client here, ``says`` filters what comes from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from rawsio.check.ws_wire import CLOSE, KEY, PONG, F, Seen
from rawsio.websocket.handshake import accept_key

from .taps import Filter, Mutant, Packet, Tap, frames, packets, sub, texts

__all__ = ["MUTANTS"]

_STORMS = Mutant("it connects without end", storms=True)
_SAYS_NOTHING = Mutant("its user is told nothing", tells=lambda _item: None)
_DEAF = Mutant("it hears nothing", asks=lambda _tap, _data: b"")


def _opens(tap: Tap, data: bytes) -> bytes:
    """Take any answer to a handshake for the right one."""
    key = tap.facts.pop("key", None)
    if key is None:
        return data
    tap.upgraded = True
    accept = accept_key(key.decode()).encode()
    return (
        b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def _remember_key(tap: Tap, data: bytes) -> bytes:
    found = re.search(rb"(?i)\r\nSec-WebSocket-Key: ([^\r]*)", data)
    if found:
        tap.facts["key"] = found[1]
    return data


def _mended(_tap: Tap, seen: Seen) -> Seen | F | None:
    """Drop every frame that is wrong in itself."""
    wrong = seen.masked or seen.rsv or seen.opcode in (0, 3)
    wrong = wrong or (seen.opcode > 7 and (not seen.fin or len(seen.payload) > 100))
    return None if wrong or seen.opcode == CLOSE or b"\xff" in seen.payload else seen


def _from_server(change: Callable[[Tap, Seen], Seen | F | list[Seen | F] | None]) -> Filter:
    return frames(change, server=True)


def _no(opcode: int) -> Filter:
    return frames(lambda _tap, seen: None if seen.opcode == opcode else seen)


_CLINGS = Mutant("it keeps a connection that it should end", says=_no(CLOSE), clings=True)


def _mask(key: bytes | None) -> Filter:
    return frames(lambda _t, s: F(s.opcode, s.payload, s.fin, s.rsv, key=key))


def _too_soon(tap: Tap, data: bytes) -> bytes:
    return data + b"early" if b"websocket" in data and not tap.upgraded else data


def _drops(pattern: str) -> Filter:
    """Lose packets that the client sends."""
    return texts(pattern, "")


def _hears(pattern: str, by: str) -> Filter:
    """Change packets that the client hears."""
    return texts(pattern, by, server=True)


def _twice(pattern: str) -> Filter:
    def change(_tap: Tap, packet: Packet) -> list[Packet]:
        return [packet, packet] if re.match(pattern, str(packet)) else [packet]

    return packets(change)


def _first_too(pattern: str, packet: str) -> Filter:
    """Send a packet before one that matches."""

    def change(_tap: Tap, item: Packet) -> list[Packet]:
        return [packet, item] if re.match(pattern, str(item)) else [item]

    return packets(change)


def _two_at_once(_tap: Tap, packet: Packet) -> list[Packet]:
    second = str(packet).replace('"a",1', '"b",2')
    return [packet, second] if '["a",1]' in str(packet) else [packet]


def _once(tap: Tap, packet: Packet) -> list[Packet]:
    """Send no event again."""
    event = str(packet).partition("[")[2]
    sent, tap.facts[event] = event in tap.facts, True
    return [] if sent and str(packet).startswith("42") else [packet]


def _joins_once(tap: Tap, packet: Packet) -> list[Packet]:
    if not str(packet).startswith("40"):
        return [packet]
    return [packet] if tap.shared.setdefault("joined", tap) is tap else []


def _no_event(*names: str) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    return lambda item: None if item["event"] in names else item


_LOST = Mutant("messages do not reach its user", tells=_no_event("message"))

MUTANTS: dict[str, list[Mutant]] = {
    "9112-6.3-no-body": [
        Mutant("cookies go anywhere", says=sub(rb"\r\n\r\n", b"\r\nCookie: there=1\r\n\r\n")),
        Mutant(
            "it asks for gzip that it does not know",
            says=sub(rb"\r\n\r\n", b"\r\nAccept-Encoding: gzip\r\n\r\n"),
        ),
        _DEAF,
        _STORMS,
    ],
    "9112-6.3-one-length": [_CLINGS, _STORMS],
    "6455-4.1-accept": [
        Mutant("any answer opens", asks=_opens, says=_remember_key),
        Mutant("wrong frames are dropped", asks=_from_server(_mended)),
        _CLINGS,
    ],
    "6455-4.1-request": [
        Mutant("it asks for version 12", says=sub(rb"Version: 13", b"Version: 12")),
        Mutant("the nonce is always the same", says=sub(rb"(-Key: )[^\r]*", rb"\1AAAA")),
        Mutant(
            "the handshake has a body", says=sub(rb"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n")
        ),
        Mutant("it does not wait for the 101", says=_too_soon),
        Mutant("frames are not masked", says=_mask(None)),
        Mutant("every key is the same", says=_mask(KEY)),
        Mutant("every key is zero", says=_mask(bytes(4))),
        Mutant("a close is not answered", says=_no(CLOSE), clings=True),
        Mutant("no ping is answered", says=_no(PONG)),
        _LOST,
    ],
    "engineio-v4-handshake-open": [
        Mutant("it asks for revision 3", says=sub(rb"EIO=4", b"EIO=3")),
        Mutant("its path has no slash", says=sub(rb"/socket.io/\?", b"/socket.io?")),
        Mutant("a ping is not answered", says=_drops(r"\A3\Z")),
        Mutant("the ping is never missed", tells=_no_event("disconnect")),
        Mutant("it sends credentials", says=sub(rb"\r\n\r\n", b"\r\nAuthorization: x\r\n\r\n")),
        Mutant("requests overlap", says=lambda _t, d: d * 2 if b"&sid=" in d else d),
        Mutant(
            "it upgrades without an offer",
            asks=_hears(r'"upgrades":\[\]', '"upgrades":["websocket"]'),
        ),
        Mutant("maxPayload is not kept", asks=_hears(r'"maxPayload":1000,?', '"maxPayload":99999')),
        Mutant("it does not close", asks=_hears(r'\A42\["do",\{"disconnect.*', "6")),
        Mutant("all transports are tried", options={"transports": ["polling", "websocket"]}),
        Mutant("sids are not encoded", says=sub(rb"sid=a%2Bb", b"sid=a+b")),
        _LOST,
        _DEAF,
        _STORMS,
    ],
    "engineio-v4-client-status": [_SAYS_NOTHING],
    "socketio-v5-connect-answer": [
        Mutant("events come before CONNECT is answered", says=_first_too(r"40", '42["out",0]')),
        Mutant("auth is left out", says=texts(r"\A40\{.*", "40")),
        Mutant("it joins another namespace", says=texts(r"\A40/[^,]*", "40/other")),
        Mutant("acknowledgements are doubled", says=_twice(r"43")),
        Mutant("acknowledgements get lost", says=_drops(r"\A4[36].*\Z")),
        Mutant("events get lost", says=_drops(r"\A4[25].*\Z")),
        Mutant("volatile events are kept", asks=_hears('"volatile":true', '"volatile":false')),
        Mutant("offsets are another's", says=texts("offset1", "offset2")),
        Mutant("offsets are made up", says=texts(r'("pid":"p1")', r'\1,"offset":"x"')),
        Mutant("two events are in flight", says=packets(_two_at_once)),
        Mutant("nothing is sent again", says=packets(_once)),
        Mutant("no acknowledgement fails", tells=_no_event("ack")),
        Mutant("it never comes back", says=packets(_joins_once)),
        Mutant("it never joins", says=_drops(r"\A40.*\Z")),
        _SAYS_NOTHING,
        _LOST,
        _CLINGS,
        _STORMS,
    ],
    "socketio-v5-event-array": [
        Mutant(
            "bad packets are events",
            asks=_hears(r"\A4(?!0\{)(?!2\[\"message\",\"after).*\Z", '42["message","bad"]'),
        ),
        Mutant(
            "nobody is told, nothing ends", says=_no(CLOSE), clings=True, tells=lambda _item: None
        ),
        _STORMS,
    ],
}
