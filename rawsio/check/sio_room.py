"""``sio.room``, ``sio.recovery``, ``sio.v2``: who gets what, who comes back, and older clients.

Each case has a room of its own, since cases run side by side.
"""

from __future__ import annotations

import json

from .case import Case, Finding, NotOffered, failed, fine, lax, noted, rows
from .eio_open import EIO_JUDGES
from .eio_wire import Socket, exchange
from .http_wire import show
from .sio_connect import SIO_JUDGES
from .sio_wire import Client, client, event, need

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .case import Send
    from .talk import Talk

__all__ = ["CASES"]


def _members(talk: Talk, count: int, *, namespace: str = "/") -> list[Client]:
    need(talk, "extended")
    return [client(talk, namespace) for _ in range(count)]


def _room(talk: Talk, name: str = "r") -> str:
    """Return a room that no other case of the run uses."""
    talk.facts.setdefault("room", talk.bytes(6).hex())
    return f"{name}-{talk.facts['room']}"


def _enter(made: Client, room: str, namespace: str = "", verb: str = "join") -> None:
    room = _room(made.talk, room)
    place = f"{namespace}," if namespace else ""
    made.send(event(verb, room, namespace=namespace, id_="1"))
    made.starts(f"43{place}1[")


def _news(made: Client, namespace: str = "", seconds: float = 0.5) -> list[object]:
    """Return the news that a client has, up to the answer of an event of its own."""
    found: list[object] = []
    place = f"{namespace}," if namespace else ""
    made.send(event("message", "mark", namespace=namespace))
    while True:
        packet = made.starts(f'42{place}["news"', f'42{place}["message-back"', seconds=seconds)
        if packet is None or '"message-back"' in packet[:40]:
            return found
        found.append(json.loads(packet[2 + len(place) :])[1])


def _settled(sender: Client, namespace: str = "") -> None:
    """Wait until the server has worked off what a client sent."""
    sender.send(event("message", "done", namespace=namespace))
    sender.event("message-back", namespace)


def _join(talk: Talk) -> Finding:
    sender, member, other = _members(talk, 3)
    _enter(member, "r")
    sender.send(event("broadcast", _room(talk, "r"), "x"))
    _settled(sender)
    got = _news(member), _news(other)
    return fine(str(got)) if got == (["x"], []) else failed(str(got))


def _once(talk: Talk) -> Finding:
    sender, member = _members(talk, 2)
    for room in ("a", "b"):
        _enter(member, room)
    sender.send(event("broadcast", _room(talk, "a"), "x"))
    _settled(sender)
    got = _news(member)
    return fine(str(got)) if got == ["x"] else failed(str(got), "one copy was due")


def _leave(talk: Talk) -> Finding:
    sender, member = _members(talk, 2)
    _enter(member, "r")
    _enter(member, "r", verb="leave")
    sender.send(event("broadcast", _room(talk, "r"), "x"))
    _settled(sender)
    got = _news(member)
    return fine() if got == [] else failed(str(got))


def _sender(talk: Talk) -> Finding:
    (sender,) = _members(talk, 1)
    _enter(sender, "r")
    sender.send(event("broadcast", _room(talk, "r"), "x"))
    got = _news(sender)
    return fine() if got == [] else failed(str(got), "a sender gets no copy")


def _namespace(talk: Talk) -> Finding:
    sender, member = _members(talk, 2)
    member.join("/custom")
    member.event("auth", "/custom")
    _enter(member, "r", "/custom")
    sender.send(event("broadcast", _room(talk, "r"), "x"))
    _settled(sender)
    got = _news(member, "/custom")
    return fine() if got == [] else failed(str(got), "rooms of two namespaces are two rooms")


def _unjudged(talk: Talk) -> Finding:
    sender, member = _members(talk, 2)
    member.send("40/slow,")
    if str(sender.join("/slow")).startswith("44"):
        raise NotOffered("the contract of this target has no /slow")
    _enter(sender, "r", "/slow")
    sender.send(event("broadcast", _room(talk, "r"), "x", namespace="/slow"))
    _settled(sender, "/slow")
    early = [p for p in member.kept if '"news"' in str(p)]
    return failed(str(early)) if early else fine()


def _own_room(talk: Talk) -> Finding:
    sender, member = _members(talk, 2)
    sender.send(event("broadcast", member.sid(), "x"))
    _settled(sender)
    got = _news(member)
    return fine(str(got)) if got == ["x"] else failed(str(got), "a sid is a room of its own")


def _binary(talk: Talk) -> Finding:
    need(talk, "extended")
    sender, member, poller = client(talk), client(talk), client(talk, polling=True)
    for made in (member, poller):
        _enter(made, "r")
    sender.send(f'451-["broadcast","{_room(talk)}",{{"_placeholder":true,"num":0}}]', b"\0\xff")
    for made in (member, poller):
        head = made.starts('451-["news"')
        data = made.receive()
        if head is None or data != b"\0\xff":
            return failed(f"{head!r} {data!r}")
    return fine("both have it")


def _late(talk: Talk) -> Finding:
    sender, member = _members(talk, 2)
    sender.send(*(event("broadcast", _room(talk, "r"), n) for n in range(50)))
    _enter(member, "r")
    sender.send(*(event("broadcast", _room(talk, "r"), n) for n in range(50, 100)))
    _settled(sender)
    got = _news(member)
    if got == list(range(100 - len(got), 100)) and len(got) >= 50:
        return fine(f"the last {len(got)} in order")
    return failed(f"{got!r:.80}", "out of order or lost")


def _hundred(talk: Talk) -> Finding:
    sender, *others = _members(talk, 101)
    for made in others:
        _enter(made, "r")
    sender.send(*(event("broadcast", _room(talk, "r"), n) for n in range(100)))
    _settled(sender)
    wrong = sum(_news(made) != list(range(100)) for made in others)
    return fine("100 members, 100 events each") if not wrong else failed(f"{wrong} members differ")


_ROOMS: list[tuple[object, ...]] = [
    ("join", "a member gets it, another does not", _join),
    ("once", "in two rooms: one copy", _once),
    ("leave", "not after leave", _leave),
    ("sender", "the sender is left out", _sender),
    ("namespace", "the same name in two namespaces", _namespace),
    ("unjudged", "not accepted yet: no broadcast", _unjudged),
    ("sid-room", "the own sid is a room", _own_room),
    ("binary", "binary, to polling and WebSocket", _binary),
    ("late", "joined during a burst: the order is kept", _late),
    ("hundred", "100 members, 100 events: each all, in order", _hundred),
]

# Recovery


def _recoverable(talk: Talk) -> tuple[Client, Client, str]:
    """Return a sender, a member of room r, and the offset of the last event it has seen."""
    need(talk, "extended")
    sender, member = client(talk), client(talk)
    if "pid" not in member.answers["/"]:
        raise NotOffered("no connection state recovery")
    _enter(member, "r")
    sender.send(event("broadcast", _room(talk, "r"), "seen"))
    back = member.event("news")
    return sender, member, str(back[-1]) if back and len(back) > 1 else ""


def _pid(talk: Talk) -> Finding:
    made = client(talk)
    pid = made.answers["/"].get("pid")
    if pid is None:
        raise NotOffered("no connection state recovery")
    return fine() if isinstance(pid, str) and pid else failed(f"{pid!r}")


def _offset(talk: Talk) -> Finding:
    _sender, _member, offset = _recoverable(talk)
    return fine(offset) if offset else failed("no offset", "events carry one as last argument")


def _missed(
    talk: Talk, *, offset: str | None = None, pid: object = None, cut: bool = True
) -> tuple[Client, str, Client, list[object]]:
    sender, member, known = _recoverable(talk)
    if cut:
        member.drop()
        _settled(sender)
    sender.send(
        event("broadcast", _room(talk, "r"), "missed 1"),
        event("broadcast", _room(talk, "r"), "missed 2"),
    )
    _settled(sender)
    back = Client(talk, Socket(talk, socketio=True).opened())
    auth = {
        "pid": member.answers["/"]["pid"] if pid is None else pid,
        "offset": known if offset is None else offset,
    }
    back.join("/", auth)
    return member, known, back, [p for p in back.kept if '"news"' in str(p)]


def _resume(talk: Talk) -> Finding:
    member, _known, back, before = _missed(talk)
    if back.sid() != member.sid():
        return failed(f"{back.sid()}, was {member.sid()}", "the same sid was due")
    found = [json.loads(str(p)[2:])[1] for p in before]
    while len(found) < 2:
        args = back.event("news", seconds=0.5)
        if args is None:
            break
        found.append(args[0])
    good = found == ["missed 1", "missed 2"]
    return fine(f"{found}") if good else failed(f"{found}", "both missed events were due")


def _order(talk: Talk) -> Finding:
    _member, _known, _back, before = _missed(talk)
    return noted("missed events come before CONNECT" if before else "CONNECT comes first")


def _twice(talk: Talk) -> Finding:
    member, known, back, _before = _missed(talk)
    again = Client(talk, Socket(talk, socketio=True).opened())
    again.join("/", {"pid": member.answers["/"]["pid"], "offset": known})
    if again.sid() == back.sid():
        back.send(event("message", "x"))
        if back.event("message-back", seconds=0.5):
            return failed(again.sid(), "one session became two sockets")
        return fine("the second takes over")
    return fine("the second is a new session")


def _alive(talk: Talk) -> Finding:
    member, _known, back, _before = _missed(talk, cut=False)
    if back.sid() != member.sid():
        return fine("a new session")
    member.send(event("message", "x"))
    lives = member.event("message-back", seconds=0.5)
    return failed("two sockets with one sid") if lives else fine("taken over")


def _new(offset: str | None = None, pid: object = None) -> Send:
    """Return a case whose attempt to come back makes a new session."""

    def case(talk: Talk) -> Finding:
        member, _known, back, _before = _missed(talk, offset=offset, pid=pid)
        if not back.sid():
            return lax("the connection was closed") if back.closed(0.3) else failed("no answer")
        return failed("recovered") if back.sid() == member.sid() else fine("a new session")

    return case


def _expired(talk: Talk) -> Finding:
    sender, member, known = _recoverable(talk)
    member.drop()
    talk.world.pause(125.0)
    back = Client(talk, Socket(talk, socketio=True).opened())
    back.join("/", {"pid": member.answers["/"]["pid"], "offset": known})
    _settled(sender)
    return noted("recovered after 125 s" if back.sid() == member.sid() else "a new session")


_RECOVERY: list[tuple[object, ...]] = [
    ("pid", "CONNECT is answered with a pid", _pid),
    ("offset", "events carry an offset", _offset),
    ("resume", "cut, two events missed, back: the same sid, both replayed", _resume),
    ("order", "what comes first (recorded)", _order),
    ("twice", "the same pid and offset twice: the second is new", _twice),
    ("alive", "a pid whose socket lives: never two", _alive),
    ("bad-offset", "an unknown offset: a new session", _new(offset="nonsense")),
    ("types", "pid and offset that are no strings", _new(pid=[1])),
    ("expired", "after maxDisconnectionDuration: a new session", _expired, "slow"),
]

# Revision 4 of Socket.IO (v2 clients, EIO=3)

_OLD = "EIO=3&transport=websocket"


def _old(talk: Talk, query: str = _OLD) -> Client:
    need(talk)
    if not talk.target.eio3:
        raise NotOffered("revision 3 of Engine.IO is not served")
    return Client(talk, Socket(talk, query, socketio=True).opened())


def _old_connect(talk: Talk) -> Finding:
    made = _old(talk)
    answer = made.starts("40")
    return fine(answer or "") if answer == "40" else failed(f"{answer!r}", "40 at once, no data")


def _old_event(talk: Talk) -> Finding:
    made = _old(talk)
    made.starts("40")
    made.send(event("message", "hi"))
    back = made.event("message-back")
    return fine(f"{back}") if back and back[0] == "hi" else failed(f"{back}")


def _old_ack(talk: Talk) -> Finding:
    made = _old(talk)
    made.starts("40")
    made.send(event("message-with-ack", "hi", id_="7"))
    answer = made.starts("43")
    return fine(answer or "") if answer == '437["hi"]' else failed(f"{answer}")


def _old_binary(talk: Talk) -> Finding:
    made = _old(talk)
    made.starts("40")
    made.send('451-["message",{"_placeholder":true,"num":0}]', b"\4\1\2")
    head, data = made.starts("451-"), made.receive()
    return fine(f"{data!r}") if head and data == b"\4\1\2" else failed(f"{head} {data!r}")


def _old_poll(talk: Talk, extra: str = "", path: str = "") -> Finding:
    need(talk)
    if not talk.target.eio3:
        raise NotOffered("revision 3 of Engine.IO is not served")
    answer, _wire = exchange(talk, f"EIO=3&transport=polling{extra}", path=talk.target.socket)
    if answer is None or answer.status != 200:
        return failed(f"{answer.status if answer else 'no answer'}")
    body = answer.body.decode("utf-8", "replace")
    if extra == "&j=0":
        return (
            fine(show(answer.body)) if body.startswith("___eio[0](") else failed(show(answer.body))
        )
    return fine(show(answer.body)) if ":0{" in body else failed(show(answer.body))


def _old_query(talk: Talk) -> Finding:
    made = _old(talk)
    made.starts("40")
    made.send("40/custom?a=b")
    answer = made.starts("40/custom", "44/custom")
    return fine(answer) if answer and answer.startswith("40/custom") else failed(f"{answer}")


def _old_error(talk: Talk) -> Finding:
    made = _old(talk)
    made.starts("40")
    made.send("40/random")
    answer = made.starts("44/random", "40/random")
    return fine(answer) if answer and answer.startswith("44") else failed(f"{answer}")


def _old_heartbeat(talk: Talk) -> Finding:
    made = _old(talk)
    made.starts("40")
    made.session.send("2")
    answer = made.starts("3")
    return fine("3") if answer == "3" else failed(f"{answer}", "the client pings")


_V2: list[tuple[object, ...]] = [
    ("connect", "40 comes at once, without data", _old_connect),
    ("event", "an event", _old_event),
    ("ack", "an acknowledgement", _old_ack),
    ("binary-polling", "the payload form of revision 3", _old_poll),
    ("binary-ws", "binary has a type byte 04", _old_binary),
    ("namespace-query", "/custom?a=b", _old_query),
    ("error", "an unknown namespace", _old_error),
    ("heartbeat", "the client pings", _old_heartbeat),
    ("jsonp", "j=0", lambda talk: _old_poll(talk, "&j=0")),
    ("b64", "b64=1", lambda talk: _old_poll(talk, "&b64=1")),
]

CASES: list[Case] = [
    *rows("sio.room", "socketio-v5-connect-judged", "SROOM", SIO_JUDGES, _ROOMS),
    *rows("sio.recovery", "features-1.8", "SREC", SIO_JUDGES, _RECOVERY),
    *rows("sio.v2", "socketio-v5-revision4-connect", "SV2", {"SV2": EIO_JUDGES["STEP"]}, _V2),
]
