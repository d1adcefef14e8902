"""Files and folders under paths of their own: ``Server(app=files({"/": "index.html"}))``.

What the folder of :mod:`rawsio.server.static` refuses is refused here, too: each file or folder is
served by one of those, which is asked with the rest of the path.
"""

from __future__ import annotations

from rawsio.errors import sendable
from rawsio.http.messages import Request
from rawsio.lazy import Pattern

from .static import existing, folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    Serve = Callable[[Request], Any]

__all__ = ["files"]

_MOVED = (301, 308)
_KEY = Pattern(r"/(?:[-A-Za-z0-9._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")


def files(
    table: Mapping[str, str | Path],
    *,
    index: str = "index.html",
    largest: int = 1_000_000_000,
) -> Serve:
    """Return an application that serves files and folders, by the paths that lead to them.

    A file answers its own path alone, a folder every path below; the longest that fits counts.
    ``index`` and ``largest`` are those of :func:`rawsio.folder`.

    Raises:
        FileNotFoundError: a file or folder does not exist.
        TypeError, ValueError: the table is none, or a path does not begin with a slash.

    >>> import tempfile, pathlib
    >>> from rawsio.http import Headers, Request
    >>> with tempfile.TemporaryDirectory() as name:
    ...     _ = pathlib.Path(name, "chat.html").write_text("<p>Hi</p>")
    ...     _ = pathlib.Path(name, "chat.css").write_text("p {}")
    ...     serve = files({"/": f"{name}/chat.html", "/static": name})
    ...     for path in ("/", "/static/chat.css", "/chat.css"):
    ...         serve(Request("GET", path, Headers()))[:2]
    (200, b'<p>Hi</p>')
    (200, b'p {}')
    (404, b'not found')
    """
    if not hasattr(table, "items"):
        raise TypeError(f"files: a dict of path -> file or folder is expected, not {table!r}")
    if not table:
        raise ValueError("files: one path at least is expected, as in {'/': 'public'}")
    exact: dict[str, Serve] = {}
    below: dict[str, Serve] = {}
    for key, path in table.items():
        _mount(key, path, exact, below, index=index, largest=largest)
    prefixes = sorted(below, key=len, reverse=True)

    def serve(request: Request) -> Any:
        path = request.path
        if path in exact:
            return exact[path](request)
        for prefix in prefixes:
            if path.startswith(prefix + "/"):
                return _moved(prefix, below[prefix](_behind(request, path[len(prefix) :])))
            if path == prefix:
                return 301, b"", [("Location", f"{path}/{_query(request)}")]
        return 404, b"not found"

    return serve


def _mount(
    key: str,
    path: str | Path,
    exact: dict[str, Serve],
    below: dict[str, Serve],
    **options: Any,
) -> None:
    if not isinstance(key, str) or _KEY.fullmatch(key) is None or "/../" in f"{key}/":
        raise ValueError(
            "files: a path of requests begins with a slash and has what a URL has (other characters"
            f" percent-encoded), as in '/static', unlike {key!r}"
        )
    try:
        found = existing(path, "files")
    except TypeError:
        raise TypeError(f"files: {key!r} leads to {path!r}, not to a file or folder") from None
    if found.is_dir():
        below[key.rstrip("/")] = folder(found, **options)
        return
    if found.name[:1] == ".":
        raise ValueError(f"files: {found.name!r} begins with a dot, and is served to nobody")
    if not sendable(found.name):
        raise ValueError(
            f"files: {found.name!r} is not UTF-8, so no request can name it: rename it"
        )
    exact[key] = _single(folder(found.parent, **options), found.name)


def _single(serve: Serve, name: str) -> Serve:
    from urllib.parse import quote

    target = "/" + quote(name)
    return lambda request: serve(_behind(request, target))


def _behind(request: Request, path: str) -> Request:
    return Request(request.method, path + _query(request), request.headers)


def _query(request: Request) -> str:
    return f"?{request.query_string}" if request.query_string else ""


def _moved(prefix: str, result: Any) -> Any:
    """Return an answer of a folder with its redirection seen from outside."""
    if isinstance(result, tuple) and result[0] in _MOVED:
        status, body, fields = result
        fields = [(n, prefix + v if n == "Location" else v) for n, v in fields]
        return status, body, fields
    return result
