"""``rawsio trace --to URL``: a proxy in front of a server, which shows what passes.

::

    rawsio trace --to http://localhost:3000 --pcapng talk.pcapng
    rawsio trace --to https://chat.example --delay 200ms±50 --rate 64k

The first line is the URL to connect to.  Every message is a line then, through its layers; on a
terminal keys choose (``?`` lists them).  ``--pcapng``, ``--har`` and ``--jsonl`` record; SIGINT and
SIGTERM end it and complete the files.  Bytes pass exactly as they came, also those of a bad
network (``--delay`` and those after it), which is the same again for the same ``--seed``.
"""

from __future__ import annotations

import sys
from random import Random
from time import time

from rawsio.explain.conversation import Item
from rawsio.net.connecting import default_tls
from rawsio.net.loop import Loop
from rawsio.net.signals import Signals
from rawsio.tracing.badness import (
    Badness,
    parse_chance,
    parse_delay,
    parse_seconds,
    parse_size,
)
from rawsio.tracing.page import Page
from rawsio.tracing.proxy import Proxy, Upstream
from rawsio.tracing.recorder import Recorder

from . import Stop
from .captures import message_line
from .output import add_output, colours, line_width, print_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    import ssl
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = ["Screen", "add_arguments", "badness_of", "run", "upstream_of"]

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_LAYERS = ("", "HTTP", "WebSocket", "Engine.IO", "Socket.IO")
_KEYS = (
    "p pause, h heartbeats, 0 all layers, 1 HTTP, 2 WebSocket, 3 Engine.IO, 4 Socket.IO, "
    "o open the last message, q quit"
)
_HEARTBEATS = ("ping: are you there?", "pong: yes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where to, what is recorded, and how bad the network is."""
    parser.add_argument(
        "--to", required=True, metavar="URL", help="the server: http:// or https://"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--listen", type=int, default=0, metavar="PORT", help="port to listen on (any that is free)"
    )
    parser.add_argument("--cert", metavar="FILE", help="serve clients with TLS: the certificate")
    parser.add_argument("--key", metavar="FILE", help="and its key, if that is another file")
    parser.add_argument(
        "--insecure", action="store_true", help="do not verify the server's certificate"
    )
    parser.add_argument(
        "--page", type=int, default=0, metavar="PORT",
        help="port of the page that shows it all (any that is free)",
    )  # fmt: skip
    parser.add_argument("--no-page", action="store_true", help="show it in the terminal only")
    add_output(parser)
    recording = parser.add_argument_group("recording")
    recording.add_argument("--pcapng", metavar="FILE", help="for Wireshark; - is standard output")
    recording.add_argument("--har", metavar="FILE", help="for the tools of browsers")
    recording.add_argument("--jsonl", metavar="FILE", help="a JSON object a message")
    recording.add_argument(
        "--with-secrets", action="store_true",
        help="keep credentials and session ids, and the frames of the pcapng as they are",
    )  # fmt: skip
    recording.add_argument(
        "--most", default="1000M", metavar="SIZE", help="size at which a file is full (%(default)s)"
    )
    bad = parser.add_argument_group("a bad network (UP,DOWN for each direction)")
    bad.add_argument("--delay", metavar="200ms±50", help="bytes are late, by so much, give or take")
    bad.add_argument("--rate", metavar="64k", help="bytes a second")
    bad.add_argument("--split", metavar="1", help="most bytes in one write")
    bad.add_argument("--cut", metavar="10kB", help="close each connection after so many bytes")
    bad.add_argument("--reset", metavar="1%", help="the chance that a connection is reset at once")
    bad.add_argument("--stall", metavar="5s", help="nothing passes for so long, once, at random")
    bad.add_argument("--seed", type=int, default=0, help="what chance begins with (%(default)s)")


def upstream_of(url: str, *, insecure: bool = False) -> Upstream:
    """Return the server that a URL names.

    >>> upstream_of("http://localhost:3000/chat")
    Upstream(host='localhost', port=3000, tls=None)
    """
    from urllib.parse import urlsplit

    parts = urlsplit(url if "//" in url else f"http://{url}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in _PORTS or not parts.hostname or port == -1:
        raise Stop(f"--to is a URL like http://localhost:3000, not {url!r}", 2)
    tls = None
    if parts.scheme in ("https", "wss"):
        from ssl import CERT_NONE

        tls = default_tls()
        if insecure:
            tls.check_hostname = False
            tls.verify_mode = CERT_NONE
    return Upstream(parts.hostname, port or _PORTS[parts.scheme], tls)


def _pair(text: str | None, parse: Callable[[str], T], nothing: T) -> tuple[T, T]:
    """Return what is meant for each direction: one value, or two with a comma."""
    if text is None:
        return nothing, nothing
    parts = text.split(",")
    if len(parts) > 2:
        raise ValueError(f"one value, or two for up and down, not {text!r}")
    values = [parse(part) for part in parts]
    return values[0], values[-1]


def badness_of(options: argparse.Namespace) -> Badness:
    """Return how bad the network is to be."""
    try:
        up, down = _pair(options.delay, parse_delay, (0.0, 0.0))
        rates = _pair(options.rate, parse_size, 0)
        return Badness(
            delay=(up[0], down[0]),
            jitter=(up[1], down[1]),
            rate=(float(rates[0]), float(rates[1])),
            split=_pair(options.split, parse_size, 0),
            cut=parse_size(options.cut) if options.cut else 0,
            reset=parse_chance(options.reset) if options.reset else 0.0,
            stall=parse_seconds(options.stall) if options.stall else 0.0,
            seed=options.seed,
        )
    except ValueError as error:
        raise Stop(str(error), 2) from None


class Screen:
    """Prints messages; keys choose which."""

    def __init__(self, options: argparse.Namespace, stop: Callable[[], object]) -> None:
        self._options = options
        self._stop = stop
        # With the packets on standard output the lines go where notices go.
        self._out = sys.stderr if options.pcapng == "-" else sys.stdout
        self._width = line_width(options)
        self._colour = colours(options)
        self._paused = self._quiet = False
        self._layer = ""
        self._last: Item | None = None
        self._missed = 0

    def message(self, number: int, item: Item) -> None:
        """Show a message, unless it is filtered."""
        self._last = item
        if self._paused:
            self._missed += 1
            return
        if self._layer and self._layer not in item.layers:
            return
        if self._quiet and item.summary.endswith(_HEARTBEATS):
            return
        if self._options.json:
            print_tree(self._options, item.tree)
        else:
            self.say(message_line(number, item, self._width, colour=self._colour))

    def say(self, text: str) -> None:
        """Print a line, at once; whoever reads us may have gone."""
        try:
            print(text, file=self._out, flush=True)
        except BrokenPipeError:
            self._stop()

    def key(self, key: str) -> None:
        """Take a key."""
        if key == "q":
            self._stop()
        elif key == "p":
            self._paused = not self._paused
            missed, self._missed = self._missed, 0
            self.say("-- paused: p goes on" if self._paused else f"-- {missed} messages passed")
        elif key == "h":
            self._quiet = not self._quiet
            self.say(f"-- heartbeats are {'hidden' if self._quiet else 'shown'}")
        elif key in "01234":
            self._layer = _LAYERS[int(key)]
            self.say(f"-- {self._layer or 'all layers'}")
        elif key == "o" and self._last is not None:
            print_tree(self._options, self._last.tree)
        else:
            self.say(f"-- {_KEYS}")


def run(options: argparse.Namespace) -> int:
    """Trace until a signal."""
    badness = badness_of(options)
    upstream = upstream_of(options.to, insecure=options.insecure)
    tls = _server_tls(options)
    places, most = _recordings(options)
    page = None if options.no_page else Page()
    loop = Loop() if page is None else page.loop
    screen = Screen(options, loop.stop)
    hearers = [screen.message, *([] if page is None else [page.message])]
    recorder = Recorder(
        *hearers, *places, clock=time, secrets=options.with_secrets, most=most, say=_notice
    )
    random = Random(options.seed)  # noqa: S311 - a bad network is no secret
    proxy = Proxy(
        loop, upstream, recorder, random, badness=badness, tls=tls,
        say=_notice,
    )  # fmt: skip
    try:
        host, port = proxy.listen(options.host, options.listen)
        shown = f"[{host}]" if ":" in host else host
        scheme = "https" if tls is not None else "http"
        loop.call_soon(lambda: screen.say(f"{scheme}://{shown}:{port}"))
        if page is not None:
            where = page.io.listen(port=options.page)
            loop.call_soon(lambda: screen.say(f"see it at http://{where[0]}:{where[1]}"))
        with Signals(loop, lambda _: loop.stop()), _Keys(loop, screen):
            loop.run()
    finally:
        proxy.close()
        recorder.close()
        if page is not None:
            page.close()
        loop.close()
    return 0


def _server_tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    if options.cert is None:
        return None
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(options.cert, options.key)
    except ssl.SSLError as error:
        raise Stop(f"{options.cert}: this is no certificate with its key: {error.reason}") from None
    return context


def _notice(text: str) -> None:
    print(f"rawsio: {text}", file=sys.stderr, flush=True)


def _recordings(options: argparse.Namespace) -> tuple[list[str], int]:
    """Return the files to record to, and the size at which one is full."""
    places: list[str] = []
    for name, ending in (("pcapng", ".pcapng"), ("har", ".har"), ("jsonl", ".jsonl")):
        path = getattr(options, name)
        if path is None:
            continue
        if path != "-" and not path.endswith(ending):
            raise Stop(f"--{name} is a file that ends in {ending}, not {path!r}", 2)
        places.append(path)
    try:
        return places, parse_size(options.most)
    except ValueError as error:
        raise Stop(str(error), 2) from None


class _Keys:
    """Reads keys while both ends are a terminal."""

    def __init__(self, loop: Loop, screen: Screen) -> None:
        self._loop = loop
        self._screen = screen
        self._before: list[Any] | None = None

    def __enter__(self) -> None:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            return
        try:
            import termios
            import tty
        except ImportError:  # not on this system
            return
        self._before = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)
        self._loop.add_reader(sys.stdin.fileno(), self._read)

    def _read(self) -> None:
        import os

        for key in os.read(sys.stdin.fileno(), 100).decode("ascii", "replace"):
            self._screen.key(key)

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            import termios

            self._loop.remove_reader(sys.stdin.fileno())
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)
