"""A model of a queue, driven over each store: nothing lost, nothing doubled, order kept.

The invariants are in :mod:`tests.queue.contract`.  ``.ci/full`` runs this with 20,000 examples.
"""

from __future__ import annotations

from hypothesis import settings

from .contract import machine_for
from .test_memory import BENCH as MEMORY
from .test_sqlite import BENCH as SQLITE

_MANY = settings().max_examples
# An example is some fifty steps: with few examples for all, there are fewer of these.
_EXAMPLES = settings(max_examples=_MANY if _MANY > 1000 else max(8, _MANY // 3))

TestOnMemory = machine_for(MEMORY).TestCase
TestOnMemory.settings = _EXAMPLES

TestOnSQLite = machine_for(SQLITE).TestCase
TestOnSQLite.settings = _EXAMPLES
