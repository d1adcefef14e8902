"""A folder of files, as an application: ``Server(app=folder("public"))``.

*A path is names, not text.*  The path of a request is decoded and judged as a row of names: what
might lead elsewhere (``..``, a name with a slash in it, a link out of the folder) or is not meant
for the public (a name that begins with a dot) is as if it were not there.

A short file is read whole, on the loop, and those that were asked for last are kept: a thousand
clients that read slowly share one copy of it.  A longer one is read and sent piece by piece, as
fast as its client takes it; so is a *range* of it (RFC 9110 section 14), with which a film is
wound forward and a download goes on.

There are no lists of what is in a folder.
"""

from __future__ import annotations

from stat import S_ISDIR, S_ISREG

from rawsio.lazy import Pattern
from rawsio.net.clock import wall
from rawsio.net.folders import located
from rawsio.uri import unescaped

from .http_apps import WholeHead, precondition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from rawsio.http.messages import Request

__all__ = ["existing", "folder"]

_NOT_FOUND = (404, b"not found")

_SHORT = 262_144
"""Files up to this size are read whole and kept."""

_KEPT = 16_000_000
"""Bytes of them that are kept together."""

_PIECE = 65536
"""Bytes of a longer file that are read at a time."""

_SETTLED = 2.0
"""Seconds after which the time of a file tells one content from the next.

Every clock that marks files ticks at least once in two seconds.
"""


_HEADS = 256
"""How many answers to HEAD are kept."""

_MOMENT = 0.01
"""Seconds for which a file that is just being written counts as the same."""


def folder(
    path: str | Path, *, index: str = "index.html", largest: int = 1_000_000_000
) -> Callable[[Request], Any]:
    """Return an application that serves the files below a folder, which must exist.

    ``index`` is the file that stands for a folder, ``largest`` the size in bytes above which a
    file is not served (403).  Files have entity tags made of their times and sizes, so a browser
    asks again and is told that nothing has changed (RFC 9110 section 13.1.2), and may ask for a
    range of one.

    >>> import tempfile, pathlib
    >>> from rawsio.http import Headers, Request
    >>> with tempfile.TemporaryDirectory() as name:
    ...     _ = pathlib.Path(name, "a b.html").write_text("<p>Hi</p>")
    ...     serve = folder(name)
    ...     serve(Request("GET", "/a%20b.html", Headers()))[:2]
    ...     serve(Request("GET", "/a%20b.html", Headers([("Range", "bytes=3-4")])))[:2]
    ...     serve(Request("GET", "/../etc/passwd", Headers()))
    (200, b'<p>Hi</p>')
    (206, b'Hi')
    (404, b'not found')
    """
    if isinstance(path, type) or not (isinstance(path, str) or hasattr(path, "__fspath__")):
        raise TypeError(f"folder: the path of a folder is expected, not {path!r}")
    if not isinstance(index, str):
        raise TypeError(f"folder: index is the name of a file, not {index!r}")
    if not index or index[:1] == "." or any(mark in index for mark in "/\\\0"):
        raise ValueError(f"folder: index is the name of a file in the folder, not {index!r}")
    if not isinstance(largest, (int, float)) or isinstance(largest, bool) or not largest >= 0:
        raise TypeError(f"folder: largest is a number of bytes, not {largest!r}")
    root = existing(path, "folder")
    if not root.is_dir():
        raise NotADirectoryError(
            f"folder: {str(path)!r} is a file: files({{'/': {str(path)!r}}}) serves it"
        )
    shelf = _Shelf(min(largest, _KEPT))

    def serve(request: Request) -> Any:
        if request.method not in ("GET", "HEAD"):
            return 405, b"", [("Allow", "GET, HEAD")]
        names = _names(request.path)
        if names is None:
            return _NOT_FOUND
        try:
            return _find(root, names, request, index, largest, shelf)
        except (
            OSError,
            RuntimeError,
            ValueError,
        ):  # it vanished, is not ours to read, or leads to itself
            return _NOT_FOUND

    return serve


def existing(path: Any, whose: str) -> Path:
    """Return where a path leads, past all links; what cannot be reached is told in words.

    >>> existing("no such", "folder")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FileNotFoundError: folder: there is no 'no such' (from '...')
    """
    from pathlib import Path

    if path == "":
        raise ValueError(f"{whose}: a path is expected, not '': the present folder is '.'")
    try:
        return Path(path).resolve(strict=True)
    except FileNotFoundError:
        where = f"{str(path)!r} (from {str(Path.cwd())!r})"
        raise FileNotFoundError(f"{whose}: there is no {where}") from None
    except OSError as error:
        message = f"{whose}: {str(path)[:200]!r}: {error.strerror}"
        raise OSError(error.errno, message) from None
    except TypeError:  # a PathLike of bytes
        raise TypeError(f"{whose}: a str or a Path is expected, not {path!r}") from None
    except (RuntimeError, ValueError) as error:  # a link to itself, NUL, lone surrogates
        raise ValueError(f"{whose}: {str(path)[:200]!r} is no path: {error}") from None


def _names(path: str) -> list[str] | None:
    """Return the names in a path, or ``None`` if one of them may not be asked for."""
    if "%" in path:
        slashes = path.count("/")
        try:
            path = unescaped(path).encode("latin-1").decode("utf-8")
        except UnicodeDecodeError:
            return None
        if path.count("/") != slashes:
            return None
    if not _PUBLIC.fullmatch(path):
        return None
    return [name for name in path.split("/") if name]


# Slash and name in turn, and perhaps a slash at the end.
_PUBLIC = Pattern(r"(?:/[^/.\\:\0][^/\\:\0]*)*/?")


def _find(
    root: Path, names: list[str], request: Request, index: str, largest: int, shelf: _Shelf
) -> Any:
    file, found, linked = located(str(root), names)
    slash = request.path.endswith("/")
    if S_ISDIR(found.st_mode) and slash:
        file, found, again = located(file, [index])
        linked = linked or again
    elif slash:
        return _NOT_FOUND
    if linked and not root.joinpath(file).is_relative_to(root):
        return _NOT_FOUND
    if S_ISDIR(found.st_mode) and not slash:
        # Relative links in the index would lead elsewhere without the slash.
        query = request.query_string
        return 301, b"", [("Location", f"{request.path}/{'?' if query else ''}{query}")]
    if not S_ISREG(found.st_mode):
        return _NOT_FOUND
    if found.st_size > largest:
        return 403, f"the file has more than {largest} bytes"
    # Its time of change tells what its time of modification, which anybody may set, does not.
    tag = f'"{found.st_mtime_ns:x}-{found.st_ctime_ns:x}-{found.st_size:x}"'
    if wall() - max(found.st_mtime, found.st_ctime) < _SETTLED:
        tag = "W/" + tag  # it may be written again before the clock that marks it ticks
    return _answer(file, found.st_size, tag, request, shelf)


def _answer(file: str, size: int, tag: str, request: Request, shelf: _Shelf) -> Any:
    status = precondition(tag, request)
    wanted = None if status is not None else _wanted(request, tag, size)
    if status is None and wanted is None and request.method == "HEAD":
        return 200, b"", shelf.head(file, tag, size)
    if status is None and wanted is None and size <= _SHORT:
        return 200, *shelf.read(file, tag)
    given = _fields(file, tag)
    if status is not None:
        return status, b"", given
    status, start, end = 200, 0, size
    if wanted is not None:
        if not wanted:
            return 416, b"", [("Content-Range", f"bytes */{size}")]
        status, (start, end) = 206, wanted
        given.append(("Content-Range", f"bytes {start}-{end - 1}/{size}"))
    if size > _SHORT:
        return status, _Pieces(file, start, end), given
    return status, shelf.read(file, tag)[0][start:end], given


def _fields(file: str, tag: str) -> list[tuple[str, str]]:
    return [
        ("Content-Type", _kind(file)),
        ("Cache-Control", "no-cache"),
        ("Accept-Ranges", "bytes"),
        ("ETag", tag),
    ]


# Ranges (RFC 9110 section 14)


def _wanted(request: Request, tag: str, size: int) -> tuple[int, int] | tuple[()] | None:
    """Return where the range begins and ends that is asked for: ``()`` if there is no such, and
    ``None`` if the whole is to be sent.

    Several ranges that are one when they are put together are one; of others the whole is sent,
    as a server may (section 14.2): they would need a form of their own, and cost more than it.
    """
    field = request.headers.get("range")
    if field is None or request.method != "GET" or not _RANGES.fullmatch(field):
        return None
    condition = request.headers.get("if-range")
    # Compared strongly; a weak tag, or a date, which we do not give, says that it may be another.
    if condition is not None and condition != tag:
        return None
    ranges = []
    for first, last in _RANGE.findall(field):
        if first and last and _number(last) < _number(first):
            return None
        start = _number(first) if first else size - min(size, _number(last))
        end = min(size, _number(last) + 1) if first and last else size
        if start < end:
            ranges.append((start, end))
    if not ranges:
        return ()
    ranges.sort()
    start, end = ranges[0]
    for begin, stop in ranges:
        if begin > end:
            return None
        end = max(end, stop)
    return start, end


# Empty members of a list are legal everywhere (section 5.6.1.2).
_RANGES = Pattern(r"[Bb][Yy][Tt][Ee][Ss]=(?:[ \t,]*(?:[0-9]+-[0-9]*|-[0-9]+)[ \t]*(?=,|$))+[ \t,]*")
_RANGE = Pattern("([0-9]*)-([0-9]*)")


def _number(digits: str) -> int:
    # No file is longer than 10**18 bytes, and Python converts only so many digits.
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) < 19 else 10**18


# Contents


class _Shelf:
    """The short files that were asked for last, together no more than ``most`` bytes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._files: dict[str, _Copy] = {}
        self._size = 0
        self._heads: dict[str, tuple[str, WholeHead]] = {}

    def read(self, file: str, tag: str) -> tuple[bytes, WholeHead]:
        """Return the content of a file, and the fields of an answer that is the whole of it.

        Both are those that others have, if the file is still the same.
        """
        before = self._files.pop(file, None)
        if before is not None:
            self._size -= len(before.data)
        now = wall()
        if before is not None and before.serves(tag, now):
            copy = before
        else:
            copy = _Copy(file, tag, now, before)
        self._files[file] = copy
        self._size += len(copy.data)
        while self._size > self.most:
            self._size -= len(self._files.pop(next(iter(self._files))).data)
        return copy.data, copy.fields

    def head(self, file: str, tag: str, size: int) -> WholeHead:
        """Return the fields of an answer that is the whole file, which is not read for that."""
        known = self._heads.get(file)
        if known is None or known[0] != tag:
            fields = WholeHead([*_fields(file, tag), ("Content-Length", str(size))])
            known = tag, fields
            if len(self._heads) >= _HEADS:
                self._heads.clear()
            self._heads[file] = known
        return known[1]


class _Copy:
    """What a short file was when it was read."""

    __slots__ = ("tag", "data", "fields", "_read")

    def __init__(self, file: str, tag: str, now: float, before: _Copy | None) -> None:
        data = _content(file)
        self.tag = tag
        self.data: bytes = before.data if before is not None and before.data == data else data
        self.fields = WholeHead([*_fields(file, tag), ("Content-Length", str(len(data)))])
        self._read = now

    def serves(self, tag: str, now: float) -> bool:
        """Return whether the file is still that: a weak tag says so for a moment only."""
        return tag == self.tag and (tag[:2] != "W/" or 0.0 <= now - self._read < _MOMENT)


def _content(file: str) -> bytes:
    with open(file, "rb") as opened:
        return opened.read()


class _Pieces:
    """A part of a file, read piece by piece; the file is opened when the first is asked for.

    ``length`` is that of the part.
    """

    def __init__(self, path: str, start: int, end: int) -> None:
        self.length = end - start
        self._path = path
        self._at = start
        self._end = end
        self._file: Any = None

    def __iter__(self) -> _Pieces:
        return self

    def __next__(self) -> bytes:
        if self._at >= self._end:
            self.close()
            raise StopIteration
        if self._file is None:
            self._file = open(self._path, "rb")  # noqa: SIM115
            self._file.seek(self._at)
        data: bytes = self._file.read(min(_PIECE, self._end - self._at))
        if not data:
            raise OSError("a file became shorter while it was sent")
        self._at += len(data)
        return data

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()


def _kind(name: str) -> str:
    _, dot, ending = name.rpartition(".")
    return _KINDS.get(ending.lower() if dot else "", "application/octet-stream")


_KINDS = {
    **dict.fromkeys(("html", "htm"), "text/html; charset=utf-8"),
    **dict.fromkeys(("js", "mjs", "cjs"), "text/javascript; charset=utf-8"),
    **dict.fromkeys(("txt", "log", "text"), "text/plain; charset=utf-8"),
    **dict.fromkeys(("md", "markdown"), "text/markdown; charset=utf-8"),
    **dict.fromkeys(("jpg", "jpeg"), "image/jpeg"),
    **dict.fromkeys(("tif", "tiff"), "image/tiff"),
    **dict.fromkeys(("oga", "ogg", "opus"), "audio/ogg"),
    **dict.fromkeys(("m4a", "aac"), "audio/mp4"),
    **dict.fromkeys(("mp4", "m4v"), "video/mp4"),
    **dict.fromkeys(("mpeg", "mpg"), "video/mpeg"),
    "css": "text/css; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "ics": "text/calendar; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "json": "application/json; charset=utf-8",
    "map": "application/json; charset=utf-8",
    "jsonld": "application/ld+json; charset=utf-8",
    "webmanifest": "application/manifest+json; charset=utf-8",
    "xml": "application/xml",
    "xhtml": "application/xhtml+xml",
    "atom": "application/atom+xml",
    "rss": "application/rss+xml",
    "wasm": "application/wasm",
    "pdf": "application/pdf",
    "zip": "application/zip",
    "rtf": "application/rtf",
    "epub": "application/epub+zip",
    "png": "image/png",
    "gif": "image/gif",
    "svg": "image/svg+xml",
    "webp": "image/webp",
    "avif": "image/avif",
    "apng": "image/apng",
    "bmp": "image/bmp",
    "ico": "image/vnd.microsoft.icon",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "weba": "audio/webm",
    "webm": "video/webm",
    "ogv": "video/ogg",
    "mov": "video/quicktime",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "ttf": "font/ttf",
    "otf": "font/otf",
}
"""The types of what the web is made of, by the ending of the name.

The table of the system, which :mod:`mimetypes` reads, is another one on every machine.
"""
