"""Reading what another server wrote: each field is checked, nothing is taken on trust.

Whoever can publish on the channels of a cluster can write anything there.  What has not the form
of a message raises :class:`ClusterError`, is logged once in a while, and dropped.

The targets of an operation travel as *opts*: ``{"rooms": [...], "except": [...], "flags": {...}}``.
"""

from __future__ import annotations

from rawsio.app.adapter import Targets
from rawsio.errors import RemoteProtocolError, escaped
from rawsio.socketio.msgpack import unpack
from rawsio.socketio.values import decode_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from rawsio.limits import Limits

__all__ = [
    "ENVELOPE",
    "ClusterError",
    "array",
    "count",
    "decode",
    "event_args",
    "names",
    "options",
    "optional_text",
    "sockets",
    "targets",
    "text",
    "values",
    "with_envelope",
]

_LONGEST_NAME = 4096
_MOST_NAMES = 100_000
ENVELOPE = 6
"""Levels of arrays and maps around the arguments of an event."""


class ClusterError(RemoteProtocolError):
    """A message of another server that is none; ``rule`` is in ``rfc_notes/cluster.md``."""

    layer = "cluster"


def with_envelope(limits: Limits) -> Limits:
    """Return limits for whole messages: events may be as deep inside them as elsewhere."""
    return limits.but(json_depth=limits.json_depth + ENVELOPE)


def decode(payload: bytes, limits: Limits) -> Any:
    """Return the value of a message: JSON if it begins with a brace, else MessagePack."""
    try:
        if payload[:1] == b"{":
            return decode_value(str(payload, "utf-8"), 0, limits)
        return unpack(payload, limits.json_depth, limits.containers)
    except (RemoteProtocolError, UnicodeDecodeError) as error:
        raise ClusterError(
            f"neither JSON nor MessagePack: {error}", "cluster-message-form"
        ) from None


def _wrong(name: str, expected: str, value: Any) -> ClusterError:
    return ClusterError(
        f"{name}: {expected} was expected, {escaped(repr(value))} came", "cluster-message-fields"
    )


def text(fields: Mapping[str, Any], name: str) -> str:
    """Return a field that is a name of a server, a request or a room."""
    value = fields.get(name)
    if type(value) is not str or not 0 < len(value) <= _LONGEST_NAME:
        raise _wrong(name, "a name", value)
    return value


def optional_text(fields: Mapping[str, Any], name: str) -> str:
    """Return the same, or an empty text where the field is missing."""
    return text(fields, name) if fields.get(name) is not None else ""


def count(fields: Mapping[str, Any], name: str) -> int:
    """Return a field that counts something."""
    value = fields.get(name)
    if type(value) is not int or not 0 <= value <= 10_000_000:
        raise _wrong(name, "a number", value)
    return value


def array(fields: Mapping[str, Any], name: str) -> list[Any]:
    """Return a field that is an array."""
    value = fields.get(name)
    if type(value) is not list:
        raise _wrong(name, "an array", value)
    return value


def names(value: Any) -> list[str]:
    """Return the names of rooms; JavaScript programs use numbers for them, too."""
    if type(value) is not list or len(value) > _MOST_NAMES:
        raise _wrong("rooms", "an array of names", value)
    found = []
    for name in value:
        if type(name) is int:
            found.append(str(name))
        elif type(name) is str and len(name) <= _LONGEST_NAME:
            found.append(name)
        else:
            raise _wrong("rooms", "an array of names", name)
    return found


def event_args(value: Any) -> list[Any]:
    """Return the arguments of an event, its name first."""
    if type(value) is not list or not value or type(value[0]) not in (str, int):
        raise _wrong("data", "an array that begins with the name of an event", value)
    return value


def targets(value: Any) -> Targets:
    """Return whom an operation addresses."""
    if type(value) is not dict:
        raise _wrong("opts", "a map", value)
    flags = value.get("flags")
    if flags is None:
        flags = {}
    if type(flags) is not dict:
        raise _wrong("flags", "a map", flags)
    milliseconds = flags.get("timeout")
    timeout = None
    if isinstance(milliseconds, (int, float)):
        timeout = min(max(0.0, milliseconds / 1000), 86400.0)
    return Targets(
        frozenset(names(value.get("rooms"))),
        frozenset(names(value.get("except", []))),
        volatile=flags.get("volatile") is True,
        compress=flags.get("compress") is not False,
        timeout=timeout,
    )


def values(fields: Mapping[str, Any], name: str) -> list[Any]:
    """Return every value of an acknowledgement where that was said, else the first."""
    if type(fields.get("args")) is list:
        return list(fields["args"])
    return [fields[name]] if fields.get(name) is not None else []


def sockets(items: list[Any]) -> list[dict[str, Any]]:
    """Return the sockets in an answer; those of older adapters are only ids."""
    found: list[dict[str, Any]] = []
    for item in items:
        if type(item) is str:  # of older adapters
            found.append({"id": item, "handshake": {}, "rooms": [], "data": {}})
            continue
        if type(item) is not dict or type(item.get("handshake")) is not dict:
            raise ClusterError(
                "sockets: maps with id and handshake were expected", "cluster-message-fields"
            )
        rooms = names(item.get("rooms", []))
        sid = text(item, "id")
        handshake, data = item["handshake"], item.get("data")
        found.append({"id": sid, "handshake": handshake, "rooms": rooms, "data": data})
    return found


def options(addressed: Targets, *, flags: bool = True) -> dict[str, Any]:
    """Return targets as they travel.

    >>> options(Targets(frozenset(["a"]), volatile=True))
    {'rooms': ['a'], 'except': [], 'flags': {'volatile': True}}
    """
    fields: dict[str, Any] = {
        "rooms": sorted(addressed.rooms),
        "except": sorted(addressed.excluded),
    }
    if not flags:
        return fields
    said: dict[str, Any] = {}
    if addressed.volatile:
        said["volatile"] = True
    if not addressed.compress:
        said["compress"] = False
    if addressed.timeout is not None:
        said["timeout"] = int(addressed.timeout * 1000)
    return {**fields, "flags": said}
