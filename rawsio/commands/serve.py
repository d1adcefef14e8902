"""``rawsio serve``: your server, by one process or several; or the chat and a view of its layers.

``rawsio serve MODULE:NAME`` imports a module of the working directory and serves the
:class:`rawsio.Server` of that name, or the one that a function of that name returns.  With
``--workers N`` each worker imports it anew, so SIGHUP also brings new code into service.

Without a name it is the chat, and beside it a live view of the layers of each of its messages.
"""

from __future__ import annotations

import sys
from importlib import import_module
from os import getcwd

from rawsio.commands import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from rawsio import Server

__all__ = ["add_arguments", "load_server", "port", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to serve, where, and by how many processes."""
    parser.add_argument(
        "server", nargs="?", metavar="MODULE:NAME", help="a Server, or a function that makes one"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=port, default=3000, help="port to listen on (%(default)s)")
    parser.add_argument("--workers", type=int, metavar="N", help="serve by N processes (Linux)")


def port(text: str) -> int:
    """Return a port, or say what one is.

    >>> port("3000")
    3000
    """
    if not 0 < len(text) < 6 or text.strip("0123456789") or int(text) > 65535:
        from argparse import ArgumentTypeError

        raise ArgumentTypeError(f"a port is a number from 0 (any that is free) to 65535: {text!r}")
    return int(text)


def load_server(text: str) -> Server:
    """Return the server that ``MODULE:NAME`` names; raises ``Stop`` if there is none."""
    from rawsio import Server
    from rawsio.server.server import IMPORTED, RunByImportError

    module_name, _, name = text.partition(":")
    if not module_name or not name:
        raise Stop(f"MODULE:NAME is expected, as in chat:io, not {text!r}")
    if getcwd() not in sys.path:
        sys.path.insert(0, getcwd())
    IMPORTED.append(module_name)
    try:
        module = import_module(module_name)
    except RunByImportError as error:
        raise Stop(str(error)) from None
    except ModuleNotFoundError as error:
        if error.name not in (module_name, module_name.partition(".")[0]):
            raise
        raise Stop(f"there is no module {module_name!r} in {getcwd()}") from None
    finally:
        IMPORTED.pop()
    found = getattr(module, name, None)
    if callable(found) and not isinstance(found, Server):
        found = found()
    if not isinstance(found, Server):
        raise Stop(f"{text} is a rawsio.Server, or a function that makes one, not {found!r}")
    return found


def _load_or_exit(text: str) -> Server:
    """Return the server, or end this process, which is a worker's."""
    from rawsio.errors import RawsioError
    from rawsio.workers import check_shared

    status = 1
    try:
        server = load_server(text)
    except Stop as stopped:
        message, status = stopped.message, stopped.status
    except RawsioError as error:  # a file of the program that another worker has open, say
        message = str(error)
    else:
        try:
            check_shared(server)
        except ValueError as error:
            message = str(error)
        else:
            return server
    print(f"rawsio: {message}", file=sys.stderr)
    sys.exit(status)


def run(options: argparse.Namespace) -> int:
    """Serve until a signal."""
    if options.workers is not None:
        _run_workers(options)
        return 0
    if options.server is not None:
        server, name = load_server(options.server), f"rawsio {options.server}"
    else:
        from rawsio.demo import make_server

        server, name = make_server(), "rawsio chat"
    try:
        address = server.listen(options.host, options.port)
    except OSError:
        server.close()
        while not server.closed:
            server.step(0.0)
        raise
    # In the first turn: whoever reads the line may send a signal, and run() takes care of those.
    server.host.call_later(0.0, _show, name, address)
    if server.host.needs_asyncio:
        from rawsio.net.aio import run_coroutine

        run_coroutine(server.serve())
    else:
        server.run()
    return 0


def _show(name: str, address: tuple[str, int]) -> None:
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    print(f"{name}: http://{shown}:{address[1]}  (Ctrl-C to stop)", flush=True)


def _run_workers(options: argparse.Namespace) -> None:
    from rawsio.net.listener import listen_tcp, shown
    from rawsio.workers import Place, run_workers

    if options.server is None:
        raise Stop("--workers serves a server of yours: name it as MODULE:NAME")
    place = Place(listen_tcp(options.host, options.port))
    name, address = f"rawsio {options.server}, {options.workers} workers", shown(place.sock)
    try:
        run_workers(
            lambda: _load_or_exit(options.server),
            [place],
            options.workers,
            ready=lambda: _show(name, address),
        )
    except (RuntimeError, ValueError) as error:
        raise Stop(str(error)) from None
    finally:
        place.sock.close()
