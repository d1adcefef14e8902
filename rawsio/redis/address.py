"""Where a Redis server is, and who we are there: ``redis://`` URLs."""

from __future__ import annotations

import re

from rawsio.layer import record

_NUMBER = re.compile("[0-9]{1,5}")

__all__ = ["RedisAddress", "parse_url"]


@record
class RedisAddress:
    """The parts of a URL; ``path`` is that of a unix socket, and then there is no host.

    ``shown`` is the URL without its password, for messages and logs.
    """

    host: str = "127.0.0.1"
    port: int = 6379
    path: str = ""
    secure: bool = False
    username: str = ""
    password: str = ""
    database: int = 0

    def at(self, host: str, port: int) -> RedisAddress:
        """Return the address of another server of the same cluster: same user, same security."""
        return RedisAddress(host, port, "", self.secure, self.username, self.password)

    @property
    def shown(self) -> str:
        """The address as people may see it.

        >>> parse_url("redis://ann:secret@db.example/2").shown
        'redis://ann@db.example:6379/2'
        """
        if self.path:
            return f"unix://{self.path}"
        scheme = "rediss" if self.secure else "redis"
        who = f"{self.username}@" if self.username else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{who}{host}:{self.port}/{self.database}"


def parse_url(url: str) -> RedisAddress:
    """Return the parts of a URL of Redis.

    The forms are ``redis://[[user]:password@]host[:port][/database]``, ``rediss://`` for TLS, and
    ``unix:///path/to/socket[?db=1]``; user and password are percent-encoded.

    >>> parse_url("redis://localhost").port, parse_url("rediss://:p%40ss@10.0.0.1:6380/3").password
    (6379, 'p@ss')
    >>> parse_url("unix:///run/redis.sock?db=1")
    RedisAddress(host='', port=0, path='/run/redis.sock', secure=False, username='', password='', \
database=1)

    Raises ``ValueError`` for anything else; the text never has the password.
    """
    from urllib.parse import parse_qsl, unquote, urlsplit

    if not isinstance(url, str):
        raise TypeError(f"the URL of a Redis server is a str, not {url!r}")
    parts = urlsplit(url)
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if set(query) - {"db"}:
        raise ValueError(f"a URL of Redis has no parameter {sorted(set(query) - {'db'})[0]!r}")
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError("a path is expected behind unix://, as in unix:///run/redis.sock")
        database = _database(query.get("db", ""))
        path = unquote(parts.path)
        return RedisAddress("", 0, path, False, username, password, database)
    if parts.scheme not in ("redis", "rediss"):
        # Of what may have a password in it only the beginning is shown.
        plain = url and not {"@", "/"} & {*url}
        cure = f" (write redis://{url})" if plain else ""
        raise ValueError(
            f"redis://, rediss:// or unix:// is expected, not {parts.scheme or 'no scheme'!r}{cure}"
        )
    try:
        port = 6379 if parts.port is None else parts.port
    except ValueError:
        raise ValueError("the port in the URL of Redis is no number up to 65535") from None
    if not parts.hostname:
        raise ValueError("the URL of Redis names no host, as in redis://127.0.0.1:6379")
    database = _database(query.get("db", "") or parts.path.removeprefix("/"))
    secure = parts.scheme == "rediss"
    return RedisAddress(parts.hostname, port, "", secure, username, password, database)


def _database(text: str) -> int:
    if not text:
        return 0
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"the database of Redis is a number, as in redis://host/2, not {text!r}")
    return int(text)
