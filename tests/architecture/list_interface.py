"""Write ``rfc_notes/interface.md`` anew: every public name of the classes that users hold.

``python -m tests.architecture.list_interface``
"""

from __future__ import annotations

import inspect
import re

from rawsio import Adapter, Client, ClientSocket, Namespace, Reply, Server, Socket
from rawsio.app.broadcast import Broadcast, Flags, SocketFlags
from rawsio.app.handshake import Handshake

from .source import ROOT

__all__ = ["CLASSES", "DOCUMENT", "names", "written"]

DOCUMENT = ROOT / "rfc_notes" / "interface.md"

CLASSES: dict[type, str] = {
    Server: "the server, and its main namespace",
    Namespace: "`io.of(name)`",
    Socket: "what handlers of the server get: one client in one namespace",
    Broadcast: "`io.to(room)`, `socket.broadcast` and their kin; each word gives another one",
    SocketFlags: "`socket.volatile`, `socket.timeout(seconds)`, `socket.compress(flag)`",
    Handshake: "`socket.handshake`",
    Client: "one connection to a server",
    ClientSocket: "what `rawsio.connect` gives: this program in one namespace",
    Flags: "`volatile`, `timeout(seconds)` and `compress(flag)` of a client's socket",
    Reply: "what `emit_with_ack` gives",
    Adapter: "who is in which room; for those who write one (`extending.md`)",
}
"""The classes, and what each is to users."""

ATTRIBUTES = {
    "active": "Whether it is in the namespace, or on its way there.",
    "adapter": "Who is in which room.",
    "address": "What the URL says.",
    "auth": "What the client gave with its CONNECT; of a client, what it will give.",
    "client": "The client whose socket it is.",
    "core": "What runs without sockets; for who hosts it.",
    "engine": "The Engine.IO sessions.",
    "host": "The clock, the timers and the log; for adapters.",
    "id": "Its name, for others too.",
    "limits": "Every bound.",
    "main": "The socket of the namespace that the URL names.",
    "name": "Its name, with the slash.",
    "namespace": "Where it is; of a client's socket, the name of that.",
    "namespaces": "All namespaces.",
    "net": "The sockets and the loop; for who hosts it.",
    "on_event": "Called with `(kind, room, sid)` for each change of a room.",
    "options": "The options.",
    "recovered": "Whether it continues a session that was lost.",
    "recovers": "Whether packets and sessions are kept.",
    "waits_for_rooms": "Whether `entered` has to know who has joined rooms.",
    "rooms": "The ids in each room.",
    "sids": "The rooms of each socket.",
    "sockets": "The sockets, by id; of a client, by namespace.",
    "state": "What it is doing.",
    "trouble": "Why the last attempt to connect failed.",
}
"""What plain attributes are, by their names."""

HEAD = """\
# The public interface, name by name

Every name without an underscore of the classes that a program holds. A name that is not here is for
the library alone, and begins with an underscore. `python -m tests.architecture.list_interface`
writes this file; a test compares it with the classes.
"""


def _attributes(cls: type) -> set[str]:
    """Return the attributes that objects have beside what their class says."""
    slots: set[str] = set()
    for base in cls.__mro__:
        found = base.__dict__.get("__slots__", ())
        slots |= {found} if isinstance(found, str) else set(found)
    own = "".join(inspect.getsource(base) for base in cls.__mro__ if "rawsio" in base.__module__)
    # A type may stand behind the name, or several names before the value.
    slots |= set(re.findall(r"^ {8}self\.(\w+)(?:: [^=\n]+)? = ", own, re.MULTILINE))
    slots |= set(re.findall(r"^ {8}self\.(\w+), self\.\w+ = ", own, re.MULTILINE))
    slots |= set(re.findall(r"^ {8}self\.\w+, self\.(\w+) = ", own, re.MULTILINE))
    return slots


def names(cls: type) -> dict[str, str]:
    """Return the public names of a class, each with the first sentence about it."""
    found = {}
    for name in sorted({*dir(cls), *_attributes(cls)}):
        if name.startswith("_"):
            continue
        member = inspect.getattr_static(cls, name, None)
        text = (
            inspect.getdoc(member)
            if inspect.isroutine(member)
            else getattr(member, "__doc__", None)
        )
        if isinstance(member, (bool, type(None))) or type(member).__name__ == "member_descriptor":
            text = ATTRIBUTES[name]
        sentence = re.sub(r"\s+", " ", (text or "").split("\n\n")[0])
        sentence = re.sub(r":[a-z]+:`~?[\w.]*?(\w+)`", r"`\1`", sentence).replace("``", "`")
        found[name] = sentence.replace("|", "\\|")
    return found


def written() -> str:
    """Return the document as it should be."""
    parts = [HEAD]
    for cls, meaning in CLASSES.items():
        rows = [f"| `{name}` | {text} |" for name, text in names(cls).items()]
        parts.append(
            f"\n## {cls.__name__}: {meaning}\n\n| name | |\n|---|---|\n" + "\n".join(rows) + "\n"
        )
    return "".join(parts)


if __name__ == "__main__":
    DOCUMENT.write_text(written(), "utf-8")
