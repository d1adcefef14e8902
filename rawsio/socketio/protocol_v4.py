"""Packets as Socket.IO v2 clients have them: revision 4 of the protocol, over Engine.IO 3.

Theory of operation
===================
Events, acknowledgements and binary are the same as in revision 5.  Joining is not:

==================  ==============================  ========================================
subject             revision 4                      here, as revision 5 has it
==================  ==============================  ========================================
the namespace ``/`` joined without asking           feed ``"0"`` to the layer at the start
credentials         ``0/admin?token=x,``            ``Connect("/admin", {"token": "x"})``
the answer          ``0/admin,`` without a sid      ``Connect("/admin", {"sid": ...})``
a refusal           ``4/admin,"no"``, or the data   ``ConnectError("/admin", {"message": "no"})``
==================  ==============================  ========================================

A parser translates, so that the layer, its tables and the objects above know one protocol.  A v2
client takes the id of its Engine.IO session for its Socket.IO id.
"""

from __future__ import annotations

from rawsio.errors import SocketIOError

from .packets import (
    Ack,
    Connect,
    ConnectError,
    Disconnect,
    Event,
    Partial,
    decode_packet,
    encode_packet,
    packet_in_steps,
)
from .values import HasBinary, Unsendable, encode_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from rawsio.limits import Limits

    from .packets import AnyEvent

__all__ = ["ProtocolV4Parser"]

_MOST_PARAMETERS = 100
_INVALID = {"message": "Invalid namespace"}


class ProtocolV4Parser:
    """Give one to the ``SocketIOConnection`` of a session that speaks Engine.IO 3.

    >>> from rawsio.limits import DEFAULT
    >>> parser = ProtocolV4Parser()
    >>> parser.decode("0/admin?token=x,", DEFAULT)
    Connect(namespace='/admin', data={'token': 'x'})
    >>> parser.encode(Connect("/admin", {"sid": "abc"}))
    ('0/admin,',)
    >>> parser.encode(ConnectError("/admin", {"message": "no"}))
    ('4/admin,"no"',)
    """

    __slots__ = ()

    standard = frozenset((Event, Ack, Disconnect))
    """What has the standard form: prepared once, it serves these clients, too."""

    def encode(self, packet: AnyEvent) -> tuple[str | bytes, ...]:
        """Return the messages of a packet; raise ``Unsendable`` if it has none."""
        if type(packet) is Connect:
            return encode_packet(Connect(packet.namespace))
        if type(packet) is not ConnectError:
            return encode_packet(packet)
        data = packet.data
        if isinstance(data, dict) and data != _INVALID:
            # As the reference: the data if there is any, else the bare message.
            data = data.get("data") or data.get("message", "")
        try:
            payload = encode_plain(data)
        except HasBinary:
            raise Unsendable("only events and acknowledgements carry bytes") from None
        connect = str(encode_packet(Connect(packet.namespace))[0])
        return ("4" + connect[1:] + payload,)

    def decode(self, message: str | bytes, limits: Limits) -> AnyEvent | Partial:
        """Return the packet of a message; raise ``SocketIOError`` if it is none."""
        return _without_query(decode_packet(message, limits))

    def decode_in_steps(
        self, message: str | bytes, limits: Limits
    ) -> Generator[None, None, AnyEvent | Partial]:
        """Do what :meth:`decode` does, in steps."""
        return _without_query((yield from packet_in_steps(message, limits)))


def _without_query(found: AnyEvent | Partial) -> AnyEvent | Partial:
    packet = found.packet if isinstance(found, Partial) else found
    namespace, mark, query = packet.namespace.partition("?")
    if mark:
        packet.namespace = namespace
        if type(packet) is Connect:
            packet.data = _parameters(query)
    return found


def _parameters(query: str) -> dict[str, str | list[str]] | None:
    # A name that stands once has a string, one that stands several times a list of them.
    from urllib.parse import parse_qs

    try:
        lists = parse_qs(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        message = f"a namespace with more than {_MOST_PARAMETERS} parameters"
        raise SocketIOError(message, "socketio-v5-revision4-query") from None
    return {name: found[0] if len(found) == 1 else found for name, found in lists.items()} or None
