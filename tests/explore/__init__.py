"""An explorer of interleavings: real server, real clients, and every order of what can happen.

``python3 -m tests.explore`` explores all scenarios; ``--only SCENARIO``, ``--depth N`` and
``--seconds N`` bound it; ``--replay "STEP, STEP"`` repeats a trace that it printed.

A *scenario* (:mod:`tests.explore.scenarios`) makes a server and clients on a
:class:`rawsio.testing.TestKit` whose wires are held, and says what each *actor* will do.  A *step*
is one of these, and everybody does what follows from it before the next one:

``>0``, ``<0``    the next piece arrives on connection 0, at the server, at the client
``>0/``, ``<0/``  the first half of it arrives: the frame is split
``>0*``, ``<0*``  all pieces that are on their way arrive, in one read
``x0``            connection 0 is reset
``~0``            connection 0 loses everything from now on, and nobody learns it
``t``             time passes until the next timer
``name``          an actor makes its next call
``name+>0``       the same, and the next piece arrives on connection 0, in one turn of the loop

The search (:mod:`tests.explore.search`) goes breadth first, so the first trace that breaks an
invariant is a shortest one.  Worlds cannot be copied: each trace runs from the start, which is the
same each time, as the clock and randomness are the kit's.  Traces that lead to the same *state*
(:meth:`tests.explore.world.World.state`) are continued once.  The invariants are in
:mod:`tests.explore.invariants`: some hold in each state, and in each state the rest is delivered
then, time passes, and the others are checked.
"""
