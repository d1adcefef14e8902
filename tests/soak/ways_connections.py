"""Ways for a TCP connection to end: HTTP and WebSocket, said or left unsaid."""

from __future__ import annotations

from rawsio.websocket.frames import CLOSE, CONTINUATION, PING

from .ways import SILENCE, Way, opened, way
from .wire import Client, frame, request, upgrade

__all__: list[str] = []


@way
def close_frame(c: Client) -> Way:
    yield from opened(c)
    c.say(frame(b"\x03\xe8", CLOSE))
    yield
    c.read()


@way
def close_after_close_frame(c: Client) -> Way:
    yield from opened(c, frame("", CLOSE))
    c.close()


@way
def fin(c: Client) -> Way:
    yield from opened(c)
    c.close()


@way
def reset(c: Client) -> Way:
    yield from opened(c)
    c.reset()


@way
def reset_before_the_first_turn(c: Client) -> Way:
    c.say(upgrade(), frame("40"))
    c.reset()
    yield


@way
def half_close(c: Client) -> Way:
    yield from opened(c)
    c.half_close()
    yield


@way
def nothing_said(c: Client) -> Way:
    yield
    c.close()


@way
def nothing_said_for_ever(_c: Client) -> Way:
    yield SILENCE


@way
def half_a_head(c: Client) -> Way:
    c.say(upgrade()[:60])
    yield
    c.close()


@way
def half_a_head_and_reset(c: Client) -> Way:
    c.say(upgrade()[:60])
    yield
    c.reset()


@way
def half_a_head_for_ever(c: Client) -> Way:
    c.say(upgrade()[:60])
    yield SILENCE


@way
def half_a_head_and_half_closed(c: Client) -> Way:
    c.say(upgrade()[:60])
    c.half_close()
    yield


@way
def bad_handshake(c: Client) -> Way:
    c.say(upgrade().replace(b"Version: 13", b"Version: 8"))
    yield
    c.read()


@way
def refused_handshake(c: Client) -> Way:
    c.say(request("transport=carrier-pigeon"))
    yield
    c.read()
    c.close()


@way
def kept_alive(c: Client) -> Way:
    c.say(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
    yield SILENCE


@way
def frame_error(c: Client) -> Way:
    yield from opened(c, b"\xf1\x80\0\0\0\0")
    yield


@way
def frame_error_then_reset(c: Client) -> Way:
    yield from opened(c, b"\x81\x01x")
    c.reset()


@way
def frame_too_long(c: Client) -> Way:
    yield from opened(c, b"\x81\xff\0\0\0\0\x7f\0\0\0\0\0\0\0", b"x" * 5000)
    yield


@way
def fragments_unfinished(c: Client) -> Way:
    yield from opened(c, frame("42", fin=False), frame('["x"', CONTINUATION, fin=False))
    yield
    c.close()


@way
def request_error(c: Client) -> Way:
    c.say(b"GET / HTTP/1.1\nHost: a\r\n\r\n" * 3)
    yield


@way
def too_much_after_an_error(c: Client) -> Way:
    c.say(b"BAD\r\n\r\n", b"x" * 200_000)
    yield
    c.reset()


@way
def pings(c: Client) -> Way:
    yield from opened(c, frame(b"x", PING) * 100)
    c.reset()


@way
def deflate_unfinished(c: Client) -> Way:
    offer = "Sec-WebSocket-Extensions: permessage-deflate"
    c.say(upgrade("transport=websocket", offer), frame("40"))
    yield
    c.say(frame(b"\x32\x34\x8a", fin=False, rsv1=True))
    yield
    c.close()
