"""Cases, verdicts and findings: the words that every part of the tester shares.

A case says what is sent, which rule it is about, and what the peer has to do.  Most cases are rows
of a table (:func:`rows`): a name, a few words, and the bytes or the function that sends them.  The
*expectation* is a short code (``REJ``, ``ECHO``, ``FAIL1002``) that names the judge, and is what
reports show beside the verdict.  A trailing ``-S`` or ``-W`` widens what is tolerated,
``-C`` tolerates a peer that closes afterwards.

Case ids are for ever: a case that goes leaves its id unused.
"""

from __future__ import annotations

from rawsio.layer import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeAlias

    from .talk import Talk

    Send: TypeAlias = "bytes | Callable[[Talk], Finding]"
    Judge: TypeAlias = "Callable[[Talk, Case], Finding]"

__all__ = [
    "OK",
    "NON_STRICT",
    "INFORMATIONAL",
    "UNIMPLEMENTED",
    "FAILED",
    "ERROR",
    "VERDICTS",
    "Case",
    "Finding",
    "NotOffered",
    "failed",
    "fine",
    "in_words",
    "lax",
    "noted",
    "prefix_of",
    "rows",
]

OK = "OK"
"""The rule is kept."""
NON_STRICT = "NON-STRICT"
"""Allowed, but not what a SHOULD or the canonical form says."""
INFORMATIONAL = "INFORMATIONAL"
"""There is no rule; what was found is recorded."""
UNIMPLEMENTED = "UNIMPLEMENTED"
"""The peer does not offer the feature, or the run has no contract for it."""
FAILED = "FAILED"
"""A MUST is broken, or the peer crashed, hung or lost count of its messages."""
ERROR = "ERROR"
"""The tester could not judge."""

VERDICTS = (OK, NON_STRICT, INFORMATIONAL, UNIMPLEMENTED, FAILED, ERROR)


@record
class Finding:
    """What a judge says: the verdict, what was seen, a remark, how the connection ended."""

    verdict: str
    got: str = ""
    note: str = ""


class NotOffered(Exception):
    """Raised where a case needs what the target does not offer: its verdict is UNIMPLEMENTED."""


@record
class Case:
    """One case.

    ``send`` is the bytes that make the case, or a function that does all of it.  ``marks`` are
    words for the runner: ``slow`` (waits for time to pass), ``serial`` (beside no other case),
    ``limit`` (loads the peer), ``whole`` (not to be cut into segments).
    """

    id: str
    rule: str
    level: str
    expect: str
    text: str
    send: Send
    judge: Judge
    marks: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """The first two words of the id: ``http.line``."""
        return prefix_of(self.id)[0]

    @property
    def data(self) -> bytes:
        """The bytes of the case; ``TypeError`` if it is a function."""
        if not isinstance(self.send, bytes):
            raise TypeError(f"{self.id}: bytes are expected")
        return self.send

    def perform(self, talk: Talk) -> Finding:
        """Let the function of the case do everything; ``TypeError`` if it has none."""
        if not callable(self.send):
            raise TypeError(f"{self.id}: a function is expected")
        return self.send(talk)

    @property
    def layer(self) -> str:
        """The first word of the id: ``http``, ``ws``, ``eio``, ``sio`` or ``client``."""
        return self.id.partition(".")[0]


def prefix_of(case_id: str) -> tuple[str, str]:
    """Return the prefix of an id and the rest.

    >>> prefix_of("http.version.2.0")
    ('http.version', '2.0')
    """
    layer, family, rest = case_id.split(".", 2)
    return f"{layer}.{family}", rest


_LEVELS = {"EITHER": "MAY", "INFO": "MAY", "LIM": "SHOULD", "TIME": "SHOULD"}


def rows(
    prefix: str,
    rule: str,
    expect: str,
    judges: dict[str, Judge],
    table: Iterable[tuple[Any, ...]],
    *marks: str,
) -> list[Case]:
    """Return the cases of a table of ``(name, text, send)``; a fourth column adds marks.

    The judge is the one of the expectation, without ``-S`` and its kin.  The level is MUST; SHOULD
    where the lenient way is tolerated or time or size is measured, MAY where nothing is asked.
    """
    base = expect.partition("-")[0]
    level = _LEVELS.get(base, "SHOULD" if expect.endswith("-S") else "MUST")
    judge = judges.get(expect) or judges[base]
    return [
        Case(f"{prefix}.{name}", rule, level, expect, text, send, judge, (*marks, *more))
        for name, text, send, *more in table
    ]


_WORDS = {
    "ACC": "the answer that a faultless request gets, and the next request served",
    "REJ": "a refusal with 400, then the end of the connection",
    "M501": "501 or 405",
    "EITHER": "any answer or end, but no crash",
    "INC": "an error or an end, not a good answer to half a body",
    "NOMERGE": "the trailer ignored or refused",
    "ONE": "exactly one answer, then the end of the connection",
    "TWO": "an answer to each request, in order",
    "EXP": "what the case says, step by step",
    "SHAPE": "every answer of the run to keep the rule",
    "LIM": "a limit below the cap, with its own status or code",
    "TIME": "an end by the peer, within bounded time",
    "INFO": "anything; it is recorded",
    "SW": "a right 101",
    "NOPROTO": "a right 101, with nothing that was not offered",
    "HREJ": "a refusal without a 101",
    "ORIGIN": "foreign origins refused with 403, its own accepted",
    "DNEG": "an answer that fits the offer, and is obeyed",
    "DDECL": "a 101 without the extension",
    "ECHO": "the same messages back",
    "FAIL": "a close frame with this code, and the end",
    "FAST": "a close frame before the message ends",
    "CLOSE": "a close frame with the same code, and the end",
    "PONG": "a pong with the data of each ping",
    "SILENT": "no answer, and the connection goes on",
    "EOPEN": "a session with a faultless open packet",
    "E4": "a refusal with this status",
    "EOK": "200 and ok, and the messages back",
    "EBAD": "400, and the end of the session",
    "EEND": "the end of the session",
    "EBEAT": "heartbeats as the handshake announced them",
    "EUP": "an upgrade that loses nothing",
    "EPROBE": "the candidate closed, the session polling on",
    "SCON": "the answer to CONNECT that the case names",
    "SBAD": "the connection closed, nothing delivered",
    "SECHO": "the same events back",
    "SACK": "the acknowledgement with its id",
    "SDIS": "a DISCONNECT as asked for, and nothing behind it",
    "SROOM": "the event for each member, once and in order",
    "SREC": "the session and what it missed, once",
    "SV2": "what revision 4 of the protocol says",
    "CPASS": "the client to go on as described",
    "CFAIL": "the client to end it and tell its user",
}


def in_words(expect: str) -> str:
    """Return what a code of expectation asks for, with the code.

    >>> in_words("REJ-S")
    'a refusal with 400, then the end of the connection (REJ-S)'
    >>> in_words("STEP")
    'STEP'
    """
    words = next((text for code, text in _WORDS.items() if expect.startswith(code)), "")
    return f"{words} ({expect})" if words else expect


def fine(got: str = "", note: str = "") -> Finding:
    """Return an OK."""
    return Finding(OK, got, note)


def lax(got: str, note: str = "") -> Finding:
    """Return a NON-STRICT."""
    return Finding(NON_STRICT, got, note)


def failed(got: str, note: str = "") -> Finding:
    """Return a FAILED."""
    return Finding(FAILED, got, note)


def noted(got: str, note: str = "") -> Finding:
    """Return an INFORMATIONAL."""
    return Finding(INFORMATIONAL, got, note)
