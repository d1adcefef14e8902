"""Ways for a client of Socket.IO to end: refused, disconnected, wrong, or too much."""

from __future__ import annotations

from rawsio.websocket.frames import BINARY

from .ways import SILENCE, Way, opened, way
from .wire import Client, frame, upgrade

__all__: list[str] = []


@way
def no_connect(c: Client) -> Way:
    c.say(upgrade())
    yield SILENCE


@way
def server_disconnects(c: Client) -> Way:
    yield from opened(c, frame('42["go"]'))


@way
def server_leaves_the_namespace(c: Client) -> Way:
    yield from opened(c, frame('42["leave"]'))
    yield
    c.close()


@way
def client_leaves_the_namespace(c: Client) -> Way:
    yield from opened(c, frame("41"))
    yield SILENCE


@way
def refused_by_middleware(c: Client) -> Way:
    c.say(upgrade(), frame("40/refused,"))
    yield SILENCE


@way
def child_namespace(c: Client) -> Way:
    c.say(upgrade(), frame(f"40/child-{c.sock.fileno()},"))
    yield
    c.close()


@way
def unknown_namespace(c: Client) -> Way:
    c.say(upgrade(), frame("40/nobody,"))
    yield
    c.reset()


@way
def rooms_and_replies(c: Client) -> Way:
    yield from opened(c, frame('42["settle"]'))
    yield
    c.reset()


@way
def attachments_missing(c: Client) -> Way:
    yield from opened(c, frame('453-["up",{"_placeholder":true,"num":0}]'), frame(b"one", BINARY))
    yield
    c.close()


@way
def attachments_never_come(c: Client) -> Way:
    yield from opened(c, frame('451-["up",{"_placeholder":true,"num":0}]'))
    yield SILENCE


@way
def parse_error(c: Client) -> Way:
    yield from opened(c, frame("42[NaN]"))


@way
def handler_fails(c: Client) -> Way:
    yield from opened(c, frame('42["fail"]'))
    yield
    c.close()


@way
def takes_nothing(c: Client) -> Way:
    yield from opened(c, frame('42["flood"]'))
