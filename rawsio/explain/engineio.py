r"""Engine.IO packets and polling payloads, of protocol 4 and 3.

A packet is judged by an open :class:`~rawsio.engineio.connection.EngineIOConnection` of the peer's
role, a payload by the decoder of its form.  What a message carries is a Socket.IO packet
(:mod:`rawsio.explain.socketio`).
"""

from __future__ import annotations

from rawsio.engineio.connection import EngineIOConnection
from rawsio.engineio.packets import Message, Opened, decode_payload
from rawsio.engineio.payloads_v3 import decode_binary, decode_text
from rawsio.errors import EngineIOError
from rawsio.layer import Failed, Role
from rawsio.limits import DEFAULT

from .fields import Field, blame, finished, moved, shown, wire_bytes
from .json_tree import explain_json
from .socketio import Packets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rawsio.limits import Limits
    from rawsio.socketio.packets import AnyEvent

    Steps = Generator[None, None, None]

__all__ = ["Session", "explain_engineio", "explain_payload"]

_TYPES = {
    "0": ("open", "the session is open", "engineio-v4-handshake-open"),
    "1": ("close", "the sender ends the session", "engineio-v4-close-packet"),
    "2": ("ping", "are you there?", "engineio-v4-heartbeat-interval"),
    "3": ("pong", "yes", "engineio-v4-heartbeat-direction"),
    "4": ("message", "of the application: Socket.IO", "engineio-v4-packet-types"),
    "5": ("upgrade", "the client moves to this transport", "engineio-v4-upgrade-swap"),
    "6": ("noop", "ends a poll that waits", "engineio-v4-upgrade-noop"),
    "b": ("binary message", "in base64", "engineio-v4-payload-base64"),
}
_PROBES = {"2probe": "does this transport work?", "3probe": "it does", "5": "I move to it"}
_OPENED = Opened("x", (), 25.0, 20.0, 0)


def explain_engineio(
    packet: str | bytes,
    *,
    sender: Role | None = None,
    revision: int = 4,
    limits: Limits = DEFAULT,
) -> Field:
    """Return the tree of one packet, with the Socket.IO packet in it.

    Without a ``sender`` it is whoever may send such a packet.

    >>> explain_engineio('42["hi"]').value, explain_engineio("9").fields[0].wrong
    ('message: EVENT "hi" in /', "there is no packet '9'")
    """
    given = packet if isinstance(packet, str) else wire_bytes(packet, text=True)
    return Session(sender, revision=revision, limits=limits, alone=True).explain(given)


def explain_payload(
    body: bytes,
    *,
    sender: Role | None = None,
    revision: int = 4,
    binary: bool | None = None,
    limits: Limits = DEFAULT,
) -> Field:
    r"""Return the tree of the body of a poll or a post.

    ``binary`` says which of the two forms of protocol 3 it has; ``None``: as its first byte says.

    >>> tree = explain_payload(b'2\x1e42["hi"]')
    >>> [packet.value for packet in tree.fields if packet.name != "separator"]
    ['ping: are you there?', 'message: EVENT "hi" in /']
    """
    session = Session(sender, revision=revision, limits=limits)
    return session.payload(wire_bytes(body), binary=binary)


class Session:
    """The packets of one direction of a session."""

    def __init__(
        self,
        sender: Role | None = None,
        *,
        revision: int = 4,
        limits: Limits = DEFAULT,
        msgpack: bool = False,
        alone: bool = False,
    ) -> None:
        self._sender = sender
        self._revision = revision
        self._limits = limits
        self._alone = alone  # whether nothing is known of the packets before
        self._inner = Packets(limits, msgpack=msgpack)
        self._found: list[AnyEvent] = []
        self.sid = ""
        """The id of the session, once an open packet was seen."""

    def take_packets(self) -> list[AnyEvent]:
        """Return the Socket.IO packets that were completed since the last call."""
        found, self._found = self._found, []
        return found

    def resume(self) -> None:
        """Packets were missed: what an attachment that comes next belongs to is not known."""
        self._inner.resume()

    def explain(self, packet: str | bytes) -> Field:
        """Return the tree of the next packet."""
        return finished(self.steps(packet))

    def steps(self, packet: str | bytes) -> Generator[None, None, Field]:
        """Do what :meth:`explain` does in steps, so that nobody waits for a long packet."""
        failed, event = self._judge(packet)
        data = packet.encode("utf-8", "surrogatepass") if isinstance(packet, str) else packet
        tree = Field(0, len(data), "Engine.IO packet", "", "", "", [], data)
        if isinstance(packet, bytes):
            yield from self._binary(tree, data, event)
        elif packet:
            yield from self._text(tree, packet, data, event)
        if failed is not None:
            first = tree.fields[0] if tree.fields and failed.rule in _ON_TYPE else tree
            blame(first, EngineIOError(failed.message, failed.rule))
        return tree

    def _binary(self, tree: Field, data: bytes, event: object) -> Steps:
        at = 0 if self._revision == 4 else 1
        if at and data:
            tree.fields.append(
                Field(0, 1, "type", f"{data[0]:02x}", "message", "engineio-v3-packet-binary")
            )
        if isinstance(event, Message):
            yield from self._message(tree, event, at)

    def _text(self, tree: Field, packet: str, data: bytes, event: object) -> Steps:
        kind = packet[0]
        name, meaning, rule = _TYPES.get(kind, ("unknown", "", "engineio-v4-packet-known"))
        if packet in _PROBES:
            meaning, rule = _PROBES[packet], "engineio-v4-upgrade-probe"
        tree.fields.append(
            Field(0, len(kind.encode("utf-8", "surrogatepass")), "type", shown(kind),
                  f"{name}: {meaning}" if meaning else name, rule)
        )  # fmt: skip
        tree.value = f"{name}: {meaning}" if meaning else name
        if isinstance(event, Message):
            yield from self._message(tree, event, 2 if kind == "b" and self._revision == 3 else 1)
        elif kind == "0":
            below = explain_json(packet[1:])  # a handshake is short
            below.name, below.rule = "handshake", "engineio-v4-handshake-keys"
            if isinstance(event, Opened):
                self.sid = event.sid
                tree.value = f"open: session {shown(event.sid)}"
            tree.fields.append(moved(below, 1))
        elif len(data) > 1:
            tree.fields.append(Field(1, len(data), "data", shown(packet[1:])))

    def _message(self, tree: Field, event: Message, at: int) -> Steps:
        """Add what a message carries, which begins at ``at``."""
        data = event.data
        if isinstance(data, bytes):
            tree.value = f"binary message, {len(data)} bytes"
        if isinstance(data, bytes) and self._alone:
            what = "an attachment, or a packet in MessagePack"
            below = Field(at, tree.end, "data", f"{len(data)} bytes", what, "", [], data)
        else:
            below = yield from self._inner.steps(data)
            if self._inner.packet is not None:
                self._found.append(self._inner.packet)
            if not isinstance(data, bytes) or below.name.startswith("Socket.IO"):
                tree.value = f"message: {below.value}"
            elif below.meaning:
                tree.value += f", {below.meaning}"
            below.start, below.end = at, tree.end
        tree.fields.append(below)

    def _judge(self, packet: str | bytes) -> tuple[Failed | None, object]:
        """Ask the layer: the mistake, or the event of a packet."""
        if packet in _PROBES:
            return None, None
        senders = [self._sender] if self._sender is not None else [Role.CLIENT, Role.SERVER]
        failed, event = None, None
        for sender in senders:
            events = _peer(sender, self._revision, packet).receive(packet)
            event = events[0] if events else None
            if not isinstance(event, Failed):
                return None, event
            failed = event
        return failed, None

    # Payloads

    def payload(self, body: bytes, *, binary: bool | None = None) -> Field:
        """Return the tree of the next payload."""
        return finished(self.payload_steps(body, binary=binary))

    def payload_steps(
        self, body: bytes, *, binary: bool | None = None
    ) -> Generator[None, None, Field]:
        """Do what :meth:`payload` does in steps, one packet after the other."""
        body = bytes(body)
        tree = Field(0, len(body), "Engine.IO payload", "", "", "", [], body)
        try:
            if self._revision == 4:
                decode: Callable[[Field, bytes, int], Steps] = self._separated
            elif body[:1] in (b"\x00", b"\x01") if binary is None else binary:
                decode = self._binary_items
            else:
                decode = self._text_items
            yield from decode(tree, body, self._limits.payload_packets)
        except EngineIOError as error:
            blame(tree, error)
        count = sum(field.name == "Engine.IO packet" for field in tree.fields)
        tree.value = f"{count} packet{'' if count == 1 else 's'}"
        return tree

    def _separated(self, tree: Field, body: bytes, most: int) -> Steps:
        at = 0
        for packet in decode_payload(body, most):
            if at:
                tree.fields.append(
                    _between(at - 1, at, "separator", "engineio-v4-payload-separator")
                )
            field = moved((yield from self.steps(packet)), at)
            tree.fields.append(field)
            at = field.end + 1
            yield

    def _text_items(self, tree: Field, body: bytes, most: int) -> Steps:
        at = 0
        for packet in decode_text(body, most):
            start = body.find(b":", at) + 1
            tree.fields.append(_length(at, start, shown(body[at : start - 1]), "text"))
            field = moved((yield from self.steps(packet)), start)
            tree.fields.append(field)
            at = field.end
            yield

    def _binary_items(self, tree: Field, body: bytes, most: int) -> Steps:
        at = 0
        for packet in decode_binary(body, most):
            start = body.find(b"\xff", at) + 1
            digits = "".join(map(str, body[at + 1 : start - 1]))
            tree.fields.append(_length(at, start, digits, "binary"))
            field = moved((yield from self.steps(packet)), start)
            tree.fields.append(field)
            at = field.end
            yield


_ON_TYPE = ("engineio-v4-packet-known", "engineio-v4-heartbeat-direction")


def _between(start: int, end: int, name: str, rule: str) -> Field:
    return Field(start, end, name, "1e", "stands between packets", rule)


def _length(start: int, end: int, digits: str, form: str) -> Field:
    units = "UTF-16 code units" if form == "text" else "bytes"
    return Field(
        start, end, "length", digits, f"{units} of the packet", f"engineio-v3-payload-{form}"
    )


def _peer(sender: Role, revision: int, packet: str | bytes) -> EngineIOConnection:
    """Return the end that receives from ``sender``, in the state in which the packet may come."""
    peer = EngineIOConnection(sender.peer, revision=revision)
    if sender is Role.CLIENT:
        peer.send(_OPENED)
    elif isinstance(packet, bytes) or packet[:1] != "0":
        peer.receive('0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000}')
    return peer
