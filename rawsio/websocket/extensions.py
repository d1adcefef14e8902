"""The grammar of ``Sec-WebSocket-Extensions`` (RFC 6455 section 9.1).

::

    extension-list  = 1#extension
    extension       = token *( ";" token [ "=" ( token | quoted-string ) ] )

One regular expression reads one extension, and is applied from comma to comma.  Each of its
alternatives begins with a different character, so that it never has two ways to read the same text,
and its time is linear in the length of the header.  Empty list elements are legal in HTTP lists
(RFC 9110 section 5.6.1) and skipped.  Names are compared as they are written.
"""

from __future__ import annotations

from rawsio.errors import HTTPError, escaped
from rawsio.lazy import Pattern

__all__ = ["Parameters", "is_token", "parse_extensions"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Parameters: TypeAlias = list[tuple[str, str | None]]
else:
    Parameters = list

# RFC 9110 section 5.6.2
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 - not a password
_VALUE = rf'(?:{_TOKEN}|"(?:[^"\\]|\\.)*")'
_PARAMETER = rf"[ \t]*;[ \t]*({_TOKEN})(?:[ \t]*=[ \t]*({_VALUE}))?"
_ONE_PARAMETER = Pattern(_PARAMETER)
_ELEMENT = Pattern(
    rf"[ \t]*(?:({_TOKEN})((?:[ \t]*;[ \t]*{_TOKEN}(?:[ \t]*=[ \t]*{_VALUE})?)*))?[ \t]*(?:,|\Z)"
)
_WHOLE_TOKEN = Pattern(rf"{_TOKEN}\Z")
_ESCAPE = Pattern(r"\\(.)")


def is_token(text: str) -> bool:
    """Say whether a text is a token of HTTP.

    >>> is_token("v2.chat"), is_token("a b"), is_token("")
    (True, False, False)
    """
    return _WHOLE_TOKEN.match(text) is not None


def parse_extensions(lines: list[str]) -> list[tuple[str, Parameters]]:
    """Return the extensions of all header lines, in order: name, and (parameter, value) pairs.

    Raises ``HTTPError`` (400) for anything else (rule 6455-9.1-grammar).

    >>> parse_extensions(['permessage-deflate; client_max_window_bits; x="10", other'])
    [('permessage-deflate', [('client_max_window_bits', None), ('x', '10')]), ('other', [])]
    """
    text = ",".join(lines)
    found: list[tuple[str, Parameters]] = []
    at = 0
    while at < len(text):
        element = _ELEMENT.match(text, at)
        if element is None:
            raise _malformed(text)
        if element[1] is not None:
            parameters = [
                (name, _unquoted(value, text) if value else None)
                for name, value in _ONE_PARAMETER.findall(element[2])
            ]
            found.append((element[1], parameters))
        at = element.end()
    if lines and not found:
        raise _malformed(text)
    return found


def _unquoted(value: str, text: str) -> str:
    if not value.startswith('"'):
        return value
    value = _ESCAPE.sub(r"\1", value[1:-1])
    # Section 9.1: a quoted value must be a token once its quotes are off.
    if not is_token(value):
        raise _malformed(text)
    return value


def _malformed(text: str) -> HTTPError:
    return HTTPError(
        f"Sec-WebSocket-Extensions is not a list of extensions: {escaped(text)}",
        "6455-9.1-grammar",
    )
