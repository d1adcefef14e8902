"""``rawsio queue DB``: look into the file of durable queues, and put it right.

Without an action it lists the queues of the file.  ``list`` and ``peek`` only read, and may be
used while a server owns the file.  ``publish``, ``redrive``, ``purge`` and ``drain`` write: they
take the file's lock, or (but ``drain``) with ``--url`` ask the server that has it, where its
``allow`` lets them.  ``--json`` prints one JSON value a line.
"""

from __future__ import annotations

from rawsio.errors import escaped

from . import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from rawsio.client.queue import RemoteQueue
    from rawsio.queue.queue import Queue
    from rawsio.queue.sqlite import SQLiteStore

__all__ = ["add_arguments", "arrange", "run"]

_ACTIONS = {
    "list": "the queues of the file, and how many messages are in each state",
    "peek": "messages of a queue, oldest first; they stay where they are",
    "publish": "one message: BODY is JSON",
    "redrive": "give the oldest dead letters new deliveries",
    "purge": "delete what nobody holds, but dead letters; with --state only those",
    "drain": "print the messages that are ready, and delete them",
}
"""Action -> what it does."""
_STATES = ("ready", "delayed", "blocked", "leased", "dead")
_OPTIONS = ("key", "delay", "priority", "group", "expires")
_FLAGS = ("--json", "-h", "--help")
"""Options that have no value."""
_WAIT = 10.0
"""Seconds that a server may take to answer."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file, the action, and what actions need."""
    parser.add_argument("database", metavar="DB", help="the file")
    does = "; ".join(f"{action}: {text}" for action, text in _ACTIONS.items())
    parser.add_argument("action", nargs="?", choices=_ACTIONS, default="list", help=does)
    parser.add_argument("queue", nargs="?", help="the name of a queue")
    parser.add_argument("body", nargs="?", help="publish: the body, as JSON")
    parser.add_argument("--json", action="store_true", help="one JSON value a line")
    parser.add_argument("--url", help="ask the server there: http://host:port/namespace")
    parser.add_argument("--state", choices=_STATES, help="peek, purge: only messages in this state")
    parser.add_argument("--limit", type=_limit, default=100, help="at most so many (%(default)s)")
    parser.add_argument("--after", type=int, default=0, help="peek: behind this id")
    parser.add_argument("--key", help="publish: store no second one with this key")
    parser.add_argument("--delay", type=float, help="publish: deliver after so many seconds")
    parser.add_argument("--priority", type=int, help="publish: higher first")
    parser.add_argument("--group", help="publish: process those of a group in order")
    parser.add_argument("--expires", type=float, help="publish: delete after so many seconds")


def arrange(words: Sequence[str]) -> list[str]:
    """Return the words of a call with its options behind the others.

    What may be missing is not looked for behind an option by ``argparse``.

    >>> arrange(["app.db", "--url", "http://a/queue", "purge", "--json", "jobs"])
    ['app.db', 'purge', 'jobs', '--url', 'http://a/queue', '--json']
    """
    plain: list[str] = []
    options: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            return [*plain, *options, word, *rest]
        if word[:1] != "-" or word[1:2] in tuple("0123456789"):  # a body: a negative number
            plain.append(word)
            continue
        options.append(word)
        if word not in _FLAGS and "=" not in word:
            options += [value for value in (next(rest, None),) if value is not None]
    return plain + options


def _limit(text: str) -> int:
    """Return a number of messages, or say what one is.

    >>> _limit("5")
    5
    """
    if not 0 < len(text) < 10 or text.strip("0123456789") or int(text) == 0:
        from argparse import ArgumentTypeError

        raise ArgumentTypeError(f"a number above zero is expected, not {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Do what the action says."""
    from rawsio.queue import QueueError, StoreError

    if options.body is not None and options.action != "publish":
        raise Stop(f"{options.action} takes no {options.body!r}: one queue at a time", 2)
    if options.action != "list" and not options.queue:
        raise Stop(f"{options.action}: the name of a queue is missing", 2)
    if options.action == "purge" and options.state == "leased":
        raise Stop("purge: what is leased is with somebody, and goes when that is done", 2)
    try:
        if options.action in ("list", "peek"):
            _read(options)
        elif options.url is not None:
            _ask(options)
        else:
            _write(options)
    except StoreError as error:
        hint = "; with --url its server does it" if "in use" in str(error) else ""
        raise Stop(f"{error}{hint}") from None
    except QueueError as error:
        raise Stop(str(error)) from None
    return 0


def _print(value: Any, text: str, *, as_json: bool) -> None:
    from json import dumps

    print(dumps(value, default=_text) if as_json else text)


def _text(value: Any) -> str:
    # Bytes have no form in JSON.
    return str(bytes(value), "latin-1")


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise Stop(f"{path} is a folder: the path of a file is expected")
    if not path.is_file():
        raise Stop(f"{path}: there is no such file")


# Reading, without being in anybody's way


def _read(options: argparse.Namespace) -> None:
    import sqlite3
    from pathlib import Path

    path = Path(options.database)
    _check_file(path)
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        if options.action == "list":
            _list(connection, options)
        else:
            _peek(connection, options)
    except sqlite3.Error as error:
        from rawsio.queue.database import translate

        if "no such table" in str(error):
            raise Stop(f"{options.database}: there are no queues in this file") from None
        raise translate(error, options.database) from None
    except (TypeError, ValueError, IndexError) as error:
        # Values of types that nothing here writes; SQLite takes all.
        raise Stop(f"{options.database}: the file is damaged: {error}") from None
    finally:
        connection.close()


def _list(connection: Any, options: argparse.Namespace) -> None:
    found = connection.execute("SELECT id, name FROM rawsio_queue ORDER BY name").fetchall()
    if options.queue is not None:
        found = [(_number(connection, options), options.queue)]
    if not found:
        raise Stop(f"{options.database}: there are no queues in this file")
    if not options.json:
        print(f"{'queue':20}" + "".join(f"{name:>10}" for name in (*_STATES, "bytes")))
    for number, name in found:
        counts = dict.fromkeys(_STATES, 0)
        size = 0
        sql = "SELECT state, count(*), sum(size) FROM rawsio_message WHERE queue = ? GROUP BY state"
        for state, count, part in connection.execute(sql, (number,)):
            counts[_STATES[state]] = count
            size += part
        text = f"{_plain(name):20}" + "".join(f"{n:>10}" for n in (*counts.values(), size))
        _print({"queue": name, **counts, "bytes": size}, text, as_json=options.json)


def _peek(connection: Any, options: argparse.Namespace) -> None:
    from rawsio.queue.bodies import shown
    from rawsio.queue.operations import Row
    from rawsio.queue.rows import COLUMNS

    state = "" if options.state is None else f" AND state = {_STATES.index(options.state)}"
    number = _number(connection, options)
    found = connection.execute(
        f"SELECT {COLUMNS} FROM rawsio_message WHERE queue = ? AND id > ?{state}"  # noqa: S608
        " ORDER BY id LIMIT ?",
        (number, options.after, options.limit),
    )
    if not options.json:
        print(f"{'id':>8}  {'state':8} {'deliveries':>10}  body, last error")
    for values in found.fetchall():
        row = Row(*values)
        if row.body is None:
            sql = "SELECT data FROM rawsio_body WHERE id = ?"
            (row.body,) = connection.execute(sql, (row.id,)).fetchone()
        _print_message(shown(row), options)


def _number(connection: Any, options: argparse.Namespace) -> int:
    sql = "SELECT id FROM rawsio_queue WHERE name = ?"
    found = connection.execute(sql, (options.queue,)).fetchone()
    if found is None:
        raise Stop(f"{options.database}: there is no queue {options.queue!r}")
    return int(found[0])


def _plain(text: str) -> str:
    """Return text that others have chosen, without what a terminal would obey."""
    return "".join(c if c.isprintable() else escaped(c)[1:-1] for c in text)


def _print_message(message: dict[str, Any], options: argparse.Namespace) -> None:
    error = f"  {_plain(message['error'])}" if message.get("error") else ""
    body = ascii(message["body"])
    body = body if len(body) <= 60 else body[:60] + "..."
    text = f"{message['id']:>8}  {message['state']:8} {message['deliveries']:>10}  {body}{error}"
    _print(message, text, as_json=options.json)


# Writing, where nobody owns the file


def _write(options: argparse.Namespace) -> None:
    from pathlib import Path
    from time import time

    from rawsio.queue.queue import Queue
    from rawsio.queue.sqlite import SQLiteStore

    if options.action != "publish":
        _check_file(Path(options.database))
    else:
        _encoded(options)  # before a file is made
    store = SQLiteStore(options.database)
    try:
        if options.action != "publish":
            _number(store.connection, options)
        # How often messages may fail is said by the server that uses the file.
        opened = store.open(options.queue, 2**31, int(time() * 1000))
        queue = Queue(options.queue, *opened)
        queue.tick(time())
        if options.action == "drain":
            for message in _drained(store, queue, options.limit):
                _print_message(message, options)
            return
        _request(queue, options)
        (event,) = _turn(store, queue)
        _print_value(_answer(event), options)
    finally:
        store.close()


def _turn(store: SQLiteStore, queue: Queue) -> list[Any]:
    events: list[Any] = []
    while operations := queue.operations():
        events += queue.receive(store.apply(operations), store.counts(queue.name))
    return events


def _answer(event: Any) -> Any:
    from rawsio.queue.messages import Published, Rejected, Stored

    if isinstance(event, Rejected):
        raise event.error
    return Published(event.ids[0]) if isinstance(event, Stored) else event.value


def _request(queue: Queue, options: argparse.Namespace) -> None:
    if options.action == "publish":
        queue.publish("publish", _encoded(options), **_publishing(options))
    elif options.action == "redrive":
        queue.redrive("redrive", options.limit)
    elif options.state is None:
        queue.purge("purge")
    else:
        queue.purge("purge", [options.state])


def _body(options: argparse.Namespace) -> Any:
    from json import loads

    if options.body is None:
        raise Stop("publish: the body is missing, as JSON", 2)
    try:
        return loads(options.body)
    except (ValueError, RecursionError) as error:
        raise Stop(f"publish: the body is no JSON: {error}", 2) from None


def _encoded(options: argparse.Namespace) -> bytes:
    from rawsio.errors import LocalProtocolError
    from rawsio.queue.bodies import encode_body

    try:
        return encode_body(_body(options))
    except LocalProtocolError as error:
        raise Stop(f"publish: {error}", 2) from None


def _publishing(options: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in _OPTIONS}
    return {name: value for name, value in given.items() if value is not None}


def _drained(store: SQLiteStore, queue: Queue, limit: int) -> Iterator[dict[str, Any]]:
    """Give the messages that are ready; each is deleted when the next one is asked for."""
    from rawsio.queue.bodies import decode_body
    from rawsio.queue.messages import Deliver

    queue.consume("drain")
    for _ in range(limit):
        delivered = [event for event in _turn(store, queue) if isinstance(event, Deliver)]
        if not delivered:
            return
        (delivery,) = delivered[0].deliveries
        yield {
            "id": delivery.id,
            "state": "drained",
            "body": decode_body(delivery.body),
            "deliveries": delivery.deliveries,
            "published": delivery.published,
            "key": delivery.key,
            "group": delivery.group,
        }
        queue.ack(delivery.token)
    queue.cancel("drain")
    _turn(store, queue)


# Asking the server


def _ask(options: argparse.Namespace) -> None:
    import rawsio
    from rawsio import ConnectionClosed, Refused

    try:
        socket = rawsio.connect(options.url)
    except ValueError as error:
        raise Stop(str(error), 2) from None
    except (ConnectionClosed, Refused, TimeoutError) as error:
        raise Stop(str(error)) from None
    with socket:
        try:
            value = _asked(socket.queue(options.queue), options).result(_WAIT)
        except TimeoutError:
            raise Stop(
                f"{options.url}: nobody has answered for {_WAIT:.0f} s: the path is the namespace"
                " of the queue, as in http://host:port/queue"
            ) from None
        except ConnectionClosed as error:
            raise Stop(f"{options.url}: {error}") from None
    _print_value(value, options)


def _asked(queue: RemoteQueue, options: argparse.Namespace) -> Any:
    if options.action == "publish":
        _encoded(options)
        return queue.publish(_body(options), **_publishing(options))
    if options.action == "redrive":
        return queue.redrive(options.limit)
    if options.action == "purge":
        return queue.purge(*([options.state] if options.state else []))
    raise Stop("drain: only where nobody owns the file; a client consumes instead", 2)


def _print_value(value: Any, options: argparse.Namespace) -> None:
    if options.action == "publish":
        text = f"{value.id}{' (it was there already)' if value.duplicate else ''}"
        _print({"id": value.id, "duplicate": value.duplicate}, text, as_json=options.json)
    else:
        word = "redriven" if options.action == "redrive" else "purged"
        _print({word: value}, f"{value} {word}", as_json=options.json)
