"""Who may use the server from a web page: same origin, CORS, and the name in Host.

A browser sends the cookies of this server along with whatever any page on the web asks of it, and
it does not keep that page from *opening a WebSocket* here at all.  What a browser does say is
where the page came from, in ``Origin``.  So the policy here holds for both transports alike:

- no Origin: not a browser, or a plain same-origin GET.  Allowed.
- the Origin's host and port are those in Host: the server's own page.  Allowed.
- any other Origin: refused, unless the option ``cors`` names it.

The scheme is compared only where we know ours to be ``https``: in front of a server without TLS
there may be a proxy with it, and then our own pages come from ``https`` too.

Requests are refused; headers alone are not withheld.  A missing CORS header keeps a page from
reading an answer, not from sending a request or opening a WebSocket.

This is no authentication: a client that is no browser says what it likes.
"""

from __future__ import annotations

from rawsio.errors import welcomed_by
from rawsio.lazy import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .options import Cors

    Pairs = list[tuple[str, str]]

__all__ = ["OriginPolicy", "same_origin", "host_name"]

# serialized-origin = scheme "://" host [ ":" port ]  (RFC 6454 section 6.2)
_ORIGIN = Pattern(r"([A-Za-z][A-Za-z0-9+.-]*)://([!-\"$-.0-;<->A-~]+)")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def same_origin(origin: str, host: str, *, secure: bool) -> bool:
    """Return whether a page from ``origin`` is the page of the server that ``host`` names.

    >>> same_origin("http://a.example:80", "A.example", secure=False)
    True
    >>> same_origin("http://a.example:8080", "a.example", secure=False)
    False
    >>> same_origin("http://a.example", "a.example", secure=True)
    False
    """
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return False
    scheme, authority = match[1].lower(), match[2].lower()
    port = _DEFAULT_PORTS.get(scheme)
    if port is None or (secure and scheme != "https"):
        return False
    return authority.removesuffix(port) == host.lower().removesuffix(port)


def host_name(host: str) -> str:
    """Return the name in a Host field, in lower case, without its port.

    >>> host_name("Example.com:3000"), host_name("[::1]:3000")
    ('example.com', '[::1]')
    """
    name, bracket, _ = host.lower().partition("]")
    return name + bracket if bracket else name.partition(":")[0]


class OriginPolicy:
    """Judges origins by the option ``cors``, and writes the header fields that browsers want."""

    __slots__ = ("cors",)

    def __init__(self, cors: Cors | None) -> None:
        self.cors = cors

    def allows(self, origins: Sequence[str], host: str, *, secure: bool) -> bool:
        """Return whether a request with these Origin fields is served.

        >>> OriginPolicy(None).allows(["https://evil.example"], "localhost:3000", secure=False)
        False
        """
        if not origins:
            return True
        if len(origins) > 1:
            return False
        return same_origin(origins[0], host, secure=secure) or self._named(origins[0])

    def _named(self, origin: str) -> bool:
        return self.cors is not None and _matches(self.cors.origins, origin)

    def explain(self, origin: str, host: str) -> str:
        """Return the sentence for whoever meets the refusal, in the console of a browser.

        ``host`` is what the request is for: a proxy may have put its own there.
        """
        others = "" if self.cors is None else " and those that the option cors names"
        return (
            f"the origin {origin[:200]} may not use this server: only its own origin{others} may;"
            f" see the option cors (the request names the host {host[:200]}; a proxy in front has"
            " to pass Host on)"
        )

    def headers(self, origin: str | None) -> Pairs:
        """Return the CORS fields of an answer.

        >>> from rawsio.engineio.server.options import Cors
        >>> OriginPolicy(Cors(["https://a.example"])).headers("https://a.example")
        [('Access-Control-Allow-Origin', 'https://a.example'), ('Vary', 'Origin')]
        """
        cors = self.cors
        if cors is None:
            return []
        fields: Pairs = []
        if cors.origins == "*":
            fields.append(("Access-Control-Allow-Origin", "*"))
        else:
            if origin is not None and self._named(origin):
                fields.append(("Access-Control-Allow-Origin", origin))
                if cors.credentials:
                    fields.append(("Access-Control-Allow-Credentials", "true"))
            # Without this, a cache could give one origin's answer to another.
            fields.append(("Vary", "Origin"))
        if cors.exposed_headers:
            fields.append(("Access-Control-Expose-Headers", ",".join(cors.exposed_headers)))
        return fields

    def preflight(self, requested: str | None) -> Pairs:
        """Return the further fields that answer a preflight request.

        ``requested`` is its ``Access-Control-Request-Headers``.
        """
        cors = self.cors
        if cors is None:
            return []
        fields = [("Access-Control-Allow-Methods", ",".join(cors.methods))]
        if cors.allowed_headers is not None:
            fields.append(("Access-Control-Allow-Headers", ",".join(cors.allowed_headers)))
        else:
            fields.append(("Vary", "Access-Control-Request-Headers"))
            if requested:
                fields.append(("Access-Control-Allow-Headers", requested))
        if cors.max_age is not None:
            fields.append(("Access-Control-Max-Age", str(cors.max_age)))
        return fields


def _matches(pattern: Any, origin: str) -> bool:
    if isinstance(pattern, str):
        return pattern in ("*", origin)
    if isinstance(pattern, bool):
        return pattern
    if hasattr(pattern, "fullmatch"):
        return pattern.fullmatch(origin) is not None
    if callable(pattern):
        return welcomed_by(pattern(origin), "a function of cors")
    return any(_matches(item, origin) for item in pattern)
