"""The tables of options are those of the code, and the names in them exist."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from typing import Any

import pytest

from rawsio.app.adapter import Adapter
from rawsio.app.broadcast import Broadcast
from rawsio.app.namespace import Namespace
from rawsio.app.recovery import Recovery
from rawsio.app.socket import Socket
from rawsio.client.options import ClientOptions
from rawsio.engineio.server.options import Cookie, Cors, EngineOptions
from rawsio.limits import Limits
from rawsio.server import Server
from rawsio.server.config import ServerOptions
from rawsio.server.session_port import Conn
from rawsio.socketio.msgpack import MsgpackParser
from rawsio.websocket.deflate import DeflateOptions

from .list_options import DOCUMENT, RECORDS, tables, written
from .source import modules

TEXT = DOCUMENT.read_text("utf-8")
OWNERS = {
    owner.__name__: owner
    for owner in (Server, Namespace, Socket, Broadcast, Adapter, Conn, MsgpackParser)
}
FIELDS = {record.__name__: record for record in (ServerOptions, EngineOptions)}


def test_the_tables_are_those_of_the_code() -> None:
    assert written() == TEXT, "run: python -m tests.architecture.list_options"


def test_every_table_has_its_place_and_every_option_a_meaning() -> None:
    assert re.findall(r"<!-- (\w+) -->", TEXT) == [
        word for mark in RECORDS for word in (mark, "end")
    ]
    for mark in RECORDS:
        assert not re.findall(r"\|  \|$", tables()[mark], re.MULTILINE)


def test_every_keyword_of_a_server_stands_there() -> None:
    keywords = set(inspect.signature(Server).parameters) - {"options", "misplaced"}
    first = TEXT.partition("## Socket.IO")[0]
    assert set(re.findall(r"^\| `(\w+)` \| `None` \|", first, re.MULTILINE)) == keywords


def names() -> list[str]:
    table = TEXT.partition("## From the reference's names to ours")[2]
    cells = [line.split(" | ")[-1] for line in table.split("\n") if line.startswith("| ")][1:]
    cells = [cell for cell in cells if not cell.startswith("not supported: ")]
    assert len(cells) > 30
    return [name for cell in cells for name in re.findall(r"`([A-Z][\w.]*)`", cell)]


@pytest.mark.parametrize("name", names())
def test_what_a_name_of_the_reference_became_exists(name: str) -> None:
    owner, _, member = name.partition(".")
    if owner in FIELDS:
        assert member in FIELDS[owner].__match_args__
        return
    found = OWNERS[owner]
    instance = {slot for c in found.__mro__ for slot in getattr(c, "__slots__", ())}
    if member and not hasattr(found, member) and member not in instance:
        assert f"self.{member}" in inspect.getsource(found)


@functools.cache
def _read_attributes() -> set[str]:
    """Return the names of all attributes that the code reads, outside of records of options."""
    found = set()
    for module in modules():
        for node in module.nodes:
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
    return found


@pytest.mark.parametrize(
    "record",
    [ServerOptions, EngineOptions, ClientOptions, Limits, Cors, Cookie, Recovery, DeflateOptions],
)
def test_no_option_and_no_limit_is_accepted_and_then_ignored(record: Any) -> None:
    # `connect_timeout` only sets a limit: see tests/server/test_config.py.
    assert not set(record.__match_args__) - _read_attributes() - {"connect_timeout"}
