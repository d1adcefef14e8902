"""WSGI applications (PEP 3333), as answers to requests.

A list or tuple is sent whole.  Anything else that an application returns is iterated while it is
sent (:mod:`rawsio.server.streaming`).  What it gives to the ``write`` of ``start_response`` is kept
until its next piece, and therefore bounded (``limits.written``).
"""

from __future__ import annotations

import sys

from rawsio.http.headers import Headers
from rawsio.http.messages import Response
from rawsio.lazy import Pattern
from rawsio.uri import unescaped

from .http_apps import NOBODY, OURS, RemoteAddress
from .streaming import Streaming

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.http.messages import Request

    from .http_apps import Answer

__all__ = ["wsgi"]


def wsgi(
    app: Any,
    request: Request,
    body: bytes,
    peer: RemoteAddress = NOBODY,
    *,
    most: int,
    threads: bool = False,
) -> Answer:
    """Ask a WSGI application for an answer.

    ``most`` bytes may be given to ``write`` at a time; ``threads`` tells the application that it
    is called from several.  Raises what it raises, and ``RuntimeError`` if it does not keep to the
    PEP.
    """
    call = _Call(most)
    result = call.result = app(_environ(request, body, peer, threads=threads), call.start_response)
    if isinstance(result, (list, tuple)):
        return call.whole(request, [*call.take(), *result])
    try:
        call.iterate(result)
    except BaseException:
        call.close()
        raise
    return call


class _Call(Streaming):
    """One call of an application; ``result`` is what it returned."""

    __slots__ = ("result", "_most", "_written")

    def __init__(self, most: int) -> None:
        super().__init__(iter(()))
        self.result: Any = None
        self._most = most
        self._written = 0

    def iterate(self, result: Any) -> None:
        """Take the pieces from here."""
        self._iterator = iter(result)

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """Take status and fields of the answer."""
        if exc_info is not None:
            if self.sent:
                raise exc_info[1].with_traceback(exc_info[2])
        elif self.response is not None:
            raise RuntimeError("start_response was called twice")
        code, _, reason = status.partition(" ")
        fields = Headers(headers)
        kept = Headers([(n, v) for n, v in headers if n.lower() not in OURS])
        self.response = Response(int(code), kept, reason)
        length = _LENGTH.fullmatch(fields.get("content-length") or "")
        self.length = int(length[0]) if length else None
        return self._write

    def _write(self, data: bytes) -> None:
        self._written += len(data)
        if self._written > self._most:
            raise RuntimeError(
                f"more than {self._most} bytes were given to write() at a time (limits.written):"
                " return an iterable, which is sent as it is made"
            )
        self._pieces.append(bytes(data))

    def take(self) -> list[bytes]:
        """Return the pieces that were fetched or written since the last time."""
        self._written = 0
        return super().take()

    def head(self) -> Response:
        """Return the head; ``RuntimeError`` if the application has not given it."""
        if self.response is None:
            raise RuntimeError("the WSGI application never called start_response")
        return self.response

    def close(self) -> None:
        """Close what the application returned, as the PEP has it."""
        close = getattr(self.result, "close", None)
        if close is not None:
            close()


_LENGTH = Pattern("[0-9]{1,15}")

_APART = ("content-length", "content-type", "host", "transfer-encoding")
"""Fields of a request that WSGI has under other names, or that said how the body was framed."""


def _environ(
    request: Request, body: bytes, peer: RemoteAddress, *, threads: bool
) -> dict[str, Any]:
    """Return the WSGI environment of a request.

    The certificate that a client has shown is in ``rawsio.certificate``, as ``ssl`` gives it.
    """
    from io import BytesIO, StringIO

    given, path = request.host, request.path
    host = given or "localhost"
    name, _, port = host.rpartition(":")
    if not name or port[-1:] == "]":  # no port; an IPv6 address ends in a bracket
        name, port = host, ""
    variables: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": "" if path == "*" else unescaped(path),
        "QUERY_STRING": request.query_string,
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "SERVER_NAME": name,
        "SERVER_PORT": port or ("443" if peer.secure else "80"),
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": request.headers.get("content-type") or "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https" if peer.secure else "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr or StringIO(),
        "wsgi.multithread": threads,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if peer.address:
        variables["REMOTE_ADDR"] = peer.address
    if peer.certificate is not None:
        variables["SSL_CLIENT_VERIFY"] = "SUCCESS"
        variables["rawsio.certificate"] = peer.certificate
    if given:
        variables["HTTP_HOST"] = given
    _add_fields(variables, request)
    return variables


def _add_fields(variables: dict[str, Any], request: Request) -> None:
    for name, value in request.headers:
        # A name with an underscore would pass for one with a dash: such fields are left out.
        if "_" not in name and name.lower() not in _APART:
            key = "HTTP_" + name.upper().replace("-", "_")
            joint = "; " if key == "HTTP_COOKIE" else ","
            variables[key] = f"{variables[key]}{joint}{value}" if key in variables else value
