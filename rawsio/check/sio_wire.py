"""Socket.IO as the tester speaks it: packets as text, right or wrong, over either transport.

:class:`Client` joins namespaces and reads packets one by one; pings are answered behind the scenes.
A binary attachment is a packet of its own, as on the wire.
"""

from __future__ import annotations

import json

from .case import Finding, NotOffered, failed, fine, lax
from .eio_wire import Polling, Socket
from .ws_wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .talk import Talk

    Packet = str | bytes

__all__ = ["Client", "bad", "client", "dumps", "event", "judge_bad", "need"]

_TEND = 0.1
"""Seconds after which the clients that a case does not read are looked after."""


def dumps(value: object) -> str:
    """Return compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def event(name: str, *args: object, namespace: str = "", id_: str = "") -> str:
    """Return an EVENT packet as an Engine.IO message packet.

    >>> event("message", 1, namespace="/custom", id_="7")
    '42/custom,7["message",1]'
    """
    place = f"{namespace}," if namespace else ""
    return f"42{place}{id_}{dumps([name, *args])}"


def need(talk: Talk, contract: str = "echo") -> None:
    """Raise :class:`NotOffered` unless the target keeps the contract."""
    if not talk.target.socket:
        raise NotOffered("no Socket.IO here")
    if talk.target.contract == "none" or (contract == "extended" != talk.target.contract):
        raise NotOffered(f"needs the {contract} contract (check --contract)")


class Client:
    """A client of Socket.IO; ``sid`` and ``pid`` are those of the namespace joined first."""

    def __init__(self, talk: Talk, session: Polling | Socket) -> None:
        self.talk = talk
        self.session = session
        self.kept: list[Packet] = []
        self.queue: list[Packet] = []
        self.tended = talk.time()
        self.others: list[Client] = talk.facts.setdefault("clients", [])
        self.others.append(self)
        self.answers: dict[str, dict[str, Any]] = {}

    def send(self, *packets: Packet) -> None:
        """Send Engine.IO packets as they are."""
        self.session.send(*packets)

    def receive(self, seconds: float | None = None) -> Packet | None:
        """Return the next packet but pings; ``None`` at the end or after silence."""
        until = self.talk.time() + (self.talk.patience if seconds is None else seconds)
        for other in self.others:
            other.tend()
        while not self.queue:
            packet = self.session.receive(max(0.0, until - self.talk.time()))
            if packet != "2":
                return packet
            self.session.send("3")
        return self.queue.pop(0)

    def tend(self) -> None:
        """Answer pings that have come; the other packets are received later."""
        if self.talk.time() - self.tended < _TEND or not isinstance(self.session, Socket):
            return
        self.tended = self.talk.time()
        while not self.session.ended and (packet := self.session.receive(0.0)) is not None:
            if packet == "2":
                self.session.send("3")
            else:
                self.queue.append(packet)

    def until(
        self, wanted: Callable[[Packet], bool], seconds: float | None = None
    ) -> Packet | None:
        """Return the first packet that is wanted; what comes before it is in ``kept``."""
        until = self.talk.time() + (self.talk.patience if seconds is None else seconds)
        while True:
            packet = self.receive(max(0.0, until - self.talk.time()))
            if packet is None or wanted(packet):
                return packet
            self.kept.append(packet)

    def starts(self, *heads: str, seconds: float | None = None) -> str | None:
        """Return the next text packet that begins like one of these."""
        found = self.until(lambda p: isinstance(p, str) and p.startswith(heads), seconds)
        return found if isinstance(found, str) else None

    def join(self, namespace: str = "/", auth: object = None) -> str | None:
        """Send CONNECT and return the packet that answers it."""
        place = "" if namespace == "/" else f"{namespace},"
        self.send(f"40{place}{'' if auth is None else dumps(auth)}")
        answer = self.starts(f"40{place}", f"44{place}")
        if answer is not None and answer.startswith("40"):
            try:
                self.answers[namespace] = json.loads(answer[2 + len(place) :] or "{}")
            except ValueError:
                raise Refused(f"CONNECT was answered with {answer!r}") from None
        return answer

    def sid(self, namespace: str = "/") -> str:
        """Return the id of the socket in a namespace."""
        return str(self.answers.get(namespace, {}).get("sid", ""))

    def event(
        self, name: str, namespace: str = "", seconds: float | None = None
    ) -> list[Any] | None:
        """Return the arguments of the next event with this name."""
        place = f"{namespace}," if namespace else ""
        packet = self.starts(f"42{place}[{dumps(name)}", seconds=seconds)
        if packet is None:
            return None
        found = json.loads(packet[2 + len(place) :])
        return list(found[1:])

    def closed(self, seconds: float | None = None) -> bool:
        """Whether the connection ends; what comes before it is in ``kept``."""
        until = self.talk.time() + (self.talk.patience if seconds is None else seconds)
        if isinstance(self.session, Polling):
            while True:
                answer = self.session.get(seconds)
                if answer is None:
                    return bool(self.session.polls and self.session.polls.ended)
                if answer.status != 200 or answer.body == b"1":
                    return True
                self.kept.append(answer.body.decode("utf-8", "replace"))
        while not self.session.ended:
            packet = self.receive(max(0.0, until - self.talk.time()))
            if packet is not None:
                self.kept.append(packet)
            elif not self.session.ended and self.talk.time() >= until:
                return False
        return True

    def drop(self, *, reset: bool = True) -> None:
        """Lose the connection without a word."""
        lines = [self.session.wire] if isinstance(self.session, Socket) else []
        for wire in lines:
            wire.close(reset=reset)


def client(
    talk: Talk, namespace: str | None = "/", *, polling: bool = False, auth: object = None
) -> Client:
    """Return a client that has joined a namespace (none if it is ``None``)."""
    need(talk, "echo")
    session = Polling(talk, socketio=True) if polling else Socket(talk, socketio=True).opened()
    made = Client(talk, session)
    if namespace is not None:
        answer = made.join(namespace, auth)
        if answer is None or not answer.startswith("40"):
            raise Refused(f"CONNECT to {namespace} was answered with {answer!r}")
        made.event("auth", "" if namespace == "/" else namespace)
    return made


def bad(*packets: Packet, before: bool = False) -> Callable[[Talk], Finding]:
    """Return a case whose packets have to end the connection, and reach no handler.

    Behind them goes a good event: an answer to it shows a server that drops what is bad.
    """

    def case(talk: Talk) -> Finding:
        return judge_bad(client(talk, None if before else "/"), packets)

    return case


def judge_bad(made: Client, packets: Sequence[Packet]) -> Finding:
    """Send packets that have to end the connection, and see what becomes of it."""
    made.kept.clear()
    made.send(*packets, event("message", "after"))
    while True:
        packet = made.receive()
        if packet is None:
            break
        if isinstance(packet, str) and packet.startswith('42["message-back","after"'):
            break
        made.kept.append(packet)
    delivered = [
        p
        for p in made.kept
        if isinstance(p, bytes) or p.startswith(('42["message-back', "43", "45", "46"))
    ]
    said = f"{made.kept!r:.100}"
    if delivered:
        return failed(said, "a bad packet reached a handler")
    if packet is not None:
        return lax("the connection goes on", "the bad packet was dropped")
    if isinstance(made.session, Socket) and not made.session.ended:
        if made.join("/custom") is not None:
            return lax("the connection goes on", "the bad packet was dropped")
        return failed(said, "silence: neither closed nor going on")
    return fine("the connection was closed")
