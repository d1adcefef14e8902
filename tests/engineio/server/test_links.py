"""What the registry and the owners of links agree on."""

from __future__ import annotations

from rawsio.engineio.server import links
from rawsio.engineio.server.links import Verdict

from .links import RecordingLink


def test_the_verdicts_have_short_names() -> None:
    for name in ("RESPONDED", "BODY", "WAITING", "UPGRADE"):
        assert getattr(links, name) is Verdict[name]


def test_a_recording_link_has_every_name_of_a_link() -> None:
    # The protocol exists for type checkers only; this is what they check.
    link: links.Link = RecordingLink()
    for name in ("user", "address", "secure", "buffered_amount"):
        assert hasattr(link, name)
    for name in ("respond", "send", "send_prepared", "close"):
        assert callable(getattr(link, name))
