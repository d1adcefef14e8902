"""All the namespaces of a server, and how a name leads to one.

``of(name)`` makes a namespace, or returns the one that exists; ``of(pattern)`` and ``of(function)``
make a parent: a client that asks for a name which nobody knows gets a namespace made on the
spot if one of the parents welcomes it, asked in the order of their registration.

The answer may take time.  A function may be asynchronous or run on a thread, so
:meth:`Namespaces.find` hands its answer to a callback; for names that exist, which is nearly
always, it does so at once.

Names are a client's word, so what they can cost is bounded: at most ``limits.child_namespaces`` are
made by parents at a time, and empty ones give way first.
"""

from __future__ import annotations

from rawsio.errors import Refused, sendable, welcomed_by
from rawsio.log import ERROR, WARNING

from .adapter import Adapter
from .handler_queue import log_failure
from .lifecycle_events import raise_namespace_event
from .namespace import Namespace, ParentNamespace
from .patience import Patience, Patiences

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from re import Pattern
    from typing import Any

    from .interfaces import RuntimeLike

    Found = Callable[[Namespace | None], None]
    Welcome = Pattern[str] | Callable[[str, Any], object]

__all__ = ["Namespaces", "normalise"]

_SIGNS = "[]()*+^$|\\"
"""What a name hardly has, and an expression for many names has."""


def normalise(name: str) -> str:
    """Return the name with the slash that it must begin with.

    >>> normalise(""), normalise("chat"), normalise("/chat")
    ('/', '/chat', '/chat')
    """
    return name if name.startswith("/") else f"/{name}"


class Namespaces:
    """The namespaces of one server.

    ``make_adapter(namespace)`` makes their adapters.  With ``cleanup_empty`` a namespace that a
    parent made is forgotten when its last socket leaves.  ``main`` is the one named ``/``.
    """

    def __init__(
        self,
        host: RuntimeLike,
        make_adapter: Callable[[Namespace], Adapter] | None = None,
        *,
        cleanup_empty: bool = False,
    ) -> None:
        self._host = host
        self._make_adapter = Adapter if make_adapter is None else make_adapter
        self._cleanup_empty = cleanup_empty
        # A pattern or a function of the user, and what it welcomes to.
        self._parents: list[tuple[Any, ParentNamespace]] = []
        self._children = 0
        self._started = False
        self.named: dict[str, Namespace] = {}
        self.joining = Patience(host)
        self.answering = Patiences(host)
        """The clients that have joined nothing yet."""
        self.main = self._make("/")

    def of(self, name: str | Welcome) -> Namespace:
        """Return the namespace of a name, or the parent of a pattern or function; made if new.

        A pattern is anything with ``fullmatch(name)``, as ``re.compile`` gives; a function is
        called with ``(name, auth)`` and welcomes the client with ``True``.  ``ValueError`` for a
        name that no client could ask for.
        """
        if isinstance(name, str):
            name = normalise(name)
            found = self.named.get(name)
            return self._make_asked(name) if found is None else found
        if not hasattr(name, "fullmatch") and not callable(name):
            raise TypeError(f"a namespace is a name, a pattern or a function, not {name!r}")
        for welcome, parent in self._parents:
            if welcome is name:
                return parent
        if callable(name):
            self._host.expect(name)
        parent = ParentNamespace(self._host, f"parent-{len(self._parents)}")
        self._parents.append((name, parent))
        return parent

    def use(self, make_adapter: Callable[[Namespace], Adapter]) -> None:
        """Have another function make the adapters; before the server runs, and clients come."""
        self._make_adapter = make_adapter
        for namespace in self.named.values():
            listening = namespace.adapter.on_event
            namespace.adapter = make_adapter(namespace)
            namespace.adapter.on_event = listening

    def _make_asked(self, name: str) -> Namespace:
        most = self._host.limits.namespace_name
        if "," in name:
            raise ValueError(f"the name of a namespace has no comma, where it would end: {name!r}")
        if not sendable(name):
            raise ValueError(f"the name of a namespace has no lone surrogates, as {name!r} has")
        if len(name) > most:
            raise ValueError(f"the name of a namespace has {most} characters at most: {name!r}")
        if any(sign in name for sign in _SIGNS):
            message = f"of({name!r}) is one name: re.compile() makes a pattern that many names fit"
            self._host.log("socketio", WARNING, message)
        return self._make(name)

    def _make(self, name: str) -> Namespace:
        parent = None
        for welcome, candidate in self._parents:
            if hasattr(welcome, "fullmatch") and welcome.fullmatch(name):
                parent = candidate
                break
        return self._make_child(name, parent)

    def _make_child(self, name: str, parent: ParentNamespace | None) -> Namespace:
        cleanup = self._forget if parent is not None and self._cleanup_empty else None
        namespace = Namespace(self._host, name, self._make_adapter, vacated=cleanup)
        if parent is not None:
            parent._adopt(namespace)
            self._children += 1
        self.named[name] = namespace
        if self._started:
            namespace.adapter.init()
        if name != "/":
            raise_namespace_event(self.main, "new_namespace", namespace)
        return namespace

    def _forget(self, namespace: Namespace) -> None:
        if self.named.get(namespace.name) is not namespace:
            return
        del self.named[namespace.name]
        self._children -= 1
        if namespace._parent is not None:
            del namespace._parent._children[namespace.name]
        namespace.adapter.close()

    def _room_for_a_child(self) -> bool:
        most = self._host.limits.child_namespaces
        if self._children >= most:
            for namespace in list(self.named.values()):
                if namespace._parent is not None and not (namespace.sockets or namespace._opening):
                    self._forget(namespace)
        return self._children < most

    # Names that clients ask for

    def find(self, name: str, auth: Any, found: Found) -> None:
        """Call ``found`` with the namespace that a client asks for, or with ``None``."""
        namespace = self.named.get(name)
        if namespace is not None or not self._parents:
            found(namespace)
        else:
            self._ask(name, auth, found, 0)

    def _ask(self, name: str, auth: Any, found: Found, position: int) -> None:
        while position < len(self._parents):
            welcome, parent = self._parents[position]
            position += 1
            if hasattr(welcome, "fullmatch"):
                if welcome.fullmatch(name):
                    found(self._welcomed(name, parent))
                    return
                continue

            def answered(
                result: Any,
                error: BaseException | None,
                parent: ParentNamespace = parent,
                following: int = position,
            ) -> None:
                if self._welcomes(name, result, error):
                    found(self._welcomed(name, parent))
                else:
                    self._ask(name, auth, found, following)

            self._host.start(welcome, (name, auth), answered)
            return
        found(None)

    def _welcomes(self, name: str, result: Any, error: BaseException | None) -> bool:
        try:
            if error is None:
                return welcomed_by(result, "a namespace function")
        except TypeError as unclear:
            error = unclear
        if error is not None and not isinstance(error, Refused):
            log_failure(self._host, "the namespace function for", name, name, error)
        return False

    def _welcomed(self, name: str, parent: ParentNamespace) -> Namespace | None:
        # Another client may have had it made while a function was being asked.
        existing = self.named.get(name)
        if existing is not None:
            return existing
        if not self._room_for_a_child():
            most = self._host.limits.child_namespaces
            message = f"a client was refused: clients have made {most} namespaces already"
            self._host.log("socketio", WARNING, f"{message} [Limits.child_namespaces]")
            return None
        return self._make_child(name, parent)

    def start(self, _runtime: RuntimeLike) -> None:
        """Let the adapters begin: the server runs.  Those of later namespaces begin at once."""
        self._started = True
        for namespace in list(self.named.values()):
            namespace.adapter.init()

    def shrink(self) -> None:
        """Have the adapters keep less."""
        for namespace in self.named.values():
            namespace.adapter.shrink()

    def stop(self, _deadline: float) -> None:
        """End every adapter."""
        self.joining.rest()
        self.answering.rest()
        for namespace in self.named.values():
            try:
                namespace.adapter.close()
            except Exception as error:  # noqa: BLE001 - it may be the user's, and the others end, too
                message = f"the adapter of {namespace.name!r} could not be closed"
                self._host.log("socketio", ERROR, message, error)
