"""What a registry tells of its sessions, written down as events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rawsio.engineio.packets import Message, Upgraded
from rawsio.engineio.server.registry import SessionRegistry
from rawsio.engineio.server.session import Session
from rawsio.layer import Closed, Failed

__all__ = ["OPENED", "Recorder", "RecordingRegistry", "RecordingUser"]

OPENED = "opened"


class RecordingUser:
    """The layer above a session."""

    held = incoming = connect_data = queued_bytes = 0
    reading, paused = True, False

    def __init__(self, session: Session, recorder: Recorder) -> None:
        self._session = session
        self._recorder = recorder

    def _note(self, event: Any) -> None:
        self._recorder.note(self._session, event)

    def receive(self, data: str | bytes) -> None:
        self._note(Message(data))

    def moved(self) -> None:
        self._note(Upgraded())

    def reroute(self) -> None:
        """Every packet is seen here as it is."""

    def go_on(self) -> None:
        """Every message is read at once here."""

    go_on_alone = go_on

    def drained(self) -> None:
        self._recorder.drains += 1

    def ended(self, reason: str, description: str | None = None) -> None:
        if description is None:  # else the registry was told of the failure
            self._note(Closed(0, reason))


class Recorder:
    """The owner of a registry: gives each session a user, and keeps pairs of session and event.

    With ``tell`` that is told of them instead.
    """

    def __init__(self, tell: Callable[[Session, Any], object] | None = None) -> None:
        self.events: list[tuple[Session, Any]] = []
        self._tell = tell
        self.touches: list[Session] = []
        self.over: list[Session] = []
        self.drains = 0
        self.now: Callable[[], float] = lambda: 0.0

    def note(self, session: Session, event: Any) -> None:
        if self._tell is None:
            self.events.append((session, event))
        else:
            self._tell(session, event)

    def time(self) -> float:
        return self.now()

    def opened(self, session: Session) -> None:
        session.bind(RecordingUser(session, self))
        self.note(session, OPENED)

    def touched(self, session: Session) -> None:
        self.touches.append(session)

    def flushed(self, session: Session) -> None:
        """Time is the test's business."""

    def gone(self, session: Session) -> None:
        self.over.append(session)

    def taken(self) -> list[Any]:
        """Return the events since the last call, without their sessions."""
        events = [event for _, event in self.events]
        self.events.clear()
        return events


class RecordingRegistry(SessionRegistry):
    """A registry whose owner sees the failures of sessions whole."""

    def __init__(self, *arguments: Any, recorder: Recorder, **more: Any) -> None:
        super().__init__(*arguments, owner=recorder, **more)
        self._recorder = recorder

    def failed(self, session: Session, failure: Failed) -> None:
        self._recorder.note(session, failure)
        super().failed(session, failure)
