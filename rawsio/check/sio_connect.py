"""``sio.connect``, ``sio.packet``, ``sio.disconnect``: joining and leaving namespaces.

The contract that the target keeps is what ``check --contract`` prints.
"""

from __future__ import annotations

import json

from .case import Case, Finding, NotOffered, failed, fine, lax, noted, rows
from .eio_open import EIO_JUDGES
from .eio_wire import Polling, Socket
from .sio_wire import Client, bad, client, event, need
from .ws_wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .case import Judge, Send
    from .talk import Talk

__all__ = ["CASES", "SIO_JUDGES"]

SIO_JUDGES: dict[str, Judge] = dict.fromkeys(
    (
        "SCON",
        "SBAD",
        "SDIS",
        "SROOM",
        "SREC",
        "SV2",
        "SECHO",
        "SACK",
        "SILENT",
        "TIME",
        "LIM",
        "INFO",
    ),
    EIO_JUDGES["STEP"],
)


def _data(packet: str | None, head: str) -> dict[str, object]:
    if packet is None or not packet.startswith(head):
        raise Refused(f"{head}{{...}} was due, not {packet!r}")
    found = json.loads(packet[len(head) :])
    return found if isinstance(found, dict) else {}


def _main(talk: Talk) -> Finding:
    made = client(talk, None)
    data = _data(made.join(), "40")
    extra = set(data) - {"sid", "pid", "offset"}
    if not isinstance(data.get("sid"), str) or not data["sid"]:
        return failed(str(data), "no sid")
    return lax(str(data), f"more than sid: {sorted(extra)}") if extra else fine(str(data))


def _auth(namespace: str, auth: object) -> Send:
    """Return a case whose CONNECT payload has to reach the application."""

    def case(talk: Talk) -> Finding:
        made = client(talk, None)
        answer = made.join(namespace, auth)
        seen = made.event("auth", "" if namespace == "/" else namespace)
        wanted = {} if auth is None else auth
        got = f"{answer!r:.60}, auth {seen!r:.60}"
        if answer is None or not answer.startswith("40"):
            return failed(got)
        if seen is None or seen[:1] != [wanted]:
            return failed(got, f"the handshake has to show {wanted}")
        return fine(got)

    return case


def _form(text: str, *heads: str) -> Send:
    """Return a case with a CONNECT of this form."""

    def case(talk: Talk) -> Finding:
        made = client(talk, None)
        made.send(text)
        answer = made.starts(*heads)
        return fine(answer) if answer is not None else failed(f"{made.kept!r:.80}", "no answer")

    return case


def _two(talk: Talk) -> Finding:
    made = client(talk)
    made.join("/custom")
    sids = made.sid(), made.sid("/custom")
    if not all(sids) or sids[0] == sids[1]:
        return failed(str(sids), "one sid for each namespace")
    return fine(str(sids))


def _secret(talk: Talk) -> Finding:
    made = client(talk)
    outer = str(made.session.open.get("sid"))
    return failed(outer) if made.sid() == outer else fine("they differ")


def _query(talk: Talk) -> Finding:
    made = client(talk, None)
    made.send("40/custom?a=b,")
    answer = made.starts("40/custom?a=b,", "44/custom?a=b,", "40/custom,")
    if answer is None:
        return failed(f"{made.kept!r:.80}", "no answer")
    return noted(answer)


def _polling(talk: Talk) -> Finding:
    return fine("joined") if client(talk, polling=True).sid() else failed("no sid")


def _meanwhile(talk: Talk) -> Finding:
    need(talk)
    session = Polling(talk, socketio=True)
    socket = Socket(talk, f"EIO=4&transport=websocket&sid={session.sid}", socketio=True)
    socket.send("2probe")
    socket.receive()
    session.send("40")
    socket.send("5")
    session.get(0.3) if not session.waiting else session.answer(0.3)
    made = Client(talk, socket)
    early = [p for p in session.inbox if isinstance(p, str) and p.startswith("40")]
    answer = early[0] if early else made.starts("40")
    if answer is None and session.polls is not None:
        heard = bytes(session.polls.heard)
        answer = "40" if b'40{"sid"' in heard else None
    return fine(f"{answer!r:.60}") if answer else failed("CONNECT was lost")


def _refused(namespace: str, wanted: object) -> Send:
    """Return a case whose CONNECT is answered with this CONNECT_ERROR."""

    def case(talk: Talk) -> Finding:
        if namespace == "/refused":
            need(talk, "extended")
        made = client(talk)
        answer = made.join(namespace)
        if answer is None or not answer.startswith(f"44{namespace},"):
            return failed(f"{answer!r}", "CONNECT_ERROR was due")
        try:
            found = json.loads(answer[len(namespace) + 3 :])
        except ValueError:
            return failed(answer, "no JSON")
        made.send(event("message", "after"))
        if made.event("message-back") is None:
            return failed(answer, "the other namespace has to go on")
        if found != wanted:
            return lax(answer, f"{wanted} is canonical")
        return fine(answer)

    return case


def _need_slow(answer: str | None) -> None:
    if answer is not None and answer.startswith("44") and "Invalid namespace" in answer:
        raise NotOffered("the contract of this target has no /slow")


def _slow_event(talk: Talk) -> Finding:
    need(talk, "extended")
    made = client(talk, None)
    made.send("40/slow,", event("message", "early", namespace="/slow"))
    answer = made.starts("40/slow,", "44/slow,")
    _need_slow(answer)
    back = made.event("message-back", "/slow", 1.0)
    if answer is None:
        return noted("closed") if made.closed(0.5) else failed("no answer")
    return noted("delivered later" if back else "dropped")


def _slow_cancel(talk: Talk) -> Finding:
    need(talk, "extended")
    made = client(talk)
    made.send("40/slow,", "41/slow,")
    late = made.starts("40/slow,", "44/slow,", seconds=1.2)
    _need_slow(late)
    if late is None or late.startswith("44"):
        return fine(late or "no late join")
    made.send(event("message", "x", namespace="/slow"))
    back = made.event("message-back", "/slow", 0.5)
    return lax(late, "answered, but left") if back is None else failed(late, "a late join")


def _again(talk: Talk) -> Finding:
    made = client(talk, "/custom")
    first = made.sid("/custom")
    made.send("41/custom,")
    answer = made.join("/custom")
    second = made.sid("/custom")
    if answer is None or not answer.startswith("40"):
        return failed(f"{answer!r}")
    return fine("a new sid") if second != first else failed(second, "the old sid again")


def _none(talk: Talk) -> Finding:
    need(talk)
    made = client(talk, None)
    began = talk.time()
    ended = made.closed(50.0)
    took = talk.time() - began
    return fine(f"closed after {took:.1f} s") if ended else lax(f"open after {took:.0f} s")


def _many(talk: Talk) -> Finding:
    made = client(talk)
    for number in range(100):
        answer = made.join(f"/custom?n={number}")
        if answer is None:
            return noted(f"{number} namespaces, then the connection ends")
        if answer.startswith("44"):
            return noted(f"{number} namespaces, then {answer:.80}")
    return noted("100 namespaces on one connection")


_CONNECT: list[tuple[object, ...]] = [
    ("main", "40 is answered with a sid", _main),
    ("auth", "a payload reaches the application", _auth("/", {"token": "1"})),
    ("auth-nested", "a nested object", _auth("/", {"a": {"b": [1, None]}})),
    ("slash", "40/,", _form("40/,", "40")),
    ("custom", "40/custom,", _auth("/custom", None)),
    ("custom-auth", "with a payload", _auth("/custom", {"token": "2"})),
    ("no-comma", "40/custom without a comma", _form("40/custom", "40/custom,")),
    ("two", "two namespaces have different sids", _two),
    ("sid-secret", "the sid is not that of Engine.IO", _secret),
    ("query-in-name", "a query in the name (recorded)", _query),
    ("polling", "over polling", _polling),
    ("upgrade-meanwhile", "CONNECT during the upgrade", _meanwhile),
    ("unknown", "an unknown namespace", _refused("/random", {"message": "Invalid namespace"})),
    (
        "refused",
        "a namespace that refuses",
        _refused("/refused", {"message": "no", "data": {"code": 7}}),
    ),
    ("slow-event", "an event before the answer (recorded)", _slow_event),
    ("slow-cancel", "a DISCONNECT before the answer: no late join", _slow_cancel),
    ("again", "40 again behind 41: a new sid", _again),
    ("none", "no CONNECT: closed after a while", _none, "slow"),
    ("many", "how many namespaces a connection may join", _many),
]


_BAD_CONNECT: list[tuple[object, ...]] = [
    ("array", "40[]", bad("40[]", before=True)),
    ("string", '40"x"', bad('40"x"', before=True)),
    ("number", "401", bad("401", before=True)),
    ("null", "40null", bad("40null", before=True)),
    ("bad-json", "40{", bad("40{", before=True)),
    ("trailing", "40{}x", bad("40{}x", before=True)),
    ("twice", "CONNECT twice", bad("40")),
    ("garbage", "4abc", bad("4abc", before=True)),
    ("id", "4012{}", bad("4012{}", before=True)),
    ("deep", "10,000 levels", bad('40{"a":' + "[" * 10_000 + "]" * 10_000 + "}", before=True)),
]

_BAD_PACKET: list[tuple[object, ...]] = [
    ("type-7", "47", bad("47")),
    ("type-9", "49[]", bad("49[]")),
    ("empty", "an empty message", bad("4")),
    ("letter", "4x", bad("4x")),
    ("connect-error", "CONNECT_ERROR from a client", bad("44{}")),
    ("unjoined-event", "an event in a namespace never joined", bad('42/custom,["a"]')),
    ("before-connect", "an event before CONNECT", bad('42["a"]', before=True)),
    ("unjoined-ack", "an ACK in a namespace never joined", bad("43/custom,1[]")),
    ("unicode-digit", "the type U+0664", bad('4\u0664["message","x"]')),
    ("space", "a blank before the type", bad('4 2["message","x"]')),
]


def _silent(*packets: str, namespace: str = "/") -> Send:
    """Return a case whose DISCONNECT gets no answer, while the main namespace goes on."""

    def case(talk: Talk) -> Finding:
        made = client(talk)
        if namespace != "/":
            made.join(namespace)
            made.event("auth", namespace)
        made.kept.clear()
        made.send(*packets, event("message", "after"))
        back = made.event("message-back", seconds=1.0)
        said = f"{made.kept!r:.80}"
        if any(isinstance(p, str) and p[:2] in ("41", "44") for p in made.kept):
            return failed(said, "no answer was due")
        left_main = packets[0] in ("41", "41/,")
        if left_main:
            return fine(said) if back is None else failed(said, "the namespace was left")
        return fine("the main namespace goes on") if back else lax("closed")

    return case


def _then_event(talk: Talk) -> Finding:
    made = client(talk)
    made.join("/custom")
    made.send("41/custom,", event("message", "x", namespace="/custom"))
    back = made.event("message-back", "/custom", 0.5)
    if back is not None:
        return failed(str(back), "delivered in a namespace that was left")
    made.send(event("message", "after"))
    return noted("dropped" if made.event("message-back") else "closed")


_SILENT: list[tuple[object, ...]] = [
    ("main", "41: no answer", _silent("41")),
    (
        "custom",
        "41/custom,: the main namespace still echoes",
        _silent("41/custom,", namespace="/custom"),
    ),
    ("unknown", "a namespace never joined", _silent("41/random,")),
    ("then-event", "an event in a namespace that was left (recorded)", _then_event),
    ("twice", "41 twice", _silent("41", "41")),
]


def _kicked(*, close: bool) -> Send:
    def case(talk: Talk) -> Finding:
        need(talk, "extended")
        made = client(talk)
        made.send(event("disconnect-me", close))
        said = made.starts("41")
        ended = made.closed(None if close else 0.4)
        if close:
            return fine(f"{said}, closed") if ended else failed(f"{said}", "closing was asked for")
        if said is None and not ended:
            return failed("the connection goes on", "41 was due")
        return fine("41") if said == "41" else lax(f"{said}, closed {ended}", "41 was due")

    return case


def _rooms_left(talk: Talk) -> Finding:
    need(talk, "extended")
    leaver, other = client(talk), client(talk)
    for number, made in enumerate((leaver, other)):
        made.send(event("join", "left", id_=str(number)))
        made.starts(f"43{number}[")
    leaver.send("41", "40")
    leaver.starts("40")
    other.send(event("broadcast", "left", "x"))
    other.send(event("message", "done"))
    other.event("message-back")
    back = leaver.event("news", seconds=0.5)
    return fine() if back is None else failed(str(back), "still in the room")


_REASONS = {
    "41": "client namespace disconnect",
    "disconnect-me": "server namespace disconnect",
    "end": "transport close",
    "4abc": "forced close",
}
"""What ends a socket, and the word that the reference has for it."""


def _told_reason(watcher: Client, sid: str, number: int) -> object:
    """Return the reason that the application was told; it may hear of an end a little later."""
    for _ in range(20):
        watcher.send(event("reason-of", sid, id_=str(number)))
        answer = watcher.starts(f"43{number}[", seconds=1.0)
        if answer is None:
            raise NotOffered("the contract of this target tells no reasons (reason-of)")
        reason = (json.loads(answer[answer.index("[") :]) or [None])[0]
        if reason is not None:
            return reason
        watcher.talk.world.pause(0.05)
    return None


def _reason(talk: Talk) -> Finding:
    need(talk, "extended")
    watcher = client(talk)
    seen: dict[str, object] = {}
    for number, cause in enumerate(_REASONS):
        made = client(talk)
        if cause == "end":
            made.drop(reset=False)
        else:
            made.send(event(cause, False) if cause == "disconnect-me" else cause)
            made.closed(0.1)
        seen[cause] = _told_reason(watcher, made.sid(), number)
    if seen == _REASONS:
        return fine(str(seen))
    told = list(seen.values())[:3]
    if all(isinstance(word, str) for word in told) and len(set(told)) == 3:
        return lax(str(seen), "other words than the reference has")
    return failed(str(seen), f"{_REASONS} is what the reference tells")


_SERVER: list[tuple[object, ...]] = [
    ("server", "disconnect(false): 41", _kicked(close=False)),
    ("server-close", "disconnect(true): 41, then closed", _kicked(close=True)),
    ("rooms-left", "a broadcast behind it does not arrive", _rooms_left),
    ("reason", "the reason that the application sees", _reason),
]

CASES: list[Case] = [
    *rows("sio.connect", "socketio-v5-connect-answer", "SCON", SIO_JUDGES, _CONNECT),
    *rows("sio.connect", "socketio-v5-connect-data", "SBAD", SIO_JUDGES, _BAD_CONNECT),
    *rows("sio.packet", "socketio-v5-format-type", "SBAD", SIO_JUDGES, _BAD_PACKET),
    *rows("sio.disconnect", "socketio-v5-disconnect-silent", "SILENT", SIO_JUDGES, _SILENT),
    *rows(
        "sio.disconnect",
        "socketio-v5-disconnect-empty",
        "SBAD",
        SIO_JUDGES,
        [
            ("payload", "41{}", bad("41{}")),
            ("array", "41[]", bad("41[]")),
            ("id", "4112", bad("4112")),
        ],
    ),
    *rows("sio.disconnect", "socketio-v5-disconnect-silent", "SDIS", SIO_JUDGES, _SERVER),
]
