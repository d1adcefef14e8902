"""A model of recovery, driven over a log in memory, and over one in a file.

With a file the process may end at any moment.  The model is in :mod:`tests.app.recovery_contract`;
``.ci/full`` runs this with 20,000 examples.
"""

from __future__ import annotations

from .recovery_contract import machine_for

TestRecoveryInMemory = machine_for(file=False)
TestRecoveryInAFile = machine_for(file=True)
