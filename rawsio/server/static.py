"""A folder of files, as an application: ``Server(app=folder("public"))``.

The one idea: **a path is names, not text**.  The path of a request is cut at its slashes first,
then each name is percent-decoded and judged by itself; what might lead elsewhere (``..``, a name
with a slash in it, a link out of the folder) or is not meant for the public (a name that begins
with a dot) is as if it were not there.

A file is read whole, on the loop, and those that were asked for last are kept: a thousand clients
that read slowly share one copy of it.

What is left out: ranges, lists of what is in a folder, and large files: this is for pages, scripts
and pictures.
"""

from __future__ import annotations

from .application import precondition, unquoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from rawsio.http.messages import Request

__all__ = ["folder"]

_NOT_FOUND = (404, b"not found")


def folder(
    path: Any, *, index: str = "index.html", largest: int = 16_000_000
) -> Callable[[Request], Any]:
    """Return an application that serves the files below a folder, which must exist.

    ``index`` is the file that stands for a folder, ``largest`` the size in bytes above which a
    file is not served (403), and the most that is kept of the last ones.  Files have entity tags
    made of their times and sizes, so a browser asks again and is told that nothing has changed
    (RFC 9110 section 13.1.2).

    >>> import tempfile, pathlib
    >>> from rawsio.http import Headers, Request
    >>> with tempfile.TemporaryDirectory() as name:
    ...     _ = pathlib.Path(name, "a b.html").write_text("<p>Hi</p>")
    ...     serve = folder(name)
    ...     serve(Request("GET", "/a%20b.html", Headers()))[:2]
    ...     serve(Request("GET", "/../etc/passwd", Headers()))
    (200, b'<p>Hi</p>')
    (404, b'not found')
    """
    from pathlib import Path

    root = Path(path).resolve(strict=True)
    shelf = _Shelf(largest)

    def serve(request: Request) -> Any:
        if request.method not in ("GET", "HEAD"):
            return 405, b"", [("Allow", "GET, HEAD")]
        names = _names(request.path)
        if names is None:
            return _NOT_FOUND
        try:
            return _answer(root, names, request, index, shelf)
        except (OSError, RuntimeError):  # it vanished, is not ours to read, or leads to itself
            return _NOT_FOUND

    return serve


class _Shelf:
    """The files that were asked for last, together no more than ``most`` bytes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._files: dict[Path, bytes] = {}
        self._size = 0

    def read(self, file: Path) -> bytes:
        """Return the content of a file: the copy that others have, if it is still the same."""
        # A tag or a time would not tell: a file may be written twice between two ticks.
        data, known = file.read_bytes(), self._files.pop(file, b"")
        self._size += len(data) - len(known)
        self._files[file] = data = known if known == data else data
        while self._size > self.most:
            self._size -= len(self._files.pop(next(iter(self._files))))
        return data


def _answer(root: Path, names: list[str], request: Request, index: str, shelf: _Shelf) -> Any:
    file = root.joinpath(*names).resolve()
    if not file.is_relative_to(root):
        return _NOT_FOUND
    if file.is_dir() and not request.path.endswith("/"):
        # Relative links in the index would lead elsewhere without the slash.
        return 301, b"", [("Location", request.path + "/")]
    if request.path.endswith("/"):
        file = file.joinpath(index).resolve()
    if not file.is_relative_to(root) or not file.is_file():
        return _NOT_FOUND
    found = file.stat()
    if found.st_size > shelf.most:
        return 403, f"the file has more than {shelf.most} bytes"
    # Weak: a file may be written twice between two ticks of the clock that marks it.
    tag = f'W/"{found.st_mtime_ns:x}-{found.st_size:x}"'
    fields = [("Content-Type", _kind(file.name)), ("Cache-Control", "no-cache"), ("ETag", tag)]
    status = precondition(tag, request)
    if status is not None:
        return status, b"", fields
    return 200, shelf.read(file), fields


def _names(path: str) -> list[str] | None:
    """Return the names in a path, or ``None`` if one of them may not be asked for."""
    first, *encoded = path.split("/")
    if first:
        return None
    if encoded[-1:] == [""]:
        encoded.pop()
    names = []
    for part in encoded:
        try:
            name = unquoted(part).encode("latin-1").decode("utf-8")
        except UnicodeDecodeError:
            return None
        if not name or name[0] == "." or any(sign in name for sign in "/\\:\0"):
            return None
        names.append(name)
    return names


def _kind(name: str) -> str:
    try:
        from mimetypes import guess_type
    except ImportError:  # small systems leave it out
        return "application/octet-stream"
    kind, encoding = guess_type(name)
    if kind is None or encoding is not None:
        return "application/octet-stream"
    text = kind.startswith("text/") or kind in ("application/javascript", "application/json")
    return f"{kind}; charset=utf-8" if text else kind
