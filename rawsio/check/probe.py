"""The probes: what is there, found out before the first case runs.

Each probe is a conversation like a case, but its outcome is a fact of the target: which path
answers plain requests and with what status, whether bodies come back, where WebSockets open and in
which manner messages return, whether Engine.IO and Socket.IO live there, and which contract.
"""

from __future__ import annotations

from rawsio.lazy import Pattern

from .case import NotOffered
from .http_wire import Answer, get, hear, post
from .talk import Stuck, Talk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .talk import World
    from .target import Target

__all__ = ["NothingThere", "alive", "probe"]

_ENGINE = "?EIO=4&transport=websocket"
_LONGEST = 4 * 1024 * 1024
"""Bytes of an answer after which it counts as one without an end."""


_TLS = Pattern(rb"[\x14-\x18]\x03[\x00-\x04]")
_SILENCE = {
    "": "it says nothing",
    "end": "it ends the connection",
    "reset": "it resets the connection",
}


class NothingThere(Exception):
    """The target cannot be judged at all; the text says why."""


def _ask(talk: Talk, data: bytes, method: str = "GET") -> Answer | None:
    wire = talk.dial()
    wire.send(talk.target.fill(data))
    heard = hear(talk, wire, 1, [method])
    wire.close()
    if heard.problem and not heard.answers:
        if _TLS.match(wire.heard):
            raise NothingThere("it answers with TLS: try https:// or wss://")
        raise NothingThere(f"it does not speak HTTP: {heard.problem}")
    if not heard.complete:
        endless = "its answer does not come to an end"
        talk.facts.setdefault("silence", endless if wire.heard else _SILENCE[wire.ended])
    return heard.answers[0] if heard.complete else None


def probe(world: World, target: Target, *, path: str = "", seed: int = 0) -> Target:
    """Fill in what is found at a target; raises :class:`NothingThere`."""
    talk = Talk(world, target, f"{seed}:probe", patience=5.0)
    talk.most_heard = _LONGEST
    try:
        _probe_http(talk, path or ("" if target.scheme.startswith("ws") else target.given))
        _find_engine(talk)
        _find_websocket(talk)
        if not (target.control or target.open or target.websocket):
            why = talk.facts.get("silence", "nothing")
            raise NothingThere(f"it does not answer a plain HTTP request: {why}")
    except Stuck as error:
        raise NothingThere(f"it is too slow or says too much to be probed: {error}") from None
    except OSError as error:
        plain = "WRONG_VERSION_NUMBER" in str(error)
        hint = "; it may not speak TLS: try http:// or ws://" if plain else ""
        raise NothingThere(f"cannot connect to {target.authority}: {error}{hint}") from None
    finally:
        talk.end()
    return target


def _probe_http(talk: Talk, path: str) -> None:
    target = talk.target
    statuses: dict[str, int] = {}
    folder = path if path.endswith("/") else "/socket.io/"
    for candidate in dict.fromkeys([path or "/", "/", f"{folder}socket.io.js"]):
        answer = _ask(talk, get(candidate))
        if answer is not None:
            statuses[candidate] = answer.status
            if 200 <= answer.status < 400:
                break
    if not statuses:
        return
    good = [item for item, status in statuses.items() if status < 400]
    target.path = good[0] if good else next(iter(statuses))
    target.control = {"GET": statuses[target.path]}
    head = _ask(talk, get(method="HEAD"), "HEAD")
    target.control["HEAD"] = head.status if head else target.control["GET"]
    posted = _ask(talk, post("Content-Length: 5", body=b"probe"), "POST")
    target.control["POST"] = posted.status if posted else target.control["GET"]
    target.echoes = posted is not None and posted.body == b"probe"
    for framing in ("Content-Length: 5", "Transfer-Encoding: chunked"):
        wire = talk.dial()
        wire.send(target.fill(post(framing, body=b"")))
        target.early = target.early or bool(wire.receive(0.4))
        wire.close()
    target.mute = _ask(talk, get("/no-such-path")) is None
    _probe_crowd(talk)


def _probe_crowd(talk: Talk) -> None:
    """Find out whether a connection on which nothing is said keeps others waiting."""
    silent, wire = talk.dial(), talk.dial()
    wire.send(talk.target.fill(get("$P", "Connection: close")))
    talk.target.alone = not hear(talk, wire, 1, seconds=1.5).complete
    wire.close()
    silent.close()


def alive(talk: Talk) -> bool:
    """Say whether a newcomer is served."""
    wire = talk.dial()
    wire.send(talk.target.fill(get("$P", "Connection: close")))
    return hear(talk, wire).complete > 0


def _find_engine(talk: Talk) -> None:
    """Find Engine.IO, Socket.IO and the contract."""
    target = talk.target
    given = target.facts.get("engine", "")
    folder = target.given if target.given.strip("/") and target.given.endswith("/") else ""
    for where, path in (("engine", given), ("", "/engine.io/"), ("", folder or "/socket.io/")):
        if not path or (where == "" and path == "/engine.io/" and given):
            continue
        data = _session(talk, where, path)
        if data is None:
            continue
        target.open = data
        if path == (folder or "/socket.io/") and where == "":
            target.socket = path
        else:
            target.engine, target.engine_at = path, where
            target.engine_echoes = _echoes(talk)
    if target.socket:
        _find_contract(talk)
    if target.engine or target.socket:
        _find_old(talk)


def _session(talk: Talk, where: str, path: str) -> dict[str, Any] | None:
    from .eio_wire import open_data

    wire = talk.dial(where)
    wire.send(
        f"GET {path}?EIO=4&transport=polling HTTP/1.1\r\n"
        f"Host: {talk.target.authority_of(where)}\r\n\r\n".encode()
    )
    heard = hear(talk, wire)
    wire.close()
    if heard.statuses != [200]:
        return None
    try:
        return open_data(heard.answers[0].body.decode("utf-8", "replace").split("\x1e")[0])
    except ValueError:
        return None


def _echoes(talk: Talk) -> bool:
    from .eio_wire import Socket
    from .ws_wire import Refused

    try:
        socket = Socket(talk).opened()
    except (NotOffered, Refused):
        return False
    socket.send("4echo?")
    answer = socket.receive(1.0)
    socket.wire.close()
    return answer == "4echo?"


def _find_contract(talk: Talk) -> None:
    from .eio_wire import Socket
    from .ws_wire import Refused

    try:
        socket = Socket(talk, socketio=True).opened()
    except (NotOffered, Refused):
        return
    socket.send("40")
    socket.receive()
    socket.send('42["message-with-ack","probe"]'.replace("42", "427", 1))
    socket.send('428["join","probe"]')
    seen = []
    for _ in range(4):
        packet = socket.receive(1.0)
        if packet is None:
            break
        seen.append(packet)
        if len({item for item in seen if str(item)[:3] in ("437", "438")}) == 2:
            break
    if any(str(item).startswith("437[") for item in seen):
        talk.target.contract = "echo"
        if any(str(item).startswith("438[") for item in seen):
            talk.target.contract = "extended"
    socket.wire.close()


def _find_old(talk: Talk) -> None:
    from .eio_wire import engine_path, exchange

    path = talk.target.socket or engine_path(talk)
    answer, wire = exchange(talk, "EIO=3&transport=polling", path=path)
    wire.close()
    talk.target.eio3 = answer is not None and answer.status == 200 and b":0{" in answer.body


def _find_websocket(talk: Talk) -> None:
    """Set the WebSocket endpoint: what was given, else the first place that opens and echoes."""
    target = talk.target
    candidates = [("", "/echo")]
    candidates += [(target.engine_at, target.engine + _ENGINE)] if target.engine else []
    candidates += [("", (target.socket or "/socket.io/") + _ENGINE)]
    if "echo" in target.facts:
        candidates = [("echo", target.facts["echo"])]
    elif target.scheme.startswith("ws"):
        candidates = [("", target.given or "/")]
    found: tuple[str, str] | None = None
    for target.websocket_at, target.websocket in candidates:
        place = target.websocket_at, target.websocket
        _judge_websocket(talk)
        if target.manner:
            return
        found = found or (place if target.websocket else None)
    target.websocket_at, target.websocket = found or ("", "")


def _judge_websocket(talk: Talk) -> None:
    """Find out in which manner messages come back at the endpoint that is set, and deflate."""
    from .ws_wire import TEXT, Channel, F, encode, handshake

    target = talk.target
    if not target.websocket:
        return
    for offer in ("Sec-WebSocket-Extensions: permessage-deflate", "X-Plain: 1"):
        data, key = handshake(talk, offer)
        wire = talk.dial(target.websocket_at)
        wire.send(data)
        heard = hear(talk, wire)
        if heard.statuses[:1] != [101]:
            wire.close()
            target.websocket = ""
            return
        answer = heard.answers[0]
        if "permessage-deflate" in (answer.get("sec-websocket-extensions") or ""):
            target.deflate = True
    if target.websocket == target.socket + _ENGINE and not target.websocket_at:
        target.manner = "socket" if target.contract != "none" else ""
        return
    channel = Channel(talk, wire, answer, key)
    channel.manner = "raw"
    first = channel.next(0.5) if "transport=websocket" in target.websocket else None
    wire.send(encode(F(TEXT, b"4echo?")))
    for _ in range(3):
        frame = channel.next(1.0)
        if frame is not None and frame.payload == b"4echo?":
            target.manner = "engine" if first is not None and first.payload[:1] == b"0" else "raw"
            return
