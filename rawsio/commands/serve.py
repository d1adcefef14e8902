"""``rawsio serve``: the chat and, beside it, a live view of the layers of each of its messages.

The command is a few lines over the public interface, so it doubles as an example of a server.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "port", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where to listen."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=port, default=3000, help="port to listen on (%(default)s)")


def port(text: str) -> int:
    """Return a port, or say what one is.

    >>> port("3000")
    3000
    """
    if not 0 < len(text) < 6 or text.strip("0123456789") or int(text) > 65535:
        from argparse import ArgumentTypeError

        raise ArgumentTypeError(f"a port is a number from 0 (any that is free) to 65535: {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Serve until a signal."""
    from rawsio.demo import make_server

    server = make_server()
    try:
        address = server.listen(options.host, options.port)
    except OSError:
        server.close()
        while not server.closed:
            server.step(0.0)
        raise
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    line = f"rawsio chat: http://{shown}:{address[1]}  (Ctrl-C to stop)"
    # In the first turn: whoever reads the line may send a signal, and run() takes care of those.
    server.host.call_later(0.0, lambda: print(line, flush=True))
    server.run()
    return 0
