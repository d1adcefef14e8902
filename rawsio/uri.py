"""Queries and cookies: text that came with a request, taken apart.

Bytes that are no UTF-8 become U+FFFD, escapes that are none stay as they are: what a client wrote
is its word, and no reason to refuse a request.
"""

from __future__ import annotations

from .lazy import Pattern

__all__ = ["parse_cookies", "parse_query"]

_ESCAPE = Pattern(rb"%([0-9A-Fa-f]{2})")


def parse_query(query: str) -> dict[str, str]:
    """Return the parameters of a query string; of equal names the last counts.

    >>> parse_query("a=1&b=x+y&a=%32&c")
    {'a': '2', 'b': 'x y', 'c': ''}
    """
    found: dict[str, str] = {}
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            found[_unescape(name)] = _unescape(value)
    return found


def _unescape(text: str) -> str:
    raw = text.replace("+", " ").encode("utf-8", "replace")
    return _ESCAPE.sub(lambda m: bytes((int(m[1], 16),)), raw).decode("utf-8", "replace")


def parse_cookies(fields: list[str]) -> dict[str, str]:
    """Return the cookies in the values of ``Cookie`` fields (RFC 6265 section 4.2.1).

    Values are as they were sent, without the quotes around them.  Of equal names the first counts:
    browsers send the one with the longest path first (section 5.4).

    >>> parse_cookies(['io=kS9; theme="dark"; io=old', "empty=; nonsense"])
    {'io': 'kS9', 'theme': 'dark', 'empty': ''}
    """
    found: dict[str, str] = {}
    for part in ";".join(fields).split(";"):
        name, equals, value = part.partition("=")
        if equals:
            value = value.strip(" \t")
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            found.setdefault(name.strip(" \t"), value)
    return found
