"""HTTP answers as they came: read tolerantly, so that a judge can say what is wrong with one.

:mod:`rawsio.http` refuses what is not right; :func:`read_answers` takes apart whatever looks like
HTTP, and keeps head and fields as they stood.
"""

from __future__ import annotations

from rawsio.layer import record
from rawsio.lazy import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Answer", "Heard", "read_answers", "show"]

_DIGITS = Pattern(r"[0-9]{1,18}")
_SIZE = Pattern(rb"[0-9A-Fa-f]{1,16}")
_STATUS = Pattern(r"HTTP/([0-9])\.([0-9]) ([0-9]{3})(?: ([^\r\n]*))?")
_LONGEST_HEAD = 65536


@record
class Answer:
    """One answer; ``framing`` is ``length``, ``chunked``, ``close`` or ``none``."""

    status: int
    version: str
    fields: list[tuple[str, str]]
    body: bytes
    framing: str
    complete: bool
    method: str
    head: bytes
    line: int = 0

    def get(self, name: str) -> str | None:
        """Return the first value of a field."""
        return next((value for key, value in self.fields if key == name), None)

    def all(self, name: str) -> list[str]:
        """Return all values of a field."""
        return [value for key, value in self.fields if key == name]

    @property
    def closes(self) -> bool:
        """Whether it announces the end of the connection."""
        said = ",".join(self.all("connection")).lower()
        tokens = [token.strip(" \t") for token in said.split(",")]
        if self.version == "1.0":
            return "keep-alive" not in tokens
        return "close" in tokens or self.framing == "close"


@record
class Heard:
    """The final answers of a line so far, the interim ones, and what is wrong with them."""

    answers: list[Answer]
    interim: list[int]
    problem: str
    rest: bytes

    @property
    def complete(self) -> int:
        """How many answers are whole."""
        return sum(answer.complete for answer in self.answers)

    @property
    def statuses(self) -> list[int]:
        """The statuses of the answers."""
        return [answer.status for answer in self.answers]


def read_answers(data: bytes, ended: bool, methods: Sequence[str] = ()) -> Heard:  # noqa: FBT001
    """Take answers apart; ``methods`` are those of the requests, GET where it is too short.

    >>> read_answers(b"HTTP/1.1 204 No Content\\r\\n\\r\\nHTTP/1.1 200", False).statuses
    [204]
    """
    heard = Heard([], [], "", b"")
    at = 0
    while at < len(data):
        number = len(heard.answers)
        method = methods[number] if number < len(methods) else "GET"
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            if not b"HTTP/".startswith(data[at : at + 5]):
                heard.problem = f"this is no HTTP: {show(data[at : at + 40])}"
            elif len(data) - at > _LONGEST_HEAD:
                heard.problem = "the head of the answer has no end"
            break
        answer = _read_head(data[at : end + 4], method)
        if answer is None:
            heard.problem = f"this is no answer: {show(data[at : at + 60])}"
            break
        at = end + 4
        if 100 <= answer.status < 200 and answer.status != 101:
            heard.interim.append(answer.status)
            continue
        heard.answers.append(answer)
        at = _read_body(answer, data, at, ended)
        if answer.status == 101 or not answer.complete:
            break
    heard.rest = data[at:]
    return heard


def _read_head(head: bytes, method: str) -> Answer | None:
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    match = _STATUS.fullmatch(first)
    if match is None:
        return None
    pairs = []
    for item in lines:
        name, colon, value = item.partition(":")
        if not colon or not name or name[-1:] in " \t":
            return None
        pairs.append((name.lower(), value.strip(" \t")))
    status = int(match[3])
    made = Answer(status, f"{match[1]}.{match[2]}", pairs, b"", "none", False, method, head)
    codings = made.all("transfer-encoding")
    if method == "HEAD" or status in (204, 304) or status < 200:
        made.framing, made.complete = "none", True
    elif codings and codings[-1].lower().endswith("chunked"):
        made.framing = "chunked"
    else:
        made.framing = "length" if made.all("content-length") else "close"
    return made


def _read_body(answer: Answer, data: bytes, at: int, ended: bool) -> int:  # noqa: FBT001
    if answer.complete:
        return at
    if answer.framing == "length":
        text = answer.get("content-length") or ""
        size = int(text) if _DIGITS.fullmatch(text) else 0
        answer.body = data[at : at + size]
        answer.complete = len(answer.body) == size
        return at + len(answer.body)
    if answer.framing == "close":
        answer.body = data[at:]
        answer.complete = ended
        return len(data)
    return _read_chunks(answer, data, at)


def _read_chunks(answer: Answer, data: bytes, at: int) -> int:
    parts = []
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            break
        text = data[at:end].split(b";")[0].strip(b" \t")
        if not _SIZE.fullmatch(text):
            break
        size = int(text, 16)
        if size == 0:
            stop = end + 2
            while data.find(b"\r\n", stop) > stop:
                stop = data.find(b"\r\n", stop) + 2
            answer.complete = data.find(b"\r\n", stop) == stop
            at = stop + 2 if answer.complete else at
            break
        if len(data) < end + 4 + size:
            break
        parts.append(data[end + 2 : end + 2 + size])
        at = end + 4 + size
    answer.body = b"".join(parts)
    return at


def show(data: bytes, most: int = 60) -> str:
    """Return bytes as one short readable line.

    >>> show(b'a\\r\\n\\x00"')
    'a\\\\r\\\\n\\\\x00"'
    """
    text = repr(bytes(data[:most]))[2:-1].replace("\\'", "'")
    return text + ("..." if len(data) > most else "")
