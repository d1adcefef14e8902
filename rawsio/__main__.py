"""The command line: ``python3 -m rawsio serve``.

With nothing installed it opens a chat and, beside it, a live view of the layers that each of its
messages goes through.  The one idea of this module: every command is a few lines over the public
interface, so that it doubles as an example.
"""

from __future__ import annotations

import argparse
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="rawsio", description="Socket.IO in pure Python.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve the chat and the view of the layers")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    serve.add_argument("--port", type=int, default=3000, help="port to listen on (%(default)s)")
    options = parser.parse_args(arguments)
    return _serve(options.host, options.port)


def _serve(host: str, port: int) -> int:
    from rawsio.browser.chat import make_server

    server = make_server()
    try:
        address = server.listen(host, port)
    except OSError as error:
        server.close()
        while not server.closed:
            server.step(0.0)
        print(f"rawsio: {error.strerror}", file=sys.stderr)
        return 1
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    line = f"rawsio chat: http://{shown}:{address[1]}  (Ctrl-C to stop)"
    # In the first turn: whoever reads the line may send a signal, and run() takes care of those.
    server.host.call_later(0.0, lambda: print(line, flush=True))
    server.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
