"""Who holds whom between a socket and a handler, read from the code.

``python -m tests.architecture.owners`` writes the picture in ``rfc_notes/layers.md`` anew.

A slot of a class in :data:`CLASSES` makes an arrow if its type names another of them, or one of
the :data:`PROTOCOLS` that stand for them.  Its type is what the annotation in ``__init__`` says, or
that of the argument it is set to, or the class that is called to make it.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator

from .source import ROOT, Module, modules

__all__ = ["CLASSES", "PROTOCOLS", "UP", "arrows", "picture", "slots"]

NOTES = ROOT / "rfc_notes" / "layers.md"

CLASSES = {
    "TCPStream": "net.tcp",
    "ServerStack": "stack",
    "HTTPConnection": "http.connection",
    "WebSocketConnection": "websocket.connection",
    "Router": "server.router",
    "SessionRegistry": "engineio.server.registry",
    "Session": "engineio.server.session",
    "EngineIOConnection": "engineio.connection",
    "Polling": "engineio.server.transports",
    "WebSocket": "engineio.server.transports",
    "Candidate": "engineio.server.candidate",
    "Sessions": "server.session_port",
    "Conn": "server.session_port",
    "Multiplexer": "app.multiplexer",
    "HandlerQueue": "app.handler_queue",
    "SocketIOConnection": "socketio.connection",
    "Layered": "routes",
    "Direct": "routes",
    "Socket": "app.socket",
}
"""Class -> its module."""

PROTOCOLS = {
    "Stream": ("TCPStream",),
    "Touched": ("TCPStream",),
    "PacketSender": ("Session", "WebSocketConnection"),
    "Link": ("ServerStack",),
    "LinkUser": ("Polling", "WebSocket", "Candidate", "Direct"),
    "Transport": ("Polling", "WebSocket"),
    "CarriedSession": ("Session",),
    "ProbedSession": ("Session",),
    "SessionOwner": ("SessionRegistry",),
    "SessionUser": ("Multiplexer",),
    "SessionPort": ("Conn",),
    "Port": ("Conn",),
    "Route": ("Layered", "Direct"),
    "MultiplexerLike": ("Multiplexer",),
}
"""An interface -> the classes in the picture that are meant by it."""

UP = {"LinkUser", "CarriedSession", "ProbedSession", "SessionOwner", "SessionUser"}
"""The callback objects: what is below says through them what has happened."""

INHERITED = {"HandlerQueue": "Multiplexer"}
"""A base class -> the class in the picture that has its slots."""

Slot = tuple[str, str]


def _class(module: Module, name: str) -> ast.ClassDef:
    found = [n for n in module.nodes if isinstance(n, ast.ClassDef) and n.name == name]
    assert found, f"{module.name} has no class {name}: tests/architecture/owners.py names it"
    return found[0]


def _init(node: ast.ClassDef) -> ast.FunctionDef | None:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return item
    return None


def slots(name: str) -> Iterator[Slot]:
    """Give the slots that ``__init__`` of a class sets, with their types as text."""
    (module,) = [m for m in modules() if m.name == CLASSES[name]]
    init = _init(_class(module, name))
    if init is None:
        return
    arguments = [*init.args.posonlyargs, *init.args.args, *init.args.kwonlyargs]
    types = {a.arg: ast.unparse(a.annotation) for a in arguments if a.annotation is not None}
    for node in ast.walk(init):
        if isinstance(node, ast.AnnAssign) and _own(node.target):
            yield ast.unparse(node.target)[5:], ast.unparse(node.annotation)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if _own(target):
                    yield ast.unparse(target)[5:], _type_of(node.value, types)


def _own(target: ast.expr) -> bool:
    return (
        isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
    )


def _type_of(value: ast.expr, types: dict[str, str]) -> str:
    if isinstance(value, ast.Name):
        return types.get(value.id, "")
    if isinstance(value, ast.Call):
        called = ast.unparse(value.func)
        return types.get(called, called)
    return ""


def arrows() -> dict[tuple[str, str], str]:
    """Return who holds whom: ``(one, other)`` -> the interface or class that it is held by."""
    found: dict[tuple[str, str], str] = {}
    for name in CLASSES:
        holder = INHERITED.get(name, name)
        for _slot, text in slots(name):
            for word in re.findall(r"\w+", text):
                for other in PROTOCOLS.get(word, (word,) if word in CLASSES else ()):
                    if other != holder and (holder, other) not in found:
                        found[holder, other] = word
    return found


def picture() -> str:
    """Return the picture, as Mermaid."""
    lines = ["```mermaid", "graph BT"]
    for (one, other), by in arrows().items():
        lines.append(f"    {one} -. {by} .-> {other}" if by in UP else f"    {one} --> {other}")
    return "\n".join([*lines, "```"])


def written() -> str:
    """Return the notes with the picture of today."""
    text = NOTES.read_text("utf-8")
    begin = text.index("```mermaid\ngraph BT")
    end = text.index("```", begin + 3) + 3
    return text[:begin] + picture() + text[end:]


if __name__ == "__main__":
    NOTES.write_text(written(), "utf-8")
    sys.exit(0)
