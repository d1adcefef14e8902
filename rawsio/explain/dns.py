r"""DNS messages (RFC 1035), as UDP carries them to port 53, and multicast DNS to 5353.

Names may point back into the message; at most :data:`JUMPS` pointers of a name are followed, so a
message that points in circles ends.
"""

from __future__ import annotations

from .addresses import address_text
from .fields import Field, shown

__all__ = ["explain_dns"]

JUMPS = 20
"""Most pointers in one name."""

_TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA",
          33: "SRV", 41: "OPT", 47: "NSEC", 64: "SVCB", 65: "HTTPS", 255: "ANY"}  # fmt: skip
_CODES = {0: "no error", 1: "format error", 2: "server failure", 3: "no such name",
          4: "not implemented", 5: "refused"}  # fmt: skip
_SECTIONS = ("question", "answer", "authority", "additional")
_MOST = 200


class _Cut(Exception):
    """The message ends in the middle of something."""


def explain_dns(data: bytes) -> Field:
    """Return the tree of a message.

    >>> query = bytes.fromhex("1234 0100 0001 0000 0000 0000 0161 0162 00 0001 0001")
    >>> explain_dns(query).value
    'question A a.b'
    """
    data = bytes(data)
    tree = Field(0, len(data), "DNS", "", "", "", [], data)
    if len(data) < 12:
        tree.meaning = "cut short"
        return tree
    counts = [int.from_bytes(data[at : at + 2], "big") for at in range(4, 12, 2)]
    tree.fields = _head(data, counts)
    try:
        _read_sections(tree, data, counts)
    except _Cut:
        at = tree.fields[-1].end
        tree.fields.append(Field(at, len(data), "rest", "", "cut short"))
    return tree


def _read_sections(tree: Field, data: bytes, counts: list[int]) -> None:
    at = 12
    for section, count in zip(_SECTIONS, counts, strict=True):
        for _ in range(min(count, _MOST)):
            field = _entry(data, at, section)
            tree.fields.append(field)
            at = field.end
            if not tree.value or section == "answer":
                tree.value = f"{section} {field.value}"


def _head(data: bytes, counts: list[int]) -> list[Field]:
    flags = int.from_bytes(data[2:4], "big")
    code = flags & 15
    kind = "a response" if flags >> 15 else "a query"
    wish = "; recursion desired" if flags >> 8 & 1 else ""
    fields = [
        Field(0, 2, "id", f"{int.from_bytes(data[:2], 'big'):#06x}"),
        Field(2, 4, "flags", f"{flags:#06x}", f"{kind}{wish}; {_CODES.get(code, str(code))}"),
    ]
    for number, (section, count) in enumerate(zip(_SECTIONS, counts, strict=True)):
        fields.append(Field(4 + 2 * number, 6 + 2 * number, f"{section} count", str(count)))
    return fields


def _entry(data: bytes, start: int, section: str) -> Field:
    name, at = _name(data, start)
    fields = [Field(start, at, "name", name)]
    if len(data) < at + 4:
        raise _Cut
    kind = int.from_bytes(data[at : at + 2], "big")
    kind_name = _TYPES.get(kind, str(kind))
    fields.append(Field(at, at + 2, "type", str(kind), kind_name))
    fields.append(Field(at + 2, at + 4, "class", f"{int.from_bytes(data[at + 2 : at + 4], 'big')}"))
    at += 4
    value = f"{kind_name} {name}"
    if section != "question":
        if len(data) < at + 6:
            raise _Cut
        seconds, size = int.from_bytes(data[at : at + 4], "big"), data[at + 4] << 8 | data[at + 5]
        end = at + 6 + size
        if end > len(data):
            raise _Cut
        fields.append(Field(at, at + 4, "time to live", f"{seconds} s"))
        fields.append(Field(at + 4, at + 6, "length", str(size)))
        content = _content(data, at + 6, end, kind)
        fields.append(Field(at + 6, end, "data", content))
        value, at = f"{value}: {content}", end
    return Field(start, at, section, value, "", "", fields)


def _content(data: bytes, start: int, end: int, kind: int) -> str:
    raw = data[start:end]
    if kind == 1 and len(raw) == 4:
        return ".".join(map(str, raw))
    if kind == 28 and len(raw) == 16:
        return address_text(raw)
    skipped = {2: 0, 5: 0, 12: 0, 15: 2, 33: 6}.get(kind)
    if skipped is not None and len(raw) > skipped:
        name = _name(data, start + skipped)[0]
        port = f" port {raw[4] << 8 | raw[5]}" if kind == 33 else ""
        return name + port
    return shown(raw[1:]) if kind == 16 else raw[:24].hex(" ")


def _name(data: bytes, start: int) -> tuple[str, int]:
    """Return the name at ``start``, and where it ends there."""
    labels: list[str] = []
    at, end, jumps = start, 0, 0
    while True:
        if at >= len(data):
            raise _Cut
        size = data[at]
        if size >= 0xC0:
            if at + 1 >= len(data):
                raise _Cut
            end = end or at + 2
            at = (size & 0x3F) << 8 | data[at + 1]
            jumps += 1
            if jumps > JUMPS:
                return "(a name that points in circles)", end
            continue
        if not size or len(labels) > 127:
            break
        labels.append(shown(data[at + 1 : at + 1 + size]))
        at += 1 + size
    return ".".join(labels) or ".", end or at + 1
