"""Who judges what a WebSocket server does: one function for each expectation.

Behind bytes that must end the connection goes a ping: its pong shows a server that goes on,
without waiting for a silence.  Expectations with ``*`` put a good message in front, in the same
segment; its echo has to come first, however the rest ends.
"""

from __future__ import annotations

from .case import Finding, failed, fine, lax
from .ws_wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Channel,
    F,
    Frames,
    Refused,
    encode,
    open_channel,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .case import Case, Judge
    from .talk import Talk

__all__ = [
    "WS_JUDGES",
    "STILL",
    "echoes",
    "ended_with",
    "expected",
    "judge_close",
    "judge_end",
    "legal",
    "opened",
    "stepwise",
]

STILL = b"still there?"
_GOOD = b"good"
_NO_CODE = {1004, 1005, 1006, 1015}


def legal(code: int | None) -> bool:
    """Whether a server may send this close code.

    >>> legal(1002), legal(None), legal(1006), legal(4000)
    (True, True, False, True)
    """
    if code is None:
        return True
    return (1000 <= code <= 1014 and code not in _NO_CODE) or 3000 <= code <= 4999


def expected(frames: Sequence[F]) -> list[tuple[int, bytes]]:
    """Return the messages that frames make."""
    found, opcode, parts = [], TEXT, b""
    for frame in frames:
        if frame.opcode in (TEXT, BINARY):
            opcode, parts = frame.opcode, frame.payload
        elif frame.opcode == CONTINUATION:
            parts += frame.payload
        if frame.opcode < 3 and frame.fin:
            found.append((opcode, parts))
    return found


def _frames(case: Case) -> Frames:
    if not isinstance(case.send, Frames):
        raise TypeError(f"{case.id}: frames are expected")
    return case.send


def _echoed(talk: Talk, case: Case) -> Finding:
    """ECHO: the same messages come back, and nothing else."""
    channel = open_channel(talk)
    channel.need_echo()
    frames = _frames(case)
    wanted = expected(frames)
    channel.wire.send(channel.dress(frames), cut=True)
    return echoes(channel, wanted, lenient=case.expect.endswith("-L"))


def echoes(channel: Channel, wanted: list[tuple[int, bytes]], *, lenient: bool = False) -> Finding:
    """Read until the wanted messages have come; judge them."""
    seconds = max(channel.talk.patience, 10.0) if lenient else None
    while len(channel.messages()) < len(wanted):
        if channel.next(seconds) is None or channel.close_frame is not None:
            break
    got = channel.messages()
    closed = channel.close_frame
    if lenient and closed is not None and legal(closed.code) and not got:
        code = "" if closed.code == 1009 else ": 1009 is the code for this"
        return lax(channel.said(), f"too long for this server{code}")
    if got != wanted:
        pair = next(((g, w) for g, w in zip(got, wanted, strict=False) if g != w), None)
        what = f"{len(got)} of {len(wanted)} messages came back"
        if pair is not None:
            what = f"{pair[0][1][:40]!r} came back for {pair[1][1][:40]!r}"
        return failed(channel.said(), what)
    return fine(f"{len(got)} messages came back")


def ended_with(code: int) -> Callable[[Talk, Case], Finding]:
    """Return the judge of FAIL with this close code."""

    def judge(talk: Talk, case: Case) -> Finding:
        channel = open_channel(talk)
        echo = "*" in case.expect and channel.manner
        front = Frames([F(TEXT, _GOOD)]) if echo else Frames()
        data = channel.dress([*front, *_frames(case)])
        if "open" not in case.marks:
            data += encode(F(PING, STILL))
        channel.wire.send(data, cut=True, stop=channel.closed)
        before = [(TEXT, _GOOD)] if front else []
        if "more" in case.marks and channel.manner:
            before += expected(_frames(case)[:2])
        return judge_end(channel, case, code, before)

    return judge


def judge_end(channel: Channel, case: Case, code: int, before: list[tuple[int, bytes]]) -> Finding:
    """Judge a connection that has to be failed with a close code."""
    ended = channel.read_until_closed(stop=STILL)
    if channel.close_frame is None and not channel.wire.ended:
        # A server may answer pings before its application has seen the bad message.
        channel.read_until_closed(channel.talk.patience / 2)
    closed = channel.close_frame
    messages = channel.messages()
    if closed is None and not channel.wire.ended:
        if case.expect.endswith("-S") and channel.frames:
            return lax(channel.said(), "accepted")
        if case.expect.endswith("-S") and not ended:
            return lax(channel.said(), "nothing happens: it waits, or is busy")
        return failed(channel.said(), "the connection goes on" if ended else "nothing happens")
    if messages and messages != before:
        if case.expect.endswith("-S"):
            return lax(channel.said(), "accepted")
        return failed(channel.said(), "bad data came back")
    if closed is not None and not channel.wire.ended:
        channel.wire.send(encode(F(CLOSE, closed.payload[:2])))
    prompt = channel.wire.until_end(1.5)
    got = channel.said()
    if closed is None:
        return lax(got, "ended without a close frame")
    if not legal(closed.code):
        return failed(got, "this close code may not be sent")
    if messages != before:
        return lax(got, "the good message before it was not echoed")
    if closed.code != code:
        return lax(got, f"{code} is the code for this")
    return fine(got) if prompt else lax(got, "TCP was not ended within a second")


def _fast_1007(talk: Talk, case: Case) -> Finding:
    """FAST1007: closed before the message ends; the end of it is sent only if it is not."""
    channel = open_channel(talk)
    channel.wire.send(
        channel.dress(_frames(case)) + encode(F(PING, STILL)), cut=True, stop=channel.closed
    )
    channel.read_until_closed(stop=STILL)
    early = channel.close_frame is not None or bool(channel.wire.ended)
    if not early:
        channel.read_until_closed(channel.talk.patience / 8)
        early = channel.close_frame is not None or bool(channel.wire.ended)
    if not early:
        last = F(CONTINUATION, b"", bare=True)
        channel.wire.send(encode(last) + encode(F(PING, b"behind")))
        channel.read_until_closed(stop=b"behind")
        if channel.close_frame is None:
            channel.read_until_closed(channel.talk.patience / 2)
    closed = channel.close_frame
    if closed is None:
        return lax(channel.said()) if channel.wire.ended else failed(channel.said(), "accepted")
    if channel.messages():
        return failed(channel.said(), "bad data came back")
    if not early:
        return lax(channel.said(), "judged when the message ended")
    return fine(channel.said()) if closed.code == 1007 else lax(channel.said(), "1007 is the code")


def _closing(code: int | None) -> Callable[[Talk, Case], Finding]:
    """Return the judge of CLOSE: the same code comes back (or none), and the server ends TCP."""

    def judge(talk: Talk, case: Case) -> Finding:
        channel = open_channel(talk)
        frames = _frames(case)
        wanted_code = code
        if code is None:
            body = next((f.payload for f in frames if f.opcode == CLOSE), b"")
            wanted_code = int.from_bytes(body[:2], "big") if body else None
        if expected(frames[: _first_close(frames)]):
            channel.need_echo()
        channel.wire.send(channel.dress(frames), cut=True)
        before = expected(frames[: _first_close(frames)])
        return judge_close(channel, wanted_code, before, lenient=case.expect.endswith("-S"))

    return judge


def _first_close(frames: Frames) -> int:
    return next(index for index, frame in enumerate(frames) if frame.opcode == CLOSE)


def judge_close(
    channel: Channel, code: int | None, before: list[tuple[int, bytes]], *, lenient: bool = False
) -> Finding:
    """Judge the answer to a close frame of ours with this code, which a peer may not know."""
    channel.read_until_closed()
    closed = channel.close_frame
    prompt = channel.wire.until_end(2.0)
    while channel.next(0.0) is not None:
        continue
    got = channel.said()
    if closed is None:
        if lenient and channel.wire.ended:
            return lax(got, "ended without a close frame")
        return failed(got, "a close frame was not answered")
    behind = channel.frames[channel.frames.index(closed) + 1 :]
    if behind:
        return failed(got, "frames behind the close frame")
    if channel.messages() != before:
        why = f"{len(before)} messages were due before it"
        return failed(got, why) if channel.messages() else lax(got, why)
    if not legal(closed.code):
        return failed(got, "this close code may not be sent")
    if closed.code not in (code, None) and not (code is None and closed.code == 1000):
        return lax(got, f"{code} is the code for this")
    return fine(got) if prompt else lax(got, "the client had to end TCP")


def _pong(talk: Talk, case: Case) -> Finding:
    """PONG: each ping is answered with its data, in order; the latest alone is allowed."""
    channel = open_channel(talk)
    frames = _frames(case)
    if expected(frames):
        channel.need_echo()
    channel.wire.send(channel.dress([*frames, F(PING, STILL)]), cut=True)
    channel.read_until_closed(stop=STILL)
    wanted = [frame.payload for frame in frames if frame.opcode == PING]
    got = [f.payload for f in channel.frames if f.opcode == PONG and f.payload != STILL]
    if channel.close_frame is not None or channel.wire.ended:
        return failed(channel.said(), "the connection ended")
    if channel.messages() != expected(frames):
        while len(channel.messages()) < len(expected(frames)) and channel.next() is not None:
            continue
        if channel.messages() != expected(frames):
            return failed(channel.said(), "messages miss")
    if got == wanted:
        return fine(f"{len(got)} pongs")
    order = iter(wanted)
    if all(data in order for data in got):
        return lax(f"{len(got)} pongs for {len(wanted)} pings", "only some were answered")
    return failed(channel.said(), f"{wanted!r:.60} was pinged")


def _silent(talk: Talk, case: Case) -> Finding:
    """SILENT: no answer to any of it, and the connection goes on."""
    channel = open_channel(talk)
    channel.wire.send(channel.dress([*_frames(case), F(PING, STILL)]), cut=True)
    channel.read_until_closed(stop=STILL)
    pongs = [f.payload for f in channel.frames if f.opcode == PONG]
    pings = [f.payload for f in _frames(case) if f.opcode == PING]
    if pongs != [*pings, STILL] or channel.close_frame is not None:
        return failed(channel.said(), "only our ping was to be answered")
    return fine(channel.said())


def stepwise(talk: Talk, case: Case) -> Finding:
    """Let the case's own function do everything."""
    return case.perform(talk)


def opened(judge: Judge) -> Judge:
    """Return a judge that blames the peer when a session does not open."""

    def run(talk: Talk, case: Case) -> Finding:
        try:
            return judge(talk, case)
        except Refused as error:
            return failed("", str(error))

    return run


WS_JUDGES: dict[str, Judge] = {
    name: opened(judge)
    for name, judge in {
        "ECHO": _echoed,
        "FAIL1002": ended_with(1002),
        "FAIL1002*": ended_with(1002),
        "FAIL1007": ended_with(1007),
        "FAIL1009": ended_with(1009),
        "FAST1007": _fast_1007,
        "CLOSEn": _closing(None),
        "CLOSE1000": _closing(1000),
        "CLOSE": _closing(None),
        "PONG": _pong,
        "SILENT": _silent,
        "STEP": stepwise,
        "SW": stepwise,
        "NOPROTO": stepwise,
        "ORIGIN": stepwise,
        "HREJ": stepwise,
        "HREJ405": stepwise,
        "HREJ426": stepwise,
        "HREJ426V": stepwise,
        "DNEG": stepwise,
        "DDECL": stepwise,
        "LIM": stepwise,
        "TIME": stepwise,
        "SHAPE": stepwise,
    }.items()
}
