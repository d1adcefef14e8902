"""What is not traced costs nothing: no function of tracing is entered, no module of it loaded."""

from __future__ import annotations

import subprocess
import sys

from tests.bench.counts import counts_of, hops

LOADED = """
import sys
from rawsio import Server
from rawsio.testing import TestKit
server = Server()
server.on("ask", lambda socket, value: value)
with TestKit(server) as kit:
    client = kit.connect()
    assert client.emit_with_ack("ask", 7).result(timeout=5) == 7
watching = ("rawsio.trace", "rawsio.tracing", "rawsio.explain")
print([name for name in sys.modules if name.startswith(watching)])
"""


def test_a_server_and_a_client_without_a_trace_load_nothing_of_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"


def test_an_event_and_a_broadcast_enter_no_function_of_it() -> None:
    inward, outward = hops(traced=False)
    assert inward
    assert outward
    assert not [name for name in inward + outward if name.startswith(("trace", "explain"))]


def test_a_trace_that_reports_nothing_is_what_costs() -> None:
    # The other way round: this count would see a trace that is always there.
    assert counts_of("echo-d1")[1] < counts_of("echo-d1 traced")[1]
