"""The commands that begin a connection to Redis, one by one, as each reply allows.

Who we are, in which version we speak, which database, and the end of a *ghost*: a connection that
the network swallowed lives on in the server, which counts its subscriptions and keeps what they
should hear.  The next one ends it by its number and address, where the server lets it.  Both have
to fit, so that nobody else is meant, even after the server was started anew.
"""

from __future__ import annotations

from .answer import RedisError
from .resp import ErrorReply, command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from .address import RedisAddress

__all__ = ["Ghost", "greet"]

Ghost = tuple[int, str]
"""The number of a connection in the server, and the address of our end there."""


def greet(
    address: RedisAddress, version: int, name: str, ghost: Ghost | None = None
) -> Generator[list[bytes], Any, int | None]:
    """Give commands and take their replies; return the number of this connection, if it has one.

    Raises :class:`RedisError` where the server refuses us.

    >>> from rawsio.redis.address import parse_url
    >>> greeting = greet(parse_url("redis://ann:secret@db"), 3, "shop")
    >>> next(greeting)
    [b'HELLO', b'3', b'AUTH', b'ann', b'secret', b'SETNAME', b'shop']
    >>> try: greeting.send({b"id": 7})
    ... except StopIteration as end: print(end.value)
    7
    """
    greeted, number = False, None
    if version == 3:
        user = address.username or "default"
        login = ["AUTH", user, address.password] if address.password else []
        reply = yield command("HELLO", 3, *login, "SETNAME", name)
        # Before version 6 there was no HELLO.
        greeted = not isinstance(reply, ErrorReply)
        if greeted:
            number = reply.get(b"id") if type(reply) is dict else None
        elif reply.code not in ("ERR", "NOPROTO"):
            raise RedisError(reply.code, reply.message)
    if not greeted and address.password:
        login = [address.username] if address.username else []
        yield from _demand(command("AUTH", *login, address.password))
    if address.database:
        yield from _demand(command("SELECT", address.database))
    if not greeted:
        number = yield command("CLIENT", "ID")
    if ghost is not None:
        yield command("CLIENT", "KILL", "ID", ghost[0], "ADDR", ghost[1])
    return number if type(number) is int else None


def _demand(args: list[bytes]) -> Generator[list[bytes], Any, None]:
    reply = yield args
    if isinstance(reply, ErrorReply):
        raise RedisError(reply.code, reply.message)
