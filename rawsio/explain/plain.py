"""A tree of fields as plain values, ready for ``json.dumps``: for pages and other programs.

A field is an object with ``start``, ``end`` and ``name``; ``value``, ``meaning``, ``rule``,
``wrong``, ``fields`` and ``data`` (in hexadecimal) stand in it where they say something.
"""

from __future__ import annotations

from .fields import check_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .fields import Field

__all__ = ["as_json"]


def as_json(field: Field) -> dict[str, Any]:
    """Return the tree as dictionaries, lists, strings and numbers.

    >>> from rawsio.explain.websocket import explain_websocket
    >>> from rawsio.layer import Role
    >>> tree = as_json(explain_websocket(bytes.fromhex("8900"), Role.SERVER))
    >>> tree["name"], tree["data"], tree["fields"][0]["value"]
    ('WebSocket', '8900', 'ping, 0 bytes')
    """
    check_tree(field)
    made = _one(field)
    waiting = [(field, made)]
    while waiting:
        above, plain = waiting.pop()
        if above.fields:
            plain["fields"] = [_one(below) for below in above.fields]
            waiting += zip(above.fields, plain["fields"], strict=True)
    return made


def _one(field: Field) -> dict[str, Any]:
    plain: dict[str, Any] = {"start": field.start, "end": field.end, "name": field.name}
    for name in ("value", "meaning", "rule", "wrong"):
        text = getattr(field, name)
        if text:
            plain[name] = text
    if field.data is not None:
        plain["data"] = field.data.hex()
    return plain
