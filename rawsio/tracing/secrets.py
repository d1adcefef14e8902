r"""What is replaced in a recording: who may log in with it may not read it there.

* The values of ``Authorization``, ``Proxy-Authorization``, ``Cookie`` and ``Set-Cookie``.
* Session ids, in queries and in handshakes: whoever knows one may post into the session.
* The strings and numbers in the payload of a Socket.IO CONNECT (``auth``), and the id of the
  session that its answer tells.

Bytes are replaced by as many asterisks (digits by zeros), so lengths and offsets stay.  A message
that came masked or compressed is written anew: as one frame, uncompressed.
"""

from __future__ import annotations

from rawsio.explain.fields import Field
from rawsio.http.messages import Request
from rawsio.layer import Role
from rawsio.lazy import Pattern
from rawsio.websocket.frames import BINARY, TEXT, encode_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from re import Match

    from rawsio.explain.conversation import Item

__all__ = ["hidden", "hidden_content", "hidden_head", "hidden_target"]

FIELDS = ("authorization", "proxy-authorization", "cookie", "set-cookie")
"""Header fields whose values are secrets."""

_SID = Pattern(r"([?&]sid=)([^&#]*)")
_OPEN_SID = Pattern(rb'("(?:sid|pid)"[ ]*:[ ]*")([^"]*)')
# A CONNECT with a payload: on a WebSocket or in a body, behind a separator or a length.
_CONNECT = Pattern(rb"(?:^|\x1e|[0-9]:|\xff)40(?:/[^,{]*,)?\{")
_VALUE = Pattern(rb'"(?:[^"\\]|\\.)*"|[0-9]+')
_KEY = b"\0\0\0\0"


def hidden_target(target: str) -> str:
    """Return a request target without the id of its session.

    >>> hidden_target("/socket.io/?EIO=4&sid=abc&t=1")
    '/socket.io/?EIO=4&sid=***&t=1'
    """
    return _SID.sub(lambda found: found[1] + "*" * len(found[2]), target)


def hidden_head(name: str, value: str) -> str:
    """Return the value of a header field as it may be shown.

    >>> hidden_head("Cookie", "id=1"), hidden_head("Host", "a")
    ('****', 'a')
    """
    return "*" * len(value) if name.lower() in FIELDS else value


def hidden_content(content: bytes) -> bytes:
    r"""Return content of a body, or a message, without what lets somebody in.

    >>> hidden_content(b'40{"token":"abc"}'), hidden_content(b'0{"sid":"kS9","pingTimeout":5}')
    (b'40{"token":"***"}', b'0{"sid":"***","pingTimeout":5}')
    >>> hidden_content(b'42["token","abc"]')
    b'42["token","abc"]'
    """
    content = _OPEN_SID.sub(_starred, content)
    made = bytearray()
    at = 0
    while (found := _CONNECT.search(content, at)) is not None:
        start = found.end() - 1
        end = content.find(b"\x1e", start)
        end = len(content) if end < 0 else end
        made += content[at:start] + _hide_values(content[start:end])
        at = end
    return bytes(made) + content[at:]


def _starred(found: Match[bytes]) -> bytes:
    return found[1] + b"*" * len(found[2])


def _hide_values(text: bytes) -> bytes:
    """Return JSON whose values are asterisks; the names of members stay."""

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
    if item.head is not None:
        return _hidden_head(item, data)
    if item.tree.name == "body":
        return _hidden_body(item, data)
    if item.layers[:1] == ("WebSocket",) and not item.wrong:
        return _hidden_frame(item, data)
    return data


def _hidden_head(item: Item, data: bytes) -> bytes:
    made = bytearray(data)
    for line in item.tree.fields:
        if line.name.lower() in FIELDS:
            start = data.index(b":", line.start) + 1
            made[start : line.end - 2] = b"*" * (line.end - 2 - start)
    if isinstance(item.head, Request):
        target = item.head.target
        at = data.index(target.encode("latin-1"))
        made[at : at + len(target)] = hidden_target(target).encode("latin-1")
    return bytes(made)


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
    kind = TEXT if _is_text(message) else BINARY
    key = _KEY if item.sender is Role.CLIENT else None
    return encode_frame(kind, hidden_content(message.data or b""), mask=key)


def _is_text(message: Field) -> bool:
    return message.meaning == "the whole text message"
