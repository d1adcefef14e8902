"""Mutants: right peers with one rule broken, and which cases find each of them out.

A mutant is our own server or client with a :class:`~tests.check.mutants.taps.Mutant` on its wire:
what the tester sends is changed before the peer reads it, or what the peer sends before the tester
does.  A server that takes a blank before a colon is ours behind a filter that removes the blank; a
client whose masking keys are constant is ours behind one that masks anew.  Some differ in an option
or in what they do with a connection instead.

- ``taps`` has the wire and the kinds of filters; ``run`` runs cases against mutants;
- ``http``, ``websocket``, ``engineio``, ``socketio`` and ``clients`` are the tables: rule -> how
  it is broken.

``python -m tests.check.mutants`` prints rule by rule how many cases are caught.
"""
