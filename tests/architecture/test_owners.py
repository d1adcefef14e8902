"""Objects between a socket and a handler know each other by declared types, and one way up."""

from __future__ import annotations

import ast

import pytest

from .owners import CLASSES, NOTES, PROTOCOLS, arrows, slots, written
from .source import modules

SET_BY_OTHERS = {
    ("routes", "room"): "a direct route spends what its port lets it",
    ("server.router", "request"): "the router keeps the request in work with its connection",
    ("server.router", "body"): "and the body that it collects",
    ("server.router", "asked"): "and how long that was",
    ("server.server_sockets", "last"): "a server that closes makes an answer the last one",
    ("server.server_sockets", "tls"): "the layer below a connection is made after it",
}
"""(module, slot) -> why it sets a slot of another object."""


def test_the_picture_in_the_notes_is_that_of_the_code() -> None:
    again = "run: python -m tests.architecture.owners"
    assert NOTES.read_text("utf-8") == written(), again


@pytest.mark.parametrize("name", CLASSES)
def test_no_slot_between_a_socket_and_a_handler_may_hold_just_anything(name: str) -> None:
    vague = [slot for slot, text in slots(name) if text in ("Any", "Any | None", "object")]
    # What the application keeps with its sockets is its own.
    allowed = {"Socket": {"_auth", "_data", "_session"}, "TCPStream": {"tag"}}
    assert set(vague) <= allowed.get(name, set())


def test_of_two_that_hold_each_other_one_knows_an_interface_alone() -> None:
    held = arrows()
    both_ways = {(a, b) for a, b in held if (b, a) in held}
    plain = {(a, b) for a, b in both_ways if not {held[a, b], held[b, a]} & set(PROTOCOLS)}
    assert not plain, f"they hold each other, and neither by an interface: {sorted(plain)}"


def test_nobody_sets_the_slots_of_another_object() -> None:
    own = {slot for name in CLASSES if name != "HandlerQueue" for slot, _ in slots(name)}
    places = ("engineio.server", "server", "stack", "routes")
    wrong = [
        f"{module.where(node.lineno)}: {ast.unparse(target)}"
        for module in modules()
        if module.name.startswith(places)
        for node in module.nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute)
        and target.attr in own
        and ast.unparse(target.value) not in ("self", "stream")  # a stream's owner sets its hooks
        and (module.name, target.attr) not in SET_BY_OTHERS
    ]
    assert not wrong, "\n".join(wrong)
