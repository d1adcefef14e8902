r"""TCP segments and UDP datagrams, field by field (RFC 9293, RFC 768).

The checksum is judged with the addresses of the packet around it; on the machine that sends, it is
often left to the network card, and wrong in a capture.
"""

from __future__ import annotations

from rawsio.layer import record

from .addresses import checksum
from .dns import explain_dns
from .fields import Field, moved

__all__ = ["Segment", "explain_tcp", "explain_udp", "FIN", "SYN", "RST", "ACK"]

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
_FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")
_MEANINGS = {
    "FIN": "the sender ends its direction",
    "SYN": "the number of the first byte, less one, is said here",
    "RST": "the connection is over at once",
    "PSH": "to be handed to the application now",
    "ACK": "the acknowledgement number counts",
    "URG": "the urgent pointer counts",
    "ECE": "congestion was met",
    "CWR": "the window was made smaller",
}
_OPTIONS = {
    2: "maximum segment size",
    3: "window scale",
    4: "selective acknowledgements permitted",
    5: "selective acknowledgement",
    8: "timestamps",
}
_DNS_PORTS = (53, 5353)


@record
class Segment:
    """What of a TCP segment matters for its connection."""

    source: tuple[str, int]
    destination: tuple[str, int]
    seq: int
    ack: int
    flags: int
    window: int
    start: int
    data: bytes


def _judged(data: bytes, at: int, pseudo: bytes) -> str:
    if data[at : at + 2] == b"\0\0":
        return "not computed"
    size = len(data).to_bytes(4 if len(pseudo) > 12 else 2, "big")
    right = checksum(pseudo + size + data) == 0
    return "right" if right else "wrong, or left to the network card"


def explain_tcp(
    data: bytes, start: int, end: int, source: str, destination: str, pseudo: bytes
) -> tuple[Field, Segment | None]:
    """Return the field of the segment that stands from ``start`` to ``end``, and the segment."""
    head = data[start:end]
    size = (head[12] >> 4) * 4 if len(head) >= 13 else 0
    if size < 20 or len(head) < size:
        return Field(start, end, "TCP", "", "cut short"), None
    ports = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:4], "big")
    seq, ack = int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:12], "big")
    flags, window = head[13], int.from_bytes(head[14:16], "big")
    names = [name for bit, name in enumerate(_FLAGS) if flags >> bit & 1]
    said = "; ".join(_MEANINGS[name] for name in names if name not in ("ACK", "PSH"))
    fields = [
        Field(0, 2, "source port", str(ports[0])),
        Field(2, 4, "destination port", str(ports[1])),
        Field(4, 8, "sequence number", str(seq), "of the first byte of the payload"),
        Field(8, 12, "acknowledgement", str(ack), "the next byte that is expected"),
        Field(12, 13, "header length", f"{size} bytes"),
        Field(13, 14, "flags", " ".join(names) or "none", said),
        Field(14, 16, "window", str(window), "bytes that may be under way, before scaling"),
        Field(16, 18, "checksum", head[16:18].hex(), _judged(head, 16, pseudo)),
        Field(18, 20, "urgent pointer", str(int.from_bytes(head[18:20], "big"))),
    ]
    if size > 20:
        fields.append(Field(20, size, "options", "", "", "", _options(head[:size])))
    payload = len(head) - size
    value = f"{ports[0]} to {ports[1]}, {' '.join(names)}, {payload} bytes"
    segment = Segment(
        (source, ports[0]), (destination, ports[1]), seq, ack, flags, window, start + size,
        head[size:],
    )  # fmt: skip
    field = moved(Field(0, size, "TCP", value, "", "", fields), start)
    if payload:
        field.fields.append(Field(start + size, end, "payload", f"{payload} bytes"))
        field.end = end
    return field, segment


def _options(head: bytes) -> list[Field]:
    fields: list[Field] = []
    at = 20
    while at < len(head):
        kind = head[at]
        size = 1 if kind < 2 else head[at + 1] if at + 1 < len(head) else 0
        if size == 0 or at + size > len(head) or (kind > 1 and size < 2):
            fields.append(Field(at, len(head), "option", head[at:].hex(" "), "cut short"))
            break
        name = ("end of the list", "no operation")[kind] if kind < 2 else "option"
        value = head[at + 2 : at + size]
        field = Field(at, at + size, _OPTIONS.get(kind, name), "")
        if kind in (2, 3):
            field.value = str(int.from_bytes(value, "big"))
        elif kind == 8 and len(value) == 8:
            field.value = f"{int.from_bytes(value[:4], 'big')}, {int.from_bytes(value[4:], 'big')}"
            field.meaning = "the sender's clock, and the last one seen of the peer's"
        elif kind > 1:
            field.value = value.hex(" ")
        fields.append(field)
        at += size
    return fields


def explain_udp(
    data: bytes, start: int, end: int, source: str, destination: str, pseudo: bytes
) -> Field:
    """Return the field of the datagram that stands from ``start`` to ``end``."""
    head = data[start:end]
    if len(head) < 8:
        return Field(start, end, "UDP", "", "cut short")
    ports = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:4], "big")
    length = int.from_bytes(head[4:6], "big")
    whole = head[:length] if length >= 8 else head
    value = f"{source} port {ports[0]} to {destination} port {ports[1]}, {len(whole) - 8} bytes"
    fields = [
        Field(0, 2, "source port", str(ports[0])),
        Field(2, 4, "destination port", str(ports[1])),
        Field(4, 6, "length", str(length), "header and payload"),
        Field(6, 8, "checksum", head[6:8].hex(), _judged(whole, 6, pseudo)),
    ]
    if len(whole) > 8:
        payload = Field(8, len(whole), "payload", f"{len(whole) - 8} bytes")
        if set(ports) & set(_DNS_PORTS):
            dns = explain_dns(whole[8:])
            payload.name, payload.value = dns.name, dns.value
            payload.fields, payload.data = dns.fields, dns.data
        fields.append(payload)
    return moved(Field(0, len(whole), "UDP", value, "", "", fields), start)
