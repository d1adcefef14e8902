r"""What is replaced in a recording: who may log in with it may not read it there.

* The values of ``Authorization``, ``Proxy-Authorization``, ``Cookie`` and ``Set-Cookie``.
* Session ids, in queries and in handshakes: whoever knows one may post into the session.
* The strings and numbers in the payload of a Socket.IO CONNECT (``auth``), and the id of the
  session that its answer tells; in MessagePack, too.

Bytes are replaced by as many asterisks (digits by zeros), so lengths and offsets stay.  A message
that came masked or compressed is written anew: as one frame, uncompressed.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64

from rawsio.explain.fields import walk
from rawsio.explain.json_tree import MOST
from rawsio.explain.msgpack import msgpack_field
from rawsio.explain.socketio import looks_packed
from rawsio.explain.websocket import is_text
from rawsio.layer import Role
from rawsio.lazy import Pattern
from rawsio.websocket.frames import BINARY, TEXT, encode_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Match

    from rawsio.explain.conversation import Item

__all__ = ["hidden", "hidden_content"]

# The value of a field goes on in lines that begin with white space, in heads that are refused.
_CREDENTIALS = Pattern(
    rb"(?im)^((?:(?:proxy-)?authorization|(?:set-)?cookie)(?=[ \t:])[ \t]*:?[ \t]*)"
    rb"([^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)"
)
_SID_IN_LINE = Pattern(rb"([?&]sid=)([^&# \r\n]*)")
_OPEN_SID = Pattern(rb'("(?:sid|pid)"[ ]*:[ ]*")([^"]*)')
# A CONNECT with a payload: on a WebSocket or in a body, behind a separator or a length.
_CONNECT = Pattern(rb"(?:^|\x1e|[0-9]:|\xff)40(?:/[^,{]*,)?\{")
_VALUE = Pattern(rb'"(?:[^"\\]|\\.)*"|[0-9]+')
_BASE64 = Pattern(rb"((?:^|\x1e|[0-9]:)b4?)([A-Za-z0-9+/]+={0,2})(?=\x1e|\Z)")
_LONG = 65_536
"""Bytes of a CONNECT's payload from which on its names are hidden, too: servers take no longer one,
and there may be a value in every other byte."""
_HEADS = {"8": 1, "16": 2, "32": 4}
_WORDS = ("nil", "true", "false", "cut short")
_KEY = b"\0\0\0\0"


def hidden_content(content: bytes) -> bytes:
    r"""Return content of a body, or a message, without what lets somebody in.

    >>> hidden_content(b'40{"token":"abc"}'), hidden_content(b'0{"sid":"kS9","pingTimeout":5}')
    (b'40{"token":"***"}', b'0{"sid":"***","pingTimeout":5}')
    >>> hidden_content(b'42["token","abc"]')
    b'42["token","abc"]'
    """
    if looks_packed(content):
        return _hide_packed(content)
    # Most content has nothing of the kind, and a search for words is a hundred times as fast.
    if b'"sid"' in content or b'"pid"' in content:
        content = _OPEN_SID.sub(_starred, content)
    if content[:1] == b"b" or b"\x1eb" in content or b":b" in content:
        content = _BASE64.sub(_hide_base64, content)
    if b"40{" not in content and b"40/" not in content:
        return content
    made = bytearray()
    at = 0
    while (found := _CONNECT.search(content, at)) is not None:
        start = found.end() - 1
        end = content.find(b"\x1e", start)
        end = len(content) if end < 0 else end
        made += content[at:start] + _hide_values(content[start:end])
        at = end
    return bytes(made) + content[at:]


def _hide_packed(content: bytes) -> bytes:
    """Return a packet in MessagePack; of a CONNECT, the values in its data are hidden."""
    if content[1:6] == b"\xa4type" and b"\1" <= content[6:7] <= b"\6":
        return content
    if len(content) >= _LONG:
        return _hide_all(content, 1)
    tree = msgpack_field(content)
    parts = {field.name: field for field in tree.fields}
    kind = parts["type"].value if "type" in parts else "0"
    made = bytearray(content)
    if kind == "0" and sum(1 for _ in walk(tree)) > MOST - 10:
        # What the tree does not show cannot be told apart: all behind the first key is hidden.
        at = min(field.start for field in tree.fields)
        return _hide_all(content, at)
    if "data" not in parts or "type" not in parts or kind != "0":
        return content
    for field in walk(parts["data"]):
        kind = field.meaning
        if field.fields or "map" in kind or "array" in kind or kind in _WORDS:
            continue
        head = 1 + _HEADS.get(kind.partition(" ")[2], 0) if "str" in kind or "bin" in kind else 1
        if kind == "fixint":
            made[field.start] = 0
        else:
            filler = b"*" if "str" in kind or "bin" in kind else b"\0"
            made[field.start + head : field.end] = filler * (field.end - field.start - head)
    return bytes(made)


def _hide_all(content: bytes, at: int) -> bytes:
    return content[:at] + bytes(len(content) - at)


def _hide_base64(found: Match[bytes]) -> bytes:
    """Return a binary packet of a polling body, which is in base64."""
    try:
        content = a2b_base64(found[2])
    except Error:
        return found[0]
    if not looks_packed(content):
        return found[0]
    return found[1] + b2a_base64(_hide_packed(content), newline=False)


def _starred(found: Match[bytes]) -> bytes:
    return found[1] + b"*" * len(found[2])


def _hide_values(text: bytes) -> bytes:
    """Return JSON whose values are asterisks; the names of members stay."""

    if len(text) >= _LONG:
        return b'{"":"' + b"*" * (len(text) - 7) + b'"}'

    def hide(found: Match[bytes]) -> bytes:
        piece = found[0]
        if piece[:1] != b'"':
            return b"0" * len(piece)
        after = text[found.end() : found.end() + 4].lstrip(b" \t\r\n")
        return piece if after[:1] == b":" else b'"' + b"*" * (len(piece) - 2) + b'"'

    return _VALUE.sub(hide, text)


def hidden(item: Item) -> bytes:
    """Return the bytes of a message as they may be written.

    Fragments before the last one give nothing: the last one gives the whole message.
    """
    data = item.tree.data or b""
    if item.tree.name.endswith("head") or item.tree.name == "rest":
        return _hidden_head(data)
    if item.tree.name == "body":
        return _hidden_body(item, data)
    if item.layers[:1] == ("WebSocket",) and not item.wrong:
        return _hidden_frame(item, data)
    return data


def _hidden_head(data: bytes) -> bytes:
    """Return a head, or the pieces of one that is broken, without credentials."""
    line, end, rest = data.partition(b"\n")
    return _SID_IN_LINE.sub(_starred, line) + end + _CREDENTIALS.sub(_starred_line, rest)


def _starred_line(found: Match[bytes]) -> bytes:
    return found[1] + bytes(c if c in b"\r\n" else 0x2A for c in found[2])


def _hidden_body(item: Item, data: bytes) -> bytes:
    plain = hidden_content(data)
    if plain != data or hidden_content(item.content) == item.content:
        return plain
    # A secret in a body that is in chunks which cut it.
    return b"*" * len(data)


def _hidden_frame(item: Item, data: bytes) -> bytes:
    opcode = data[0] & 0x0F if data else 8
    if opcode > BINARY:
        return data
    message = item.tree.fields[-1] if item.tree.fields else None
    if message is None or message.name != "message":
        return b"" if not data[0] & 0x80 or data[0] & 0x40 else data
    kind = TEXT if is_text(message) else BINARY
    key = _KEY if item.sender is Role.CLIENT else None
    return encode_frame(kind, hidden_content(message.data or b""), mask=key)
