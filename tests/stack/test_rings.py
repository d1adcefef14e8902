"""What a connection leaves when it ends must be gone at once, and not when the collector comes.

A ring of objects keeps a whole connection, with the memory that its peer made it take, until the
collector has seen it; and a collector that has nothing to find may rest
(:mod:`rawsio.net.collector`).
"""

from __future__ import annotations

import gc
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.soak.leak import Soak
from tests.soak.ways import WAYS

SHORT_LIVED = {
    "bad_handshake": "a session that never began, and its transport",
    "child_namespace": "a namespace that was made for one client",
}
"""Ways that leave a ring of a few objects, which live too short to be anybody's burden."""


@pytest.fixture
def quiet() -> Iterator[None]:
    """Keep the log of what the peers do wrong to ourselves."""
    logger = logging.getLogger("rawsio")
    handler, propagated = logging.NullHandler(), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    yield
    logger.removeHandler(handler)
    logger.propagate = propagated


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("options", [{}, {"connection_state_recovery": True}], ids=str)
def test_a_connection_leaves_no_ring_however_it_ends(options: dict[str, Any]) -> None:
    soak = Soak(**options)
    soak.io.on("settle", lambda socket: socket.data.clear())  # it holds a ring of the user's
    soak.round(list(WAYS))
    found = {}
    gc.disable()
    gc.freeze()  # what was there before need not be looked at each time
    try:
        for name in WAYS.keys() - SHORT_LIVED:
            soak.round([name])
            gc.set_debug(gc.DEBUG_SAVEALL)
            if gc.collect():
                found[name] = Counter(type(thing).__name__ for thing in gc.garbage)
            gc.set_debug(0)
            gc.garbage.clear()
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()
        soak.io.close(0.0)
        soak.turns(10)
        soak.loop.close()
    assert not found
