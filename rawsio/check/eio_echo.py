"""Messages that come back: an Engine.IO endpoint that echoes, or Socket.IO's contract in its place.

A case about transports says which messages it sends; :class:`Echo` says which packets these are at
the target, and reads what comes back as messages again.
"""

from __future__ import annotations

import json

from .case import Finding, NotOffered, failed, fine
from .eio_wire import Polling, Socket
from .ws_wire import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .talk import Talk

    Message = str | bytes
    Session = Polling | Socket

__all__ = ["Echo", "polling", "websocket"]

_PLACE = '{"_placeholder":true,"num":0}'


class Echo:
    """A session on which messages come back."""

    def __init__(self, talk: Talk, session: Session, *, plain: bool) -> None:
        self.talk = talk
        self.session = session
        self.plain = plain
        self.pending = False

    def start(self) -> Echo:
        """Join, where that is needed before anything comes back."""
        if not self.plain:
            self.session.send("40")
            for _ in range(3):
                packet = self.session.receive()
                if isinstance(packet, str) and packet.startswith('42["auth"'):
                    return self
                if packet is None:
                    raise Refused("no answer to CONNECT")
        return self

    def wrap(self, *messages: Message) -> list[Message]:
        """Return the packets that carry messages."""
        made: list[Message] = []
        for message in messages:
            if isinstance(message, bytes):
                made += [message] if self.plain else [f'451-["message",{_PLACE}]', message]
            else:
                text = json.dumps(["message", message], separators=(",", ":"), ensure_ascii=False)
                made.append("4" + message if self.plain else "42" + text)
        return made

    def unwrap(self, packet: Message) -> Message | None:
        """Return the message that a packet brings back, ``None`` if it brings none."""
        if isinstance(packet, bytes):
            return packet
        if self.plain:
            return packet[1:] if packet[:1] == "4" else None
        if not packet.startswith('42["message-back"'):
            return None
        try:
            found = json.loads(packet[2:])
        except ValueError:
            return packet
        return str(found[1]) if len(found) > 1 else ""

    def receive(self, count: int, seconds: float | None = None) -> list[Message]:
        """Return so many messages that came back, or fewer; pings are answered meanwhile."""
        found: list[Message] = []
        patience = self.talk.patience if seconds is None else seconds
        until = self.talk.time() + patience
        while len(found) < count:
            packet = self.session.receive(max(0.0, until - self.talk.time()))
            if packet is None:
                break
            if packet == "2":
                self.session.send("3")
            else:
                until = self.talk.time() + patience
            message = self.unwrap(packet)
            found += [message] if message is not None else []
        return found

    def expect(self, messages: Sequence[Message], note: str = "") -> Finding:
        """Judge that exactly these messages come back, in this order."""
        found = self.receive(len(messages))
        if found == list(messages):
            return fine(f"{len(found)} messages came back{note}")
        wrong = next(
            (
                f"{got!r:.40} for {want!r:.40}"
                for got, want in zip(found, messages, strict=False)
                if got != want
            ),
            f"{len(found)} of {len(messages)} came back",
        )
        return failed(wrong, "messages were lost, doubled, changed or reordered")


def _manner(talk: Talk) -> bool:
    """Whether the session is on a plain echo; raises :class:`NotOffered` if nothing echoes."""
    if talk.target.engine and talk.target.engine_echoes:
        return True
    if talk.target.socket and talk.target.contract != "none":
        return False
    raise NotOffered("needs an Engine.IO endpoint that echoes, or the contract of Socket.IO")


def polling(talk: Talk) -> Echo:
    """Return a polling session on which messages come back."""
    plain = _manner(talk)
    return Echo(talk, Polling(talk, socketio=not plain), plain=plain).start()


def websocket(talk: Talk) -> Echo:
    """Return a WebSocket session on which messages come back."""
    plain = _manner(talk)
    return Echo(talk, Socket(talk, socketio=not plain).opened(), plain=plain).start()
