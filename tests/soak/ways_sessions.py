"""Ways for a session of Engine.IO to end: polls, posts, upgrades, heartbeats."""

from __future__ import annotations

from rawsio.websocket.frames import CLOSE

from .ways import SILENCE, Way, opened, polling, probing, way
from .wire import Client, frame, request, upgrade

__all__: list[str] = []


@way
def polling_silence(c: Client) -> Way:
    yield from polling(c)
    yield SILENCE


@way
def poll_aborted(c: Client) -> Way:
    query = yield from polling(c)
    c.say(request(query))  # takes the open packets
    yield
    c.say(request(query))
    yield
    c.close()


@way
def poll_reset(c: Client) -> Way:
    query = yield from polling(c)
    c.say(request(query), request(query))
    yield
    c.reset()


@way
def poll_half_closed(c: Client) -> Way:
    query = yield from polling(c)
    c.say(request(query), request(query))
    yield
    c.half_close()
    yield


@way
def post_aborted(c: Client) -> Way:
    query = yield from polling(c)
    c.say(request(query, "POST", b"4" * 100)[:-50])
    yield
    c.close()


@way
def post_reset(c: Client) -> Way:
    query = yield from polling(c)
    c.say(request(query, "POST", b"4" * 100)[:-50])
    yield
    c.reset()


@way
def post_for_ever(c: Client) -> Way:
    query = yield from polling(c)
    c.say(request(query, "POST", b"4" * 100)[:-50])
    yield SILENCE


@way
def post_too_long(c: Client) -> Way:
    query = yield from polling(c)
    c.say(request(query, "POST").replace(b"Length: 0", b"Length: 9999999"), b"4" * 1000)
    yield


@way
def polls_overlap(c: Client) -> Way:
    query = yield from polling(c)
    c.say(request(query))
    yield
    c.say(request(query))
    second = Client(c.address)
    second.say(request(query))
    yield
    second.close()


@way
def engine_close_in_a_post(c: Client) -> Way:
    query = yield from polling(c)
    c.say(request(query, "POST", b"1"))
    yield


@way
def engine_close(c: Client) -> Way:
    yield from opened(c, frame("1"))


@way
def parse_error_in_a_post(c: Client) -> Way:
    query = yield from polling(c)
    c.say(request(query, "POST", b"\xff\x00"))
    yield


@way
def probe_closed(c: Client) -> Way:
    candidate = yield from probing(c, "2probe")
    candidate.close()
    yield


@way
def probe_reset_with_its_session(c: Client) -> Way:
    candidate = yield from probing(c, "2probe")
    candidate.reset()
    c.reset()
    yield


@way
def probe_never_upgraded(c: Client) -> Way:
    candidate = yield from probing(c, "2probe")
    yield SILENCE
    candidate.close()


@way
def probe_silent(c: Client) -> Way:
    candidate = yield from probing(c)
    yield SILENCE
    candidate.close()


@way
def probe_wrong(c: Client) -> Way:
    candidate = yield from probing(c, "42[]")
    yield
    candidate.close()


@way
def upgraded_then_closed(c: Client) -> Way:
    candidate = yield from probing(c, "2probe", "5")
    c.close()
    yield
    candidate.say(frame(b"", CLOSE))
    yield
    candidate.close()


@way
def upgraded_then_polled(c: Client) -> Way:
    query = yield from polling(c)
    candidate = Client(c.address)
    candidate.say(upgrade(query.replace("polling", "websocket")), frame("2probe"), frame("5"))
    yield
    c.say(request(query))
    yield
    candidate.reset()


@way
def ping_timeout(c: Client) -> Way:
    yield from opened(c)
    yield SILENCE


@way
def engine_parse_error(c: Client) -> Way:
    yield from opened(c, frame("9"))


@way
def old_client(c: Client) -> Way:
    c.say(upgrade("transport=websocket", protocol=3), frame('42["settle"]'))
    yield
    c.reset()


@way
def old_client_without_pings(c: Client) -> Way:
    c.say(upgrade("transport=websocket", protocol=3))
    yield SILENCE


@way
def old_client_that_polls(c: Client) -> Way:
    c.say(request("transport=polling&j=1", protocol=3))
    yield
    c.close()
