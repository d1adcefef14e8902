"""Every module says what it is, what it offers, and where it is tested."""

from __future__ import annotations

import ast
import importlib

import pytest

import rawsio

from .source import ROOT, Module, for_every_module, modules

TESTED_ELSEWHERE: dict[str, str] = {
    "_pyinstaller": "test_pyinstaller.py",
    # Records and checks, which their users' tests need.
    # One server's part in a cluster, tried with two of them.
    "cluster.messages": "cluster/test_classic.py",
    "cluster.fields": "cluster/test_classic.py",
    "cluster.remote": "cluster/test_adapter.py",
    "cluster.requests": "cluster/test_adapter.py",
    "cluster.link": "cluster/test_adapter.py",
    "cluster.classic_adapter": "cluster/test_adapter.py",
    "prepared": "stack/test_laws.py",
    # The parts of the shortest way.
    "lanes": "test_express.py",
    "reading": "test_express.py",
    "emitter": "cluster/test_emitter.py",
    "cluster.bus": "cluster/test_adapter.py",
    "cluster.factory": "cluster/test_adapter.py",
    "cluster.membership": "cluster/test_adapter.py",
    "cluster.envelope": "cluster/test_sharded_adapter.py",
    "cluster.sharded_link": "cluster/test_sharded_adapter.py",
    "cluster.stream_form": "cluster/test_streams_adapter.py",
    "cluster.streams_bus": "cluster/test_streams_adapter.py",
    "cluster.stream_reader": "cluster/test_streams_adapter.py",
    # The two ends of processes, which are tested as processes.
    "workers.parent": "workers/test_workers.py",
    "app.recovery_log": "app/test_recovery.py",
    "queue.recovery_journal": "queue/test_recovery_file.py",
    "queue.messages": "queue/test_queue.py",
    "queue.operations": "queue/test_queue.py",
    "queue.checks": "queue/test_queue.py",
    "queue.handling": "queue/test_jobs.py",
    "queue.queues": "queue/test_jobs.py",
    # What a session's tests stand in for.
    "engineio.server.interfaces": "engineio/server/test_session.py",
    # The sockets of the server, which are tested through its public interface.
    "server.server_sockets": "server/test_server.py",
    # How commands show what they found.
    "commands.output": "commands/test_explain.py",
    # The parts of the client.
    "client.listeners": "client/test_client.py",
    "client.options": "client/test_client.py",
    "client.session": "client/test_client.py",
    "client.socket": "client/test_client.py",
    "client.membership": "client/test_client.py",
    "client.connector": "client/test_client.py",
    "redis.events": "redis/test_connection.py",
    # The conformance tester: its families and judges are tested on right and wrong peers.
    "check.case": "check/test_right_peer.py",
    "check.catalogue": "check/test_right_peer.py",
    "check.console": "check/test_reports.py",
    "check.eio_wire": "check/test_right_peer.py",
    "check.http_answer": "check/test_right_peer.py",
    "check.eio_echo": "check/test_right_peer.py",
    "check.eio_life": "check/test_right_peer.py",
    "check.eio_open": "check/test_right_peer.py",
    "check.eio_post": "check/test_right_peer.py",
    "check.eio_upgrade": "check/test_right_peer.py",
    "check.sio_connect": "check/test_right_peer.py",
    "check.sio_event": "check/test_right_peer.py",
    "check.sio_room": "check/test_right_peer.py",
    "check.sio_wire": "check/test_right_peer.py",
    "check.callers": "check/test_clients.py",
    "check.client_eio": "check/test_clients.py",
    "check.client_http": "check/test_clients.py",
    "check.client_sio": "check/test_clients.py",
    "check.client_wire": "check/test_clients.py",
    "check.client_ws": "check/test_clients.py",
    "check.clients": "check/test_clients.py",
    "check.http_answers": "check/test_right_peer.py",
    "check.http_body": "check/test_right_peer.py",
    "check.http_fields": "check/test_right_peer.py",
    "check.http_judges": "check/test_right_peer.py",
    "check.http_keep": "check/test_right_peer.py",
    "check.http_limits": "check/test_right_peer.py",
    "check.http_line": "check/test_right_peer.py",
    "check.http_wire": "check/test_right_peer.py",
    "check.outcome": "check/test_reports.py",
    "check.page": "check/test_reports.py",
    "check.probe": "check/test_right_peer.py",
    "check.reports": "check/test_reports.py",
    "check.runner": "check/test_right_peer.py",
    "check.servers": "commands/test_check.py",
    "check.sockets": "commands/test_check.py",
    "check.talk": "check/test_right_peer.py",
    "check.target": "check/test_right_peer.py",
    "check.ws_deflate": "check/test_right_peer.py",
    "check.ws_deflated": "check/test_right_peer.py",
    "check.ws_frames": "check/test_right_peer.py",
    "check.ws_judges": "check/test_right_peer.py",
    "check.ws_open": "check/test_right_peer.py",
    "check.ws_text": "check/test_right_peer.py",
    "check.ws_wire": "check/test_right_peer.py",
}
"""A module that was split off another one -> the file under tests/ that tests both."""


def exported(module: Module) -> list[str] | None:
    """Return the names in ``__all__``, or ``None`` if there is none to be read."""
    for node in module.tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
            return list(ast.literal_eval(node.value))  # type: ignore[attr-defined]
    return None


@for_every_module
def test_every_module_opens_with_a_docstring_and_says_what_it_exports(module: Module) -> None:
    text = ast.get_docstring(module.tree)
    assert text, f"{module.where(1)}: no docstring"
    assert text.split("\n", 1)[0].endswith((".", ":")), f"{module.where(1)}: no sentence: {text!r}"
    assert exported(module) is not None, f"{module.where(1)}: no __all__"


@for_every_module
def test_every_name_in_all_exists_once(module: Module) -> None:
    listed = exported(module) or []
    assert len(listed) == len(set(listed)), f"{module.where(1)}: a name stands twice in __all__"
    if module.name == "__main__":
        return
    loaded = importlib.import_module(".".join(filter(None, ["rawsio", module.name])))
    missing = [name for name in listed if not hasattr(loaded, name)]
    assert not missing, f"{module.where(1)}: __all__ names {missing}, which do not exist"


@for_every_module
def test_every_public_class_and_function_is_exported_or_private(module: Module) -> None:
    listed = exported(module) or []
    public = [
        node.name
        for node in module.tree.body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and not node.name.startswith("_")
    ]
    missing = [name for name in public if name not in listed]
    assert not missing, f"{module.where(1)}: {missing} look public but are not in __all__"


@for_every_module
def test_every_module_has_a_test_file_that_mirrors_it(module: Module) -> None:
    if module.is_package:
        return
    *folders, name = module.name.split(".")
    name = name.strip("_")
    folder = ROOT / "tests" / "/".join(folders)
    known = TESTED_ELSEWHERE.get(module.name)
    if known is not None:
        assert (ROOT / "tests" / known).exists(), f"{known}, named for {module.name}, is missing"
        return
    mirror = folder / f"test_{name}.py"
    several = folder / name
    assert mirror.exists() or list(several.glob("test_*.py")), (
        f"{module.where(1)}: neither {mirror.relative_to(ROOT)} nor tests in "
        f"{several.relative_to(ROOT)}/; a module split off another is named in TESTED_ELSEWHERE"
    )


def test_the_list_of_modules_tested_elsewhere_is_needed() -> None:
    names = {module.name for module in modules()}
    gone = sorted(set(TESTED_ELSEWHERE) - names)
    assert not gone, f"TESTED_ELSEWHERE names modules that do not exist: {gone}"


def _lazy_packages() -> list[Module]:
    return [m for m in modules() if m.is_package and "__getattr__" in m.text]


@pytest.mark.parametrize("module", _lazy_packages(), ids=lambda m: m.name or "rawsio")
def test_lazy_names_the_names_for_type_checkers_and_all_are_the_same(module: Module) -> None:
    for_checkers = {i.symbol for i in module.imports if i.typing and i.name.startswith("rawsio")}
    listed = set(exported(module) or [])
    table: set[str] = set()
    for node in module.tree.body:
        value = getattr(node, "value", None)
        if isinstance(value, ast.Dict):
            table = {key.value for key in value.keys if isinstance(key, ast.Constant)}
    eager = {i.symbol for i in module.imports if not i.typing and i.name.startswith("rawsio")}
    eager.discard("lazily")
    assert table == for_checkers, f"only in one of them: {sorted(table ^ for_checkers)}"
    assert listed == table | eager, f"only in one of them: {sorted(listed ^ (table | eager))}"


def test_the_package_offers_its_names_without_importing_them() -> None:
    for name in rawsio.__all__:
        assert name in dir(rawsio)
        assert getattr(rawsio, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        rawsio.no_such_name  # noqa: B018 - the access is the test
