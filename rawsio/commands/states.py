"""``rawsio states LAYER``: the table of a layer, which says what is legal when.

The tables are the ones that the layers themselves read (``states.py`` of each), as text or as a
state diagram in Mermaid.
"""

from __future__ import annotations

from rawsio.layer import Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from typing import Any

    Step = tuple[Role, str, str, str, str]

__all__ = ["LAYERS", "add_arguments", "run", "as_mermaid", "as_text"]


def _http() -> Iterator[Step]:
    from rawsio.http.states import TRANSITIONS

    return _sent(TRANSITIONS)


def _websocket() -> Iterator[Step]:
    from rawsio.websocket.states import RECEIVING, SENDING

    yield from _sent(SENDING)
    yield from _sent(RECEIVING, "receives")


def _engineio() -> Iterator[Step]:
    from rawsio.engineio.states import CONNECTION

    return _sent(CONNECTION)


def _probe() -> Iterator[Step]:
    from rawsio.engineio.probe import PROBE

    return _sent(PROBE)


def _sent(table: dict[Role, Any], verb: str = "sends") -> Iterator[Step]:
    for role, rows in table.items():
        for state, events in rows.items():
            for event, after in events.items():
                yield role, verb, state.value, event.__name__, after.value


def _socketio() -> Iterator[Step]:
    from rawsio.socketio.states import DROPPED, RECEIVED, SENT

    yield from _sent(SENT)
    yield from _sent(RECEIVED, "receives")
    yield from _sent(DROPPED, "drops")


LAYERS: dict[str, Callable[[], Iterator[Step]]] = {
    "http": _http,
    "websocket": _websocket,
    "engineio": _engineio,
    "probe": _probe,
    "socketio": _socketio,
}
"""Name of a layer -> its steps: role, verb, state, event, next state."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the layer, the role and the form."""
    parser.add_argument("layer", choices=LAYERS, help="which layer")
    parser.add_argument("--role", choices=[role.value for role in Role], help="only this end")
    parser.add_argument("--mermaid", action="store_true", help="a state diagram in Mermaid")


def run(options: argparse.Namespace) -> int:
    """Print the table."""
    steps = [s for s in LAYERS[options.layer]() if options.role in (None, s[0].value)]
    print((as_mermaid if options.mermaid else as_text)(steps))
    return 0


def as_text(steps: list[Step]) -> str:
    """Return steps as lines, under a heading for each role and state.

    >>> print(as_text([(Role.CLIENT, "sends", "open", "Closed", "closing")]))
    client, open
      sends Closed              -> closing
    """
    lines: list[str] = []
    head = ""
    for role, verb, state, event, after in sorted(steps, key=lambda s: (s[0].value, s[2])):
        if head != f"{role.value}, {state}":
            head = f"{role.value}, {state}"
            lines.append(head)
        stays = "stays" if after == state else f"-> {after}"
        lines.append(f"  {verb + ' ' + event:24}  {stays}")
    return "\n".join(lines)


def as_mermaid(steps: list[Step]) -> str:
    """Return steps as a state diagram, a composite state for each role."""
    lines = ["stateDiagram-v2"]
    for role in Role:
        own = [step for step in steps if step[0] is role]
        if not own:
            continue
        lines.append(f"    state {role.value} {{")
        for _, verb, state, event, after in own:
            source, target = (f"{role.value}_{_word(name)}" for name in (state, after))
            lines.append(f"        {source} --> {target}: {verb} {event}")
        lines.append("    }")
    return "\n".join(lines)


def _word(name: str) -> str:
    return name.replace(" ", "_").replace("-", "_")
