r"""The lines of a head, taken apart: start lines, field lines, and what well-known fields mean.

The expressions are the layer's own (:mod:`rawsio.http.grammar`); a line that they do not match is
shown as it is, and :func:`accuse` puts the layer's verdict on the line that it is about.
"""

from __future__ import annotations

from rawsio.http.grammar import FIELD_LINE, REASONS, REQUEST_LINE, STATUS_LINE
from rawsio.layer import Role

from .fields import Field, blame, moved, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.errors import HTTPError

__all__ = ["accuse", "field_line", "start_line"]

_MEANINGS = {
    "host": ("who is asked", "9112-3.2-host"),
    "connection": ("about this connection only", "9110-7.6.1-options"),
    "upgrade": ("the protocol to go on with", "9110-7.8-switch"),
    "content-length": ("bytes of content", "9110-8.6-length"),
    "transfer-encoding": ("how the content is framed", "9112-6.1-coding"),
    "content-type": ("what the content is", "9110-8.3-type"),
    "content-encoding": ("how the content is compressed", "9110-8.4-coding"),
    "expect": ("ask before the content is sent", "9110-10.1.1-expect"),
    "date": ("when the message was made", "9110-6.6.1-date"),
    "origin": ("whose page asks", "6455-10.2-origin"),
    "user-agent": ("which program asks", "9110-10.1.5-user-agent"),
    "server": ("which program answers", "9110-10.2.4-server"),
    "referer": ("the page that the link stands in", "9110-10.1.3-referer"),
    "vary": ("what else the answer depends on", "9110-12.5.5-vary"),
    "sec-websocket-key": ("random, to be answered", "6455-4.1-nonce"),
    "sec-websocket-accept": ("proves that the key was read", "6455-4.2.2-accept"),
    "sec-websocket-version": ("the version of the protocol", "6455-4.2.2-version"),
    "sec-websocket-protocol": ("the protocol inside", "6455-4.2.2-protocol"),
    "sec-websocket-extensions": ("extensions, such as compression", "6455-9.1-grammar"),
    "access-control-allow-origin": ("whose pages may read the answer", "engineio-v4-http-cors"),
    "cookie": ("what the server asked to be told again", ""),
    "set-cookie": ("what the client shall tell again", ""),
    "accept": ("what the client takes", ""),
    "accept-encoding": ("compressions that the client takes", "9110-12.5.3-none"),
    "cache-control": ("who may keep the answer", ""),
}
"""Name of a field -> what it says, and a rule about it."""

_PARAMETERS = {
    "EIO": ("the protocol of Engine.IO", "engineio-v4-handshake-protocol"),
    "transport": ("how packets travel", "engineio-v4-http-transport"),
    "sid": ("the session", "engineio-v4-http-session"),
    "t": ("makes the address new, so that no cache answers", ""),
    "b64": ("binary as base64", "engineio-v4-http-base64"),
    "j": ("JSONP: the index of the function to call", "engineio-v3-jsonp-index"),
}

_ABOUT = {
    "9112-3.2-host": "host",
    "9110-8.6-length": "content-length",
    "9112-6.3-one-length": "content-length",
    "9110-15.5.14-body": "content-length",
    "9112-6.1-length-and-coding": "content-length",
    "9112-6.1-coding-in-old": "transfer-encoding",
    "9112-6.1-coding": "transfer-encoding",
    "9112-6.1-one-coding": "transfer-encoding",
    "9112-6.1-unknown-coding": "transfer-encoding",
    "9112-6.3-chunked-last": "transfer-encoding",
    "9110-10.1.1-expect": "expect",
    "9110-7.8-switch": "upgrade",
}
"""Rule -> the field that a mistake is in, where it is seen at the end of the head only."""


def start_line(line: bytes, sender: Role) -> Field:
    """Return a request line, or a status line, at offset 0.

    >>> line = start_line(b"GET /a?EIO=4 HTTP/1.1\\r\\n", Role.CLIENT)
    >>> [(f.name, f.value) for f in line.fields]
    [('method', 'GET'), ('target', '/a?EIO=4'), ('version', '1.1')]
    """
    asks = sender is Role.CLIENT
    rule = "9112-3-request-line" if asks else "9112-4-status-line"
    field = Field(0, len(line), "request line" if asks else "status line", "", "", rule)
    field.value = shown(line.rstrip(b"\r\n"))
    found = (REQUEST_LINE if asks else STATUS_LINE).fullmatch(line)
    if not found:
        return field
    if asks:
        version = Field(found.start(3), found.end(4), "version", "", "", "9110-2.5-version")
        version.value = f"{found[3].decode('ascii')}.{found[4].decode('ascii')}"
        field.fields = [
            Field(*found.span(1), "method", shown(found[1]), "", "9110-9.1-method"),
            _target(found[2], found.start(2)),
            version,
        ]
        return field
    status = int(found[3])
    version = Field(found.start(1), found.end(2), "version", "", "", "9110-2.5-version")
    version.value = f"{found[1].decode('ascii')}.{found[2].decode('ascii')}"
    field.fields = [
        version,
        Field(*found.span(3), "status", str(status), REASONS.get(status, ""), "9110-15-status"),
    ]
    if found[4]:
        field.fields.append(
            Field(*found.span(4), "reason", shown(found[4]), "for people only", "9112-4-reason")
        )
    return field


def _target(target: bytes, start: int) -> Field:
    field = Field(start, start + len(target), "target", shown(target), "", "9112-3.2-target")
    path, mark, query = target.partition(b"?")
    if not mark:
        return field
    fields = [Field(0, len(path), "path", shown(path), "", "9112-3.3-path")]
    at = len(path) + 1
    for pair in query.split(b"&")[:100]:
        name, _, value = pair.partition(b"=")
        meaning, rule = _PARAMETERS.get(name.decode("latin-1"), ("", ""))
        fields.append(Field(at, at + len(pair), shown(name), shown(value), meaning, rule))
        at += len(pair) + 1
    field.fields = [moved(below, start) for below in fields]
    return field


def field_line(line: bytes) -> Field:
    r"""Return a field line at offset 0.

    >>> field_line(b"Host: a\r\n").value
    'a'
    """
    name, colon, value = line.partition(b":")
    if not colon or not FIELD_LINE.fullmatch(line):
        return Field(0, len(line), "line", shown(line.rstrip(b"\r\n")), "", "9112-5-field-line")
    meaning, rule = _MEANINGS.get(name.decode("latin-1").lower(), ("", "9112-5-field-line"))
    return Field(0, len(line), shown(name), shown(value.strip(b" \t\r\n")), meaning, rule)


def accuse(fields: list[Field], error: HTTPError) -> None:
    """Put a verdict on the line that it is about: a certain field, or the last line."""
    about = _ABOUT.get(error.rule)
    found = [field for field in fields if field.name.lower() == about]
    blame(found[-1] if found else fields[-1], error)
