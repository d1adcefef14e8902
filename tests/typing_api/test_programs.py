"""The programs for type checkers are whole; ``python -m tests.typing_api`` has them judged."""

from __future__ import annotations

import ast
from pathlib import Path

from rawsio.client.options import ClientOptions
from rawsio.cluster.classic_adapter import ClassicOptions
from rawsio.cluster.sharded_adapter import ShardedOptions
from rawsio.cluster.streams_bus import StreamsOptions
from rawsio.engineio.server.options import EngineOptions
from rawsio.queue.messages import QueueOptions
from rawsio.server.config import ServerOptions
from tests.architecture.source import modules

from .__main__ import HERE, complaints, differences, marked, programs

RIGHT, WRONG = HERE / "right.py", HERE / "wrong.py"


def functions(path: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(path.read_text("utf-8"))
    return [node for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_there_are_forty_programs_of_each_kind() -> None:
    assert len(functions(RIGHT)) >= 40
    assert len(functions(WRONG)) >= 40
    assert not marked(RIGHT)


def test_every_wrong_program_has_one_line_that_is_marked() -> None:
    for function in functions(WRONG):
        lines = set(range(function.lineno, (function.end_lineno or 0) + 1))
        assert len(lines & marked(WRONG)) == 1, function.name


def test_a_missed_mistake_and_a_false_alarm_are_told() -> None:
    line = min(marked(WRONG))
    found = {str(WRONG): (marked(WRONG) - {line}) | {1}}
    assert differences(found, [WRONG]) == [
        f"wrong.py:{line}: no complaint",
        "wrong.py:1: a complaint",
    ]


def test_dialogues_are_no_programs(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("```python\nx = 1\n```\n\n```python\n>>> x\n1\n```\n", "utf-8")
    assert programs(document) == ["x = 1\n"]


def test_complaints_are_read_from_what_mypy_says() -> None:
    said = "/a/b.py:3: error: no  [x]\n/a/b.py:3: note: see\n/a/b.py:7: error: no\nFound 2 errors\n"
    assert complaints(said) == {"/a/b.py": {3, 7}}


def keywords(name: str) -> set[str]:
    """Return the keys of a ``TypedDict``, which only type checkers see, and of its bases."""
    for module in modules():
        for node in module.nodes:
            if isinstance(node, ast.ClassDef) and node.name == name:
                own = {ast.unparse(n.target) for n in node.body if isinstance(n, ast.AnnAssign)}
                bases = {ast.unparse(base) for base in node.bases} - {"TypedDict"}
                return own.union(*map(keywords, bases))
    raise AssertionError(name)


def test_the_keywords_that_checkers_know_are_the_options() -> None:
    engine, own = set(EngineOptions.__match_args__), set(ServerOptions.__match_args__)
    assert keywords("EngineKeywords") == engine
    assert keywords("ServerKeywords") == engine | own
    assert keywords("ClientKeywords") == set(ClientOptions.__match_args__)
    assert keywords("QueueKeywords") == set(QueueOptions.__match_args__)


def test_the_keywords_of_adapters_are_their_options() -> None:
    common = {"redis", "on_degraded", "connect"}
    assert keywords("ClassicKeywords") == common | set(ClassicOptions.__match_args__)
    assert keywords("ShardedKeywords") == common | set(ShardedOptions.__match_args__)
    assert keywords("StreamsKeywords") == common | set(StreamsOptions.__match_args__)
