"""Servers with one rule of Engine.IO broken."""

from __future__ import annotations

from rawsio.check.ws_wire import CLOSE

from .taps import (
    Mutant,
    Packet,
    Tap,
    answers,
    calm,
    crashes,
    frames,
    heads,
    packets,
    requests,
    sub,
    swallows,
    texts,
)

__all__ = ["GARBLED", "MUTANTS", "NO_CLOSE"]

_TAKEN = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_GONE = b'HTTP/1.1 400 X\r\nContent-Length: 10\r\n\r\n{"code":1}'
_CRASHES = Mutant("a session crashes", asks=crashes(rb"EIO="))
NO_CLOSE = frames(lambda _tap, seen: None if seen.opcode == CLOSE else seen, server=True)


def _garbled(_tap: Tap, packet: Packet) -> list[Packet]:
    if isinstance(packet, bytes):
        return [packet + b"x"]
    if packet[:1] == "b":
        return ["bAAAA"]
    return [packet.replace('["message-back"', '["message-back",0')]


GARBLED = packets(_garbled, server=True)


def _pings(_tap: Tap, packet: Packet) -> list[Packet]:
    return [packet, "2"] if str(packet).startswith("0{") else [packet]


def _noop(tap: Tap, head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Take whatever is posted for a noop, but what opens the case."""
    head = head.replace(b"application/octet-stream", b"text/plain")
    opens = body in (b"6", b"40") or not head.startswith(b"POST")
    return head, body if opens else b"6"


def _second_probe(tap: Tap, packet: Packet) -> list[Packet]:
    if str(packet)[:1] != "2":
        return [packet]
    probed, tap.facts["probed"] = tap.facts.get("probed"), True
    return [packet] if packet == "2probe" and not probed else []


def _two_polls(tap: Tap, data: bytes) -> bytes:
    """Answer a second poll while the first one waits."""
    if b"&sid=" not in data or not data.startswith(b"GET") or tap.upgraded:
        return data
    if tap.shared.setdefault("poll", tap) is tap:
        return data
    tap.back += _TAKEN
    return b""


def _swapped(tap: Tap, packet: Packet) -> list[Packet]:
    """Lose messages once the WebSocket carries them."""
    return [] if tap.upgraded and "message-back" in str(packet) else [packet]


def _cut_ends(tap: Tap, data: bytes) -> bytes:
    """Forget a session when a probe was cut off."""
    if tap.shared.get("dead") and b"EIO" in data:
        tap.back += _GONE
        return b""
    return data


def _idle(tap: Tap, data: bytes) -> bytes:
    """Take no posts any more once a probe was there."""
    if b"\r\nUpgrade" in data:
        tap.shared["probed"] = True
    if tap.shared.get("probed") and b"still polling" in data:
        tap.back += _GONE
        return b""
    return data


def _open(how: str, pattern: str, by: str) -> Mutant:
    return Mutant(how, says=texts(pattern, by, server=True))


_NO_PROBE = _open("a probe is answered wrongly", r"\A3probe\Z", "3foo")
_BLOCKS = Mutant("one connection is served at a time", busy=True)
_TABLE: dict[str, list[Mutant]] = {
    "engineio-v4-handshake-polling": [
        _open("the open packet has more keys", r"\A0\{", '0{"foo":1,'),
        _open("times are seconds", r'"pingInterval":\d+', '"pingInterval":0.3'),
        _open("every sid is the same", r'"sid":"[^"]*"', '"sid":"same"'),
        _open("upgrades are made up", r'"upgrades":\[[^]]*\]', '"upgrades":["x"]'),
        _open("maxPayload is a text", r'"maxPayload":\d+', '"maxPayload":"x"'),
        _CRASHES,
    ],
    "engineio-v4-handshake-protocol": [
        Mutant(
            "whatever a query says opens a session",
            asks=sub(rb"\A\S+ (/[^?\r]*)\?\S* (?!.*Upgrade)", rb"GET \1?EIO=4&transport=polling "),
        ),
        Mutant(
            "whatever a query says opens a WebSocket",
            asks=sub(rb"\A(\S+ /[^?\r]*)\?\S* (?=.*Upgrade)", rb"\1?EIO=4&transport=websocket "),
        ),
        Mutant("POST opens a session", asks=answers(rb"\AP\S+ /[^?]*\?EIO=4", _TAKEN)),
    ],
    "engineio-v4-http-cors": [
        Mutant(
            "* goes with credentials",
            says=heads(
                rb"\r\n\r\n",
                b"\r\nAccess-Control-Allow-Origin: *\r\n"
                b"Access-Control-Allow-Credentials: true\r\n\r\n",
            ),
        ),
        Mutant("an error has no answer", asks=swallows(rb"transport=abc")),
        _CRASHES,
    ],
    "engineio-v4-polling-method": [Mutant("PUT is as good as POST", asks=sub(rb"\APUT", b"POST"))],
    "engineio-v4-polling-post": [
        Mutant("what comes back is changed", says=GARBLED),
        Mutant("noop and pong crash", asks=crashes(rb"\r\n\r\n[36]\Z")),
    ],
    "engineio-v4-polling-malformed": [
        Mutant("the form of revision 3 crashes", asks=crashes(rb"\r\n\r\n6:4")),
        Mutant("what is malformed is a noop", asks=requests(_noop)),
    ],
    "engineio-v4-polling-size": [
        Mutant(
            "any size is taken", asks=answers(rb"\APOST.*(?:1000001|1000000000|chunked)", _TAKEN)
        ),
        Mutant(
            "long messages are dropped",
            asks=frames(lambda _t, s: s if len(s.payload) < 500_000 else None),
        ),
    ],
    "engineio-v4-polling-overlap": [
        Mutant("two posts at a time are taken", asks=answers(rb"\r\n\r\n4x\Z", _TAKEN)),
        Mutant("two polls at a time are answered", asks=_two_polls),
        Mutant("what is cut off goes on", asks=answers(rb"\r\n\r\n6\Z", _TAKEN), mute=True),
    ],
    "engineio-v4-heartbeat-upload": [_BLOCKS],
    "engineio-v4-heartbeat-interval": [
        Mutant(
            "sessions never end", asks=answers(rb"\r\n\r\n6\Z", _TAKEN), says=NO_CLOSE, clings=True
        ),
        _open("a ping has data", r"\A2\Z", "2x"),
        Mutant("a ping comes at once", says=packets(_pings, server=True)),
        _open("there is no ping", r"\A2\Z", ""),
    ],
    "engineio-v4-heartbeat-direction": [
        Mutant("pings of a client are dropped", asks=packets(_second_probe))
    ],
    "engineio-v4-close-packet": [
        Mutant("close is a noop", asks=texts(r"\A1\Z", "6")),
        Mutant(
            "a session outlives its connection",
            asks=answers(rb"\AGET \S*&sid=|\r\n\r\n4x\Z", _TAKEN),
        ),
    ],
    "engineio-v4-close-websocket": [_CRASHES],
    "engineio-v4-packet-known": [
        Mutant("unknown packets are noops", asks=texts(r"\A(?:abc|8||0|5)\Z", "6"))
    ],
    "engineio-v4-packet-types": [Mutant("what comes back is changed", says=GARBLED)],
    "engineio-v4-handshake-sessions": [_CRASHES],
    "engineio-v4-polling-unpolled": [Mutant("posts crash", asks=crashes(rb"\APOST.*x{1000}"))],
    "engineio-v4-payload-count": [Mutant("many packets get no answer", asks=swallows(rb"6\x1e6"))],
    "engineio-v4-upgrade-swap": [
        Mutant("messages get lost at the swap", says=packets(_swapped, server=True)),
        Mutant("polling ends with a probe", asks=_idle),
        Mutant("any sid will do", asks=sub(rb"&sid=abcdefghijklmnop", b"")),
        _open("the waiting poll does not end with a noop", r"\A6\Z", "6x"),
        _NO_PROBE,
    ],
    "engineio-v4-upgrade-probe": [
        Mutant("a bad candidate ends the session", asks=answers(rb"\r\n\r\n6\Z", _GONE))
    ],
}
MUTANTS = {
    rule: mutants if rule == "engineio-v4-heartbeat-interval" else calm(mutants)
    for rule, mutants in _TABLE.items()
}
