"""Hypothesis profiles: ``--hypothesis-profile`` dev (default), quick, run, ci, deep.

``deep`` runs 20,000 examples, or as many as ``RAWSIO_EXAMPLES`` says.

Assertions count under ``python -O`` too: pytest rewrites those of every module in this folder,
the laws and other helpers included, which it would otherwise leave to the interpreter.
"""

import contextlib
import gc
import os
import signal
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_HELPERS = {path.stem for path in _HERE.iterdir() if path.suffix == ".py" or path.is_dir()}
pytest.register_assert_rewrite(
    *(f"tests.{name}" for name in sorted(_HELPERS) if name[0] not in "_." and name != "conftest")
)

from tests.caches import keep_compiled  # noqa: E402 - its assertions are to be rewritten, too

keep_compiled()

from hypothesis import HealthCheck, settings  # noqa: E402 - it is compiled once, too

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

settings.register_profile("dev", max_examples=50, deadline=None, suppress_health_check=_QUIET)
settings.register_profile(
    "quick", max_examples=10, deadline=None, suppress_health_check=_QUIET, derandomize=True
)
for _name, _examples in (("run", 250), ("ci", 500)):
    settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        derandomize=True,
        print_blob=True,
        suppress_health_check=_QUIET,
    )
settings.register_profile(
    "deep",
    max_examples=int(os.environ.get("RAWSIO_EXAMPLES", "20000")),
    deadline=None,
    print_blob=True,
    suppress_health_check=_QUIET,
)
settings.load_profile("dev")

# Hypothesis keeps many small objects: with the usual thresholds a sixth of the run is collection.
gc.set_threshold(50_000, 20, 100)

# A shell that starts the tests in the background has them, and what they start, ignore SIGINT.
with contextlib.suppress(ValueError):  # not the main thread
    signal.signal(signal.SIGINT, signal.default_int_handler)
