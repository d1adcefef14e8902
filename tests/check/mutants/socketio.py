"""Servers with one rule of Socket.IO broken."""

from __future__ import annotations

from rawsio.check.ws_wire import TEXT, F, encode

from .engineio import GARBLED, NO_CLOSE
from .taps import Mutant, Packet, Tap, calm, crashes, delivers, packets, sub, texts

__all__ = ["MUTANTS"]

_CRASHES = Mutant("no session opens", asks=crashes(rb"EIO="))
_BLOCKS = Mutant("one connection is served at a time", busy=True)
_GARBLES = Mutant("what comes back is changed", says=GARBLED)


def _say(tap: Tap, packet: str) -> None:
    tap.back += encode(F(TEXT, packet.encode(), key=None))


def _answered(tap: Tap, packet: Packet) -> list[Packet]:
    """Answer a DISCONNECT with one."""
    if str(packet).startswith("41"):
        _say(tap, str(packet))
    return [packet]


def _stays(tap: Tap, packet: Packet) -> list[Packet]:
    """Neither leave the main namespace nor join it again."""
    left = tap.facts.get("left")
    tap.facts["left"] = left or packet == "41"
    return [] if packet == "41" or (left and packet == "40") else [packet]


def _to_sender(tap: Tap, packet: Packet) -> list[Packet]:
    if str(packet).startswith('42["broadcast"'):
        _say(tap, '42["news","x"]')
    return [packet]


def _everywhere(tap: Tap, packet: Packet) -> list[Packet]:
    """Send a broadcast into the same room of another namespace, and to everybody else."""
    if str(packet).startswith('42["broadcast"'):
        for other in tap.shared["taps"]:
            if other is not tap:
                _say(other, '42/custom,["news","x"]')
                _say(other, '42["news","x"]')
    return [packet]


def _twice(pattern: str) -> Mutant:
    def change(_tap: Tap, packet: Packet) -> list[Packet]:
        return [packet, packet] if str(packet).startswith(pattern) else [packet]

    return Mutant(f"{pattern} comes twice", says=packets(change, server=True))


def _hangs(tap: Tap, packet: Packet) -> list[Packet]:
    """Hear nothing any more behind an event whose attachments nothing refers to."""
    tap.facts["hangs"] = tap.facts.get("hangs") or packet == '451-["message",1]'
    return [] if tap.facts["hangs"] else [packet]


def _late(tap: Tap, packet: Packet) -> list[Packet]:
    """Count an answer whenever it comes."""
    if str(packet).endswith('["first"]'):
        _say(tap, '42["answer","first"]')
    return [packet]


def _says(how: str, pattern: str, by: str) -> Mutant:
    return Mutant(how, says=texts(pattern, by, server=True))


def _hears(how: str, pattern: str, by: str) -> Mutant:
    return Mutant(how, asks=texts(pattern, by))


def _delivers(how: str, pattern: str, *, binary: bool = False) -> list[Mutant]:
    """Return the mutants that deliver what is bad, behind a CONNECT and before one."""
    return [
        Mutant(how, asks=delivers(pattern, binary=binary)),
        Mutant(f"{how}, before CONNECT", asks=delivers(pattern, binary=binary, join=True)),
    ]


_SILENT = Mutant("what is refused is met with silence", says=NO_CLOSE, clings=True)
_NO_ANSWER = _hears("CONNECT is not heard", r"\A40.*\Z", "")
_OLD = Mutant("revision 3 is not served", asks=sub(rb"EIO=3", b"EIO=5"))
_LOST = _says("what comes back gets lost", r'\A4[25].*"message-back".*\Z', "")

_TABLE: dict[str, list[Mutant]] = {
    "socketio-v5-connect-answer": [
        _says("the answer to CONNECT has no sid", r'\A40\{"sid"', '40{"no"'),
        _says("auth is not passed on", r'\["auth",', '["auth",7,'),
        _says("every sid is the same", r'"sid":"[^"]*"', '"sid":"same"'),
        _says("a refusal is a consent", r"\A44/", "40/"),
        Mutant("a connection that joins nothing stays", says=NO_CLOSE, clings=True),
        _NO_ANSWER,
        _CRASHES,
    ],
    "socketio-v5-connect-data": _delivers("any CONNECT is an event", r"\A4(?!2|0\Z)|\A40\Z"),
    "socketio-v5-format-type": _delivers("any packet is an event", r'\A4(?!0\Z|2\["m)|\A42\["a"'),
    "socketio-v5-disconnect-silent": [
        Mutant("DISCONNECT is answered", asks=packets(_answered)),
        _hears("a namespace is not left", r"\A41/custom,\Z", ""),
        Mutant("the main namespace is not left", asks=packets(_stays)),
        Mutant("a connection stays", says=NO_CLOSE, clings=True),
        _says("nobody is disconnected", r"\A41\Z", ""),
        _says("every reason is the same", r'\A(43\d\[)".*', r'\1"gone"]'),
    ],
    "socketio-v5-disconnect-empty": _delivers("data is not looked at", r"\A41."),
    "socketio-v5-event-array": _delivers("any data is an event", r'\A42(?!\["message","after"\])'),
    "socketio-v5-event-reserved": _delivers("any name is free", r'\A42\["(?!message)'),
    "socketio-v5-event-order": [
        _says("unknown events are answered", r'\A(42\["message-back","after".*)\Z', r'42["error"]'),
        _GARBLES,
        _CRASHES,
    ],
    "socketio-v5-ack-id": [
        _says("an answer has more arguments", r"\A(43\D*\d+|46[^[]*)\[", r"\1[0,"),
        _says("no question is asked", r'\A42\d+\["question".*\Z', ""),
        _CRASHES,
    ],
    "socketio-v5-ack-unknown": [
        _twice('42["answer"'),
        _hears("an answer counts in any namespace", r"\A43/custom,", "43"),
        Mutant("an answer counts whenever it comes", asks=packets(_late)),
        _CRASHES,
    ],
    "socketio-v5-format-id": _delivers("any id will do", r"\A4[23](?!\[)"),
    "socketio-v5-ack-array": [_CRASHES],
    "socketio-v5-format-binary": [_GARBLES, _LOST],
    "socketio-v5-binary-count": [
        *_delivers("any count will do", r"\A45"),
        *_delivers("binary needs no packet", r"\A\Z", binary=True),
        Mutant("attachments that nothing refers to hang", asks=packets(_hangs)),
    ],
    "socketio-v5-binary-time": [_BLOCKS],
    "socketio-v5-binary-size": [_SILENT],
    "socketio-v5-binary-expansion": [_SILENT],
    "socketio-v5-connect-judged": [
        _twice('42["news"'),
        _hears("nobody leaves a room", r'\["leave"', '["stay"'),
        Mutant("a sender gets a copy", asks=packets(_to_sender)),
        Mutant("a room is one in all namespaces", asks=packets(_everywhere)),
        _says("rooms get nothing", r'\A4[25].*"news".*\Z', ""),
        _CRASHES,
    ],
    "features-1.8": [
        _says("events have no offset", r'(\A42\["news",.*),"[^"]*"\]\Z', r"\1]"),
        _says("a pid is a number", r'"pid":"[^"]*"', '"pid":1'),
        _says("every sid is the same", r'"sid":"[^"]*"', '"sid":"same"'),
        _CRASHES,
    ],
    "socketio-v5-revision4-connect": [_OLD],
}
MUTANTS = {rule: calm(mutants) for rule, mutants in _TABLE.items()}
