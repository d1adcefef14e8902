"""Scripts that load a real server and hold it to bounds; ``.ci/full`` runs them all.

Each prints its figures, and ends with exit code 1 if a bound is passed: ``python -m
tests.soak.NAME`` with ``leak``, ``slow_reader``, ``memory`` or ``idle``.  They need Linux
(``/proc``).
"""
