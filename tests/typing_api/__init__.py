"""What type checkers say about programs that use the public interface.

``right.py`` has programs that a checker must accept.  ``wrong.py`` has programs with one mistake
each, on a line that ends in ``# wrong``: there, and nowhere else, a checker must complain.  Nobody
runs these files.  ``python -m tests.typing_api`` has mypy and pyright judge them, and the programs
of the README, of ``rfc_notes/`` and of docstrings; it is part of the section ``types`` of
``.ci/run``.
"""
