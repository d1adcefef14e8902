"""The runner: takes cases, gives results; knows the world and the clock, and no protocol.

Cases run side by side on threads, except those marked ``serial``; those marked ``last`` judge what
the others have met.  A case whose bytes are data is run several times, cut into TCP segments in
different ways: a verdict that depends on the cut is a FAILED of its own.  After each case a canary
asks whether the peer still serves anybody.

All random bytes come from the seed and the id of the case, so that two runs send the same.
"""

from __future__ import annotations

from rawsio.layer import record

from .case import (
    ERROR,
    FAILED,
    INFORMATIONAL,
    NON_STRICT,
    OK,
    UNIMPLEMENTED,
    VERDICTS,
    Finding,
    NotOffered,
)
from .talk import FEW_HEARD, MOST_HEARD, Stuck, Talk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .case import Case
    from .talk import Caller, Crossing, World
    from .target import Target

__all__ = ["Options", "Result", "Runner", "counts", "guarded"]

MOST_TIME = {"": 30.0, "limit": 60.0, "slow": 150.0}
"""Seconds that a case may take in all, by its mark."""
MOST_WIRE = 64_000_000
"""Bytes of all cases that are kept for reports; of those that come later the beginning is."""
LEAST_WIRE = 4096
"""How much of them."""
MOST_AWAY = 5
"""Cases in a row to which no client comes, if none ever came, at which a run ends early."""
MOST_LOST = 20
"""Connections in a row that cannot be made at which a run ends early."""


@record
class Options:
    """How cases are run."""

    seed: int = 0
    jobs: int = 16
    fast: bool = False
    """No case that waits or loads the peer, and three cuts at most."""
    slow: bool = False
    """Cases that wait for minutes, too."""
    load: bool = True
    """Cases that load the peer; off for hosts that are not ours."""
    patience: float = 2.0
    """Seconds of silence after which nothing more is expected."""
    rate: float = 0.0
    """Most cases begun in a second; 0 is no limit."""


@record
class Result:
    """What became of a case; times are seconds, ``at`` since the beginning of the case."""

    id: str
    rule: str
    level: str
    expect: str
    text: str
    verdict: str
    got: str
    note: str
    close: str
    alive: bool
    seconds: float
    wire: list[Crossing]


def counts(results: Iterable[Result]) -> dict[str, int]:
    """Return how many results there are of each verdict, in the order of the verdicts."""
    found: dict[str, int] = dict.fromkeys(VERDICTS, 0)
    for result in results:
        found[result.verdict] += 1
    return found


class Runner:
    """Runs cases against one target.

    ``canary`` is told a talk and says whether the peer serves a newcomer; ``caller`` brings the
    clients, when they are what is tested.
    """

    def __init__(
        self,
        target: Target,
        world: World,
        options: Options,
        canary: Callable[[Talk], bool] | None = None,
        caller: Callable[[Case], Caller] | None = None,
    ) -> None:
        self.target = target
        self.world = world
        self.options = options
        self.canary = canary
        self.caller = caller
        self.stopped = False
        self.interrupted = False
        """Whether what runs is to be broken off, not only what waits."""
        self.lost = 0
        self.away, self.why = 0, ""
        """To how many cases in a row no client came, and what was said of the last one; -1 once one
        has come."""
        self.kept = 0
        """Bytes that are kept for reports."""

    def skipped(self, case: Case) -> bool:
        """Whether the options leave this case out."""
        if "slow" in case.marks and not self.options.slow:
            return True
        return "limit" in case.marks and (self.options.fast or not self.options.load)

    def run(
        self, cases: Sequence[Case], told: Callable[[Result], object] = lambda _result: None
    ) -> list[Result]:
        """Run cases; ``told`` hears of each result at once, the list is in the cases' order.

        Ends early, with what there is, once ``stopped`` is true or at a KeyboardInterrupt.
        """
        chosen = [case for case in cases if not self.skipped(case)]
        together = [case for case in chosen if "serial" not in case.marks]
        alone = [case for case in chosen if "serial" in case.marks and "last" not in case.marks]
        last = [case for case in chosen if "last" in case.marks]
        found: dict[str, Result] = {}

        def keep(result: Result) -> None:
            found[result.id] = result
            told(result)

        try:
            self._side_by_side(together, keep)
            for case in [*alone, *last]:
                if not self.stopped:
                    keep(self.one(case))
        except KeyboardInterrupt:
            self.stopped = True
        return [found[case.id] for case in chosen if case.id in found]

    def _side_by_side(self, cases: Sequence[Case], keep: Callable[[Result], object]) -> None:
        if self.options.jobs < 2:
            for case in cases:
                if not self.stopped:
                    keep(self.one(case))
            return
        from concurrent.futures import ThreadPoolExecutor

        def one(case: Case) -> None:
            if self.options.rate:
                self.world.pause(self.options.jobs / self.options.rate)
            if not self.stopped:
                result = self.one(case)
                if not self.interrupted:  # else it was broken off
                    keep(result)

        with ThreadPoolExecutor(self.options.jobs) as pool:
            try:
                for future in [pool.submit(one, case) for case in cases]:
                    future.result()
            except BaseException:
                self.stopped = self.interrupted = True
                raise

    def one(self, case: Case) -> Result:
        """Run one case, in all its cuts."""
        began = self.world.time()
        finding, talk = self._judge(case, None)
        if finding.verdict not in (UNIMPLEMENTED, ERROR, FAILED):
            for cut in self._cuts(case):
                other, cut_talk = self._judge(case, cut)
                if _tolerated(case, finding, other):
                    lenient = other.verdict == NON_STRICT
                    finding, talk = (other, cut_talk) if lenient else (finding, talk)
                elif _differ(finding, other, talk, cut_talk):
                    how = "one byte a segment" if cut == 0 else f"cut behind byte {cut}"
                    note = f"depends on TCP: whole it was {finding.verdict} ({finding.got}); {how}"
                    finding = Finding(FAILED, other.got, f"{note}; {other.note}".rstrip("; "))
                    talk = cut_talk
                    break
        self._meet(talk, finding)
        alive = self._alive(finding, case)
        if not alive:
            finding = Finding(FAILED, finding.got, f"the peer is gone; {finding.note}".rstrip("; "))
        return Result(
            case.id,
            case.rule,
            case.level,
            case.expect,
            case.text,
            finding.verdict,
            finding.got,
            finding.note,
            talk.facts.get("close", ""),
            alive,
            self.world.time() - began,
            self._wire(talk),
        )

    def _meet(self, talk: Talk, finding: Finding) -> None:
        """Take note whether the client came to a case, and said something."""
        if any(line.total for line in talk.lines):
            self.away = -1
        elif talk.caller is not None and self.away >= 0:
            self.away += 1
            self.why = finding.note
            self.stopped = self.stopped or self.away >= MOST_AWAY

    @property
    def alone(self) -> bool:
        """Whether the run has ended because no client ever came."""
        return self.away >= MOST_AWAY

    def _wire(self, talk: Talk) -> list[Crossing]:
        """Return what crossed in a case, or its beginning where much is kept already."""
        if self.kept + talk.kept > MOST_WIRE:
            talk.shorten(LEAST_WIRE)
        self.kept += talk.kept
        return talk.crossings

    def _cuts(self, case: Case) -> list[int]:
        if not isinstance(case.send, bytes) or "whole" in case.marks:
            return []
        size = len(case.send)
        if self.options.fast:
            middle = Talk(self.world, self.target, f"{self.options.seed}:{case.id}").random
            return [0, middle.randrange(1, max(2, size))] if size <= 200 else []
        if size <= 200:
            return [0, *range(1, size)]
        return [0, *range(1, size, size // 40)]

    def one_with(self, case: Case, caller: Caller) -> Result:
        """Run one case against the client of this caller, once and whole."""
        kept, self.caller = self.caller, lambda _case: caller
        try:
            return self.one(case)
        finally:
            self.caller = kept

    def _judge(self, case: Case, cut: int | None) -> tuple[Finding, Talk]:
        talk = Talk(
            self.world,
            self.target,
            f"{self.options.seed}:{case.id}",
            cut=cut,
            patience=self.options.patience,
            most=max(MOST_TIME.get(mark, 0.0) for mark in ("", *case.marks)),
            caller=self.caller(case) if self.caller is not None else None,
        )
        talk.most_heard = MOST_HEARD if "limit" in case.marks else FEW_HEARD
        talk.over = lambda: self.interrupted
        finding = guarded(case, talk)
        talk.facts["close"] = talk.end()
        if talk.caller is not None:
            talk.caller.stop()
        return finding, talk

    def _alive(self, finding: Finding, case: Case) -> bool:
        if self.canary is None or finding.verdict == UNIMPLEMENTED:
            return True
        seed = f"{self.options.seed}:{case.id}:canary"
        talk = Talk(self.world, self.target, seed, patience=max(5.0, self.options.patience))
        try:
            there = self.canary(talk)
        except (OSError, Stuck):
            # Nobody is there any more: the rest of the run could only say so again.
            self.lost += 1
            self.stopped = self.stopped or self.lost > MOST_LOST
            return False
        else:
            self.lost = 0 if there else self.lost
            return there
        finally:
            talk.end()


def guarded(case: Case, talk: Talk) -> Finding:
    """Judge a case; whatever goes wrong meanwhile becomes a finding."""
    try:
        return case.judge(talk, case)
    except NotOffered as error:
        return Finding(UNIMPLEMENTED, "", str(error))
    except Stuck as error:
        return Finding(FAILED, str(error))
    except OSError as error:
        return Finding(ERROR, "", f"cannot judge: {error}")
    except Exception as error:  # noqa: BLE001 - a mistake of the tester must not end the run
        return Finding(ERROR, "", f"mistake of the tester: {type(error).__name__}: {error}")


def _tolerated(case: Case, whole: Finding, cut: Finding) -> bool:
    """Whether a peer does, in one of two cuts, what its rule tolerates (``-S``, ``-C``)."""
    tolerant = case.expect.endswith(("-S", "-C"))
    return tolerant and {whole.verdict, cut.verdict} == {OK, NON_STRICT}


def _differ(whole: Finding, cut: Finding, *talks: Talk) -> bool:
    """Whether two cuts of the same bytes, each with its talk, mean that the peer depends on TCP.

    A reset may destroy an answer on its way, which is the network's doing, and a judge may say that
    the difference is mild: then OK and NON-STRICT count as the same.
    """
    if cut.verdict in (whole.verdict, ERROR):
        return False
    mild = {whole.verdict, cut.verdict} <= {OK, NON_STRICT, INFORMATIONAL}
    resets = any(line.ended == "reset" for talk in talks for line in talk.lines)
    excused = resets or any("mild" in talk.facts for talk in talks)
    return not (mild and excused)
