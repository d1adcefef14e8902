"""Where a Redis server is, and who we are there: ``redis://`` URLs.

A URL may have a password in it, also one that is no URL of Redis, and one in which the password was
not encoded and so stands in the place of something else.  No message here shows what could be it.
"""

from __future__ import annotations

import re

from rawsio.layer import record

_NUMBER = re.compile("[0-9]{1,5}")
_ENCODE = " (a password's @ : / ? # % are written %40 %3A %2F %3F %23 %25)"

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

    def __repr__(self) -> str:
        shown = [(name, getattr(self, name)) for name in self.__match_args__]
        fields = [
            f"{name}={'***' if name == 'password' and value else value!r}" for name, value in shown
        ]
        return f"RedisAddress({', '.join(fields)})"

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
        # A name alone may be a token in the wrong place.
        name = self.username if self.password else "***"
        who = f"{name}@" if self.username else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{who}{host}:{self.port}/{self.database}"

    def hide(self, text: str) -> str:
        """Return a text without the password, if somebody has put it there.

        >>> parse_url("redis://:sesame@db").hide("unknown command 'AUTH' 'sesame'")
        "unknown command 'AUTH' '***'"
        """
        return text.replace(self.password, "***") if len(self.password) > 3 else text


def _given(url: object) -> str:
    # Of what may hold a password only the type is named.
    shown = url is None or isinstance(url, (int, float))
    return repr(url) if shown else f"a {type(url).__name__}"


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

    _check(url)
    try:
        parts = urlsplit(url)
    except ValueError:  # its text may have the password
        raise ValueError(
            f"this is no URL of Redis, as redis://127.0.0.1:6379 is{_ENCODE}"
        ) from None
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if set(query) - {"db"}:
        what = _plain(sorted(set(query) - {"db"})[0])
        raise ValueError(f"a URL of Redis has no parameter {what}")
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
        text = f"the port in the URL of Redis is no number up to 65535{_ENCODE}"
        raise ValueError(text) from None
    if not parts.hostname:
        raise ValueError("the URL of Redis names no host, as in redis://127.0.0.1:6379")
    database = _database(query.get("db", "") or parts.path.removeprefix("/"))
    secure = parts.scheme == "rediss"
    return RedisAddress(parts.hostname, port, "", secure, username, password, database)


def _check(url: object) -> None:
    if not isinstance(url, str):
        raise TypeError(f"the URL of a Redis server is a str, not {_given(url)}")
    if any(character <= " " or character == "\x7f" for character in url) or "%00" in url:
        raise ValueError(f"a URL of Redis has no spaces and no control characters{_ENCODE}")


def _database(text: str) -> int:
    if not text:
        return 0
    if not _NUMBER.fullmatch(text):
        shown = _plain(text)
        raise ValueError(f"the database of Redis is a number, as in redis://host/2, not {shown}")
    return int(text)


def _plain(text: str) -> str:
    """Return a part of a URL to be shown: behind a sign in a password there may be the rest of it.

    >>> _plain("timeout"), _plain("word@host")
    ("'timeout'", "what is there (a password's @ : / ? # % are written %40 %3A %2F %3F %23 %25)")
    """
    return f"what is there{_ENCODE}" if "@" in text else repr(text)
