"""Who may import whom, and which modules of the standard library stay out of the layers."""

from __future__ import annotations

import ast

from .source import Module, for_every_module, modules, names

BASE = {"layer", "errors", "limits", "log", "lazy", "uri"}
PROTOCOLS = {"http", "websocket", "engineio", "socketio"}
SESSIONS = {"engineio.server", "engineio.client"}
MODEL = PROTOCOLS | SESSIONS | {"app"}

MAY_IMPORT = {
    "layer": {"errors"},
    "errors": {"layer"},
    "limits": {"layer", "errors"},
    "log": set(),
    "lazy": set(),
    "uri": {"lazy"},
    "trace": BASE | {"tracing"},
    "tls": BASE,
    "http": BASE,
    "websocket": BASE,
    "engineio": BASE,
    "engineio.server": BASE | {"engineio", "trace"},
    "engineio.client": BASE | {"engineio"},
    "socketio": BASE,
    "app": BASE | {"http", "socketio", "trace"},
    "redis": BASE | {"net", "tls"},
    "net": BASE,
    "browser": BASE | {"resources"},
    "resources": set(),
    "prepared": BASE | {"socketio", "websocket"},
    "answers": BASE | {"app", "websocket"},
    "stack": BASE | PROTOCOLS | SESSIONS | {"tls", "trace", "prepared"},
    "routes": BASE | MODEL,
    "reading": BASE | {"socketio", "websocket"},
    "lanes": BASE | MODEL | {"reading", "routes"},
    "farewell": BASE | {"websocket"},
    "posted": BASE | MODEL | {"reading", "routes"},
    "express": BASE | MODEL | {"farewell", "lanes", "reading", "routes"},
    "rules": BASE | {"resources"},
    "explain": BASE | PROTOCOLS | SESSIONS,
    "tracing": BASE | PROTOCOLS | {"", "explain", "net", "tls"},
    "tracing.rows": BASE | {"explain", "resources", "rules", "socketio"},
    "tracing.page": BASE | {"", "explain", "net", "resources", "server", "tracing.rows"},
    "runtime": BASE | {"app", "prepared", "net"},
    "extension": BASE | {"runtime"},
    "server.streaming": BASE | {"http"},
    "server.http_apps": BASE | {"http", "server.streaming"},
    "server.wsgi": BASE | {"http", "server.http_apps", "server.streaming"},
    "server.app_kinds": BASE | {"server.http_apps", "server.wsgi"},
    "server.answering": BASE | {"http", "stack", "server.http_apps", "server.streaming"},
    "cluster": BASE | {"app", "socketio", "redis"},
    "emitter": BASE | {"app", "cluster", "net", "redis", "runtime"},
    "queue": BASE | {"app", "socketio", "net", "redis", "runtime", "prepared", "answers"},
    "workers": BASE | {"app", "cluster", "http", "net", "prepared", "socketio", "stack"},
    "server.static": BASE | {"http", "net", "server.http_apps"},
    "server.mounts": BASE | {"http", "server.static"},
    "server.handshakes": BASE | {"http", "stack", "websocket", "engineio", "engineio.server"},
    "server.repeats": BASE | {"http", "stack", "engineio", "engineio.server", "server.answering"},
    "server.router": BASE | MODEL | {"stack", "server.answering", "server.handshakes"},
    "server.session_events": BASE | {"engineio", "engineio.server", "app", "trace"},
    "server.session_port": BASE
    | MODEL
    | {"http", "app", "engineio", "engineio.server", "routes", "express", "runtime", "net"}
    | {"posted", "reading", "trace"}
    | {"server.session_events"},
    "server.budget": BASE | {"engineio", "engineio.server", "runtime", "net"},
    "server.config": BASE
    | MODEL
    | {"prepared", "runtime", "extension", "browser", "net", "queue", "trace", "server.http_apps"}
    | {"server.answering", "server.app_kinds"},
    "server.core": BASE
    | MODEL
    | {"stack", "runtime", "extension", "net", "trace", "server.answering"}
    | {"server.config", "server.session_port", "server.router"},
    "server.server_sockets": BASE
    | {"tls", "stack", "runtime", "net", "engineio.server"}
    | {"server.core", "server.repeats", "server.budget"},
    "server.server": BASE
    | MODEL
    | {"queue", "net", "runtime", "extension", "trace", "workers"}
    | {"server.config", "server.core", "server.server_sockets"},
    "server": {"server.server"},
    "client.options": BASE | {"http", "app", "socketio", "trace", "extension", "websocket"},
    "client.stack": BASE | PROTOCOLS | SESSIONS | {"trace", "stack"},
    "client.session": BASE | PROTOCOLS | SESSIONS | {"client.stack"},
    "client.express": BASE | PROTOCOLS | SESSIONS | {"client.stack", "prepared", "reading"},
    "client.membership": BASE | {"app", "socketio", "prepared"},
    "client.listeners": BASE | {"app", "socketio", "client.membership"},
    "client.retries": BASE | {"runtime", "app", "socketio"},
    "client.queue": BASE | {"queue", "app", "socketio"},
    "client.socket": BASE
    | {"app", "socketio", "prepared", "client.membership", "client.listeners", "client.retries"}
    | {"client.queue", "client.options"},
    "client.core": BASE
    | MODEL
    | {"runtime", "extension", "prepared"}
    | {"client.options", "client.session", "client.membership"}
    | {"client.socket", "client.stack", "client.express", "reading"},
    "client.connector": BASE
    | {"trace"}
    | {"tls", "websocket", "app", "socketio", "runtime", "net", "stack"}
    | {"client.core", "client.stack", "client.session"},
    "client.client": BASE
    | {"app", "socketio", "prepared", "trace", "runtime", "extension"}
    | {"client.options", "client.socket", "client.membership"}
    | {"client.core", "client.connector"},
    "client": {"client.client"},
}
"""The part of rawsio -> the parts it may import.

A part is a top-level module or package; of the server and the client, which are made of the
layers, each module is a part of its own, and the sessions of Engine.IO are apart from its layer."""

SEAMS = {
    ("websocket.handshake", "http.messages"),
    ("websocket.handshake", "http.headers"),
    ("engineio.server.polling", "http.messages"),
    ("engineio.server.polling", "http.headers"),
    ("engineio.server.registry", "http.messages"),
    ("engineio.server.transport", "http.messages"),
    ("engineio.server.transports", "http.messages"),
    ("engineio.server.checks", "http.messages"),
    ("engineio.server.response_headers", "http.messages"),
    ("engineio.server.response_headers", "http.headers"),
    ("engineio.server.links", "http.messages"),
    ("engineio.server.options", "http.messages"),
    ("engineio.server.session", "http.messages"),
    ("engineio.client.session", "http.messages"),
    ("engineio.client.session", "http.headers"),
}
"""Where a protocol speaks in the values of another, named one by one."""

KNOWN_TO_CHECKERS = {
    ("app.interfaces", "net.tcp_info"),
    ("app.adapter", "app.socket"),
    ("app.socket", "app.namespace"),
    ("client.listeners", "client.client"),
    ("client.queue", "client.socket"),
    ("client.socket", "client.client"),
}
"""What users see of a socket: its namespace or client, which holds its sockets, and what the kernel
knows of its connection.  Modules know each other that way for type checkers alone."""

FREE = {"", "__main__", "testing", "commands", "check", "_pyinstaller"}
"""Modules that may import all of rawsio: they stand above everything."""

DEMO = {"demo", "demo.board", "demo.chat", "demo.hub"}
"""The demo is an application of the public interface, like those that users write."""

ONLY_IN_NET = {
    "socket", "selectors", "ssl", "time", "threading", "asyncio", "logging", "random", "secrets",
}  # fmt: skip
"""Sockets, clocks, threads and randomness are arguments of the layers; net provides them."""

NEVER_AT_MODULE_LEVEL = {
    "typing", "dataclasses", "logging", "ssl", "zlib", "asyncio", "threading", "secrets", "email",
    "http", "urllib", "concurrent", "inspect", "pathlib", "argparse", "mimetypes", "tempfile",
    "subprocess", "uuid", "hashlib", "hmac",
}  # fmt: skip
"""What costs start-up time or memory that most programs never use."""

NAMED_EXCEPTIONS = {
    ("tls", "ssl"): "the layer is about it; it is imported when the first TLS connection is made",
    ("net.thread", "threading"): "the thread that emits are queued from",
    ("net.aio", "asyncio"): "the bridge to asyncio is imported by serve() alone",
    ("net.tasks", "asyncio"): "asyncio on a loop of ours, imported by the test kit when needed",
}
"""(module, module of the standard library) -> why it may import it."""

ZLIB = {
    "websocket.deflate",
    "http.messages",
    "check.ws_deflated",
    "explain.conversation",
}
"""Who may import zlib, inside the function that compresses or inflates."""


def _part(name: str) -> str:
    while name not in MAY_IMPORT and "." in name:
        name = name.rpartition(".")[0]
    return name


def _in_net(module: Module) -> bool:
    above = (FREE - {""}) | DEMO
    return (
        module.name == "net"
        or module.name.startswith("net.")
        or _part(module.name) in above
        or module.name in above
    )


@for_every_module
def test_imports_go_from_the_upper_layers_to_the_lower(module: Module) -> None:
    part = _part(module.name)
    if part in FREE or module.name in DEMO:
        return
    assert part in MAY_IMPORT, (
        f"rawsio.{module.name} has no place in the order of layers: add it to MAY_IMPORT"
    )
    wrong = [
        f"{module.where(item.line)}: rawsio.{module.name} imports rawsio.{target}; "
        f"{part} may import only {sorted(MAY_IMPORT[part])}"
        for target, item in module.internal_imports()
        if _part(target) not in MAY_IMPORT[part] | {part}
        and (module.name, target) not in SEAMS | KNOWN_TO_CHECKERS
    ]
    assert not wrong, "\n".join(wrong)


@for_every_module
def test_sockets_clocks_threads_and_randomness_are_imported_in_net_only(module: Module) -> None:
    if _in_net(module):
        return
    wrong = [
        f"{module.where(item.line)}: {item.name} belongs into rawsio/net or an argument"
        for item in module.imports
        if not item.typing
        and item.name.split(".")[0] in ONLY_IN_NET
        and (module.name, item.name) not in NAMED_EXCEPTIONS
    ]
    assert not wrong, "\n".join(wrong)


@for_every_module
def test_os_is_used_for_random_bytes_only(module: Module) -> None:
    if _in_net(module):
        return
    wrong = [
        f"{module.where(item.line)}: from os import {item.symbol}"
        for item in module.imports
        if item.name == "os" and not item.typing and item.symbol not in {"", "urandom"}
    ]
    wrong += [
        f"{module.where(node.lineno)}: os.{node.attr}"
        for node in module.nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and node.attr != "urandom"
    ]
    assert not wrong, "outside rawsio/net only os.urandom is allowed:\n" + "\n".join(wrong)


@for_every_module
def test_what_is_dear_to_import_is_imported_on_first_use(module: Module) -> None:
    wrong = [
        f"{module.where(item.line)}: {item.name} is imported at module level"
        for item in module.imports
        if not item.lazy
        and not item.typing
        and module.name != "__main__"
        and _part(module.name) != "check"  # the tester, which no server imports
        and item.name.split(".")[0] in NEVER_AT_MODULE_LEVEL
        and (module.name, item.name) not in NAMED_EXCEPTIONS
        and not (item.name == "hashlib" and _falls_back_to_hashlib(module, item.line))
    ]
    assert not wrong, "\n".join(wrong)


def _falls_back_to_hashlib(module: Module, line: int) -> bool:
    # `try: from _sha1 import sha1` / `except ImportError: from hashlib import sha1`
    handlers = [node for node in module.nodes if isinstance(node, ast.ExceptHandler)]
    return any(node.lineno < line <= (node.end_lineno or 0) for node in handlers)


@for_every_module
def test_zlib_is_imported_by_those_who_compress_and_lazily(module: Module) -> None:
    for item in module.imports:
        if item.name == "zlib" and not item.typing:
            assert module.name in ZLIB, f"{module.where(item.line)}: zlib is not for this module"
            assert item.lazy, f"{module.where(item.line)}: zlib is imported at module level"


@for_every_module
def test_nothing_from_outside_the_standard_library_is_imported(module: Module) -> None:
    import sys

    foreign = [
        f"{module.where(item.line)}: {item.name}"
        for item in module.imports
        if not item.typing
        and item.name.split(".")[0] not in {*sys.stdlib_module_names, "rawsio", "__future__"}
    ]
    assert not foreign, "not in the standard library:\n" + "\n".join(foreign)


@for_every_module
def test_private_names_of_other_modules_are_left_alone(module: Module) -> None:
    wrong = [
        f"{module.where(item.line)}: {item.symbol} is private to rawsio.{target}"
        for target, item in module.internal_imports()
        if item.symbol.startswith("_") and not item.symbol.startswith("__")
    ]
    assert not wrong, "\n".join(wrong)


def test_no_imports_go_in_a_circle() -> None:
    graph = {
        module.name: {target for target, _ in module.internal_imports()} & names()
        for module in modules()
    }
    # The package itself is above everything: its names are loaded on first use.
    for targets in graph.values():
        targets.discard("")
    for name, target in KNOWN_TO_CHECKERS:
        graph[name].discard(target)
    circle = _find_circle(graph)
    assert circle is None, "imports in a circle: " + " -> ".join(circle or [])


def _find_circle(graph: dict[str, set[str]]) -> list[str] | None:
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        for target in sorted(graph[name] - {name}):
            circle = visit(target, [*path, name])
            if circle:
                return circle
        done.add(name)
        return None

    for start in sorted(graph):
        circle = visit(start, [])
        if circle:
            return circle
    return None


def test_no_protocol_reaches_another_but_by_the_seams() -> None:
    crossings = {
        (module.name, target)
        for module in modules()
        for target, _ in module.internal_imports()
        if module.name.split(".")[0] in PROTOCOLS
        and target.split(".")[0] in PROTOCOLS - {module.name.split(".")[0]}
    }
    assert crossings <= SEAMS, sorted(crossings - SEAMS)
