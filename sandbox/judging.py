"""Judges one submission: every planned test in a process of its own, the verdict decided here."""

import logging
import secrets
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from sandbox import drivers, feedback, labs, processor
from sandbox.failures import Died, Starved, Stop
from sandbox.gpus import Lease
from sandbox.jail import Jail
from sandbox.labs import Lab
from sandbox.pool import Pool
from sandbox.session import Session
from sandbox.testing import Bench, Test, derive
from sandbox.verdict import JudgeRequest, Outcome, TestOutcome, Unavailable, Verdict, overall

MAX_SOURCE = 256 * 1024
UNSOUND = "a test failed by itself"
log = logging.getLogger(__name__)


def run(
    request: JudgeRequest,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    should_abort: Callable[[], bool] | None = None,
    pool: Pool | None = None,
) -> Outcome:
    """See `sandbox.judge`."""
    # The labs' models are tiny: a pass takes a millisecond on one thread, and up to a hundred when two of them spin for the other on a busy machine. The
    # number is one of this thread alone, so it is set by each that judges. It is also how `Session` knows what the engine computed: all of it in this thread.
    torch.set_num_threads(1)
    lab = labs.load(request.lab)
    driver = request.driver or (pool.driver if pool is not None else drivers.default())
    if driver == "plain" and request.hidden:
        raise Unavailable("the plain driver has no walls and refuses hidden tests; use bwrap or container")
    run = _Run(lab, request, driver, on_event or (lambda event: None), should_abort, pool)
    try:
        return run.judge()
    finally:
        run.close()


@dataclass
class _Execution:
    """How one test went."""

    verdict: Verdict
    message: str
    seconds: float
    stdout: str
    record: dict[str, Any] | None = None
    died: bool = False  # whether its jail ended before the submission was loaded
    stuck: bool = False  # whether the submission ran out of time while it loaded
    starved: bool = False  # whether the machine was too busy to tell
    lent: float = 0.0  # of `seconds`, those that it waited for a processor or for Python's lock and that don't count


@dataclass
class _Run:
    lab: Lab
    request: JudgeRequest
    driver: str
    on_event: Callable[[dict[str, Any]], None]
    should_abort: Callable[[], bool] | None
    pool: Pool | None
    jail: Jail | None = None
    lease: Lease | None = None
    entered: bool = False  # whether a test has begun
    loaded: bool = False  # whether the submission has loaded, for whichever test
    fatal: bool = False  # whether the submission's load ended a jail that was started for it alone
    tested: float = 0.0  # seconds that its tests took, less those lent
    lent: float = 0.0  # `run_s` at most, so that no run holds a judge for more than twice that
    began: float = field(default_factory=time.monotonic)
    detail: list[str] = field(default_factory=list)

    def judge(self) -> Outcome:
        tests = self.lab.tests(hidden=self.request.hidden)
        self.on_event({"type": "planned", "n": len(tests)})
        seed = self.request.seed if self.request.seed is not None else secrets.randbits(64)
        results: list[TestOutcome] = []
        best: tuple[int, dict[str, Any]] | None = None
        ending: tuple[Verdict, str] | None = self._refused()
        told = ending[1] if ending else ""
        failed_gate = False
        gates = {group.name for group in self.lab.groups if group.gate}
        group = ""
        for test in tests:
            if test.group != group:
                failed_gate = failed_gate or (group in gates and any(r.group == group and r.verdict != Verdict.AC for r in results))
                group = test.group
            if ending is not None:
                went = _Execution(*ending, 0.0, "")
            elif failed_gate:
                went = _Execution(Verdict.SK, feedback.FIXED[Verdict.SK], 0.0, "")
            else:
                went = self._test(test, seed)
                if went.verdict is Verdict.AB or (went.verdict is Verdict.CE and not results):
                    told = went.message if went.verdict is Verdict.CE else feedback.FIXED[Verdict.AB]
                    ending = (went.verdict, told)
                elif went.verdict is Verdict.CE:  # it did load for an earlier test
                    went.verdict = Verdict.RTE
                elif went.stuck and not self.loaded:  # each further test would wait as long for nothing
                    told, went.message = feedback.stuck(self.lab.limits), feedback.STUCK
                    ending = (went.verdict, feedback.STUCK)
                if went.record is not None:
                    rank = 1_000_000 if test.flight else len(went.record["steps"])
                    if best is None or rank > best[0]:
                        best = (rank, went.record)
            result = self._result(test, went)
            results.append(result)
            self.on_event({"type": "test", "test": result.as_dict()})
        verdict = overall((result.verdict for result in results), len(tests))
        return Outcome(
            verdict=verdict,
            score=sum(result.points for result in results),
            max_score=sum(result.max_points for result in results),
            tests=tuple(results),
            message=told or (UNSOUND if verdict is Verdict.JE else ""),
            flight=best[1] if best else None,
            seconds=time.monotonic() - self.began,
            driver=self.driver,
            detail="\n".join(self.detail),
        )

    def close(self) -> None:
        """Ends the run's jail, and after it the lease of its GPU."""
        self._end_jail()
        if self.lease is not None:
            self.lease.release()

    def _end_jail(self) -> None:
        if self.jail is not None:
            self.jail.close()
            self.jail = None

    def _refused(self) -> tuple[Verdict, str] | None:
        """What is wrong with the source before any of it runs."""
        source = self.request.source
        try:
            size = len(source.encode())
        except UnicodeError:
            return Verdict.CE, "The submission is not valid Unicode text."
        if "\0" in source:
            return Verdict.CE, "The submission holds a NUL character."
        if size > MAX_SOURCE:
            return Verdict.CE, f"The submission has {size} bytes; at most {MAX_SOURCE} are allowed."
        return None

    def _result(self, test: Test, went: _Execution) -> TestOutcome:
        hidden = self.request.hidden
        return TestOutcome(
            name=test.name,
            group=test.group,
            verdict=went.verdict,
            points=test.points if went.verdict is Verdict.AC else 0.0,
            max_points=test.points,
            seconds=feedback.coarse(went.seconds) if hidden else round(went.seconds, 4),
            message=went.message,
            stdout="" if hidden else feedback.clean(went.stdout, 16 * 1024),
        )

    def _jail(self) -> Jail:
        """The run's jail: the one at hand while it is sound, else another."""
        if self.jail is not None and not self.jail.healthy:
            self._end_jail()
        if self.jail is None:
            jail = self.pool.take(self.lab.spec) if self.pool is not None and self.pool.driver == self.driver else None
            self.jail = jail or self._cold_jail()
        self.jail.link.should_abort = self.should_abort
        return self.jail

    def _cold_jail(self) -> Jail:
        """A jail started for this run, with the run's GPU if its lab asks for one."""
        spec = self.lab.spec
        if not spec.gpu_memory_mb:
            return drivers.start(spec, self.driver)
        if self.lease is None:
            self.lease = drivers.gpus().lease(spec.gpu_memory_mb, self.should_abort)
        self.lease.settle()
        jail = drivers.start(replace(spec, devices=self.lease.gpu.nodes), self.driver)
        jail.gpu = self.lease
        self.lease.guard(jail.condemn)
        return jail

    def _test(self, test: Test, seed: int) -> _Execution:
        if self.should_abort is not None and self.should_abort():
            return _Execution(Verdict.AB, feedback.FIXED[Verdict.AB], 0.0, "")
        seconds, text = 0.0, ""
        record: dict[str, Any] | None = None
        for repeat in range(test.repeats):
            if self.tested > self.lab.limits.run_s:
                return _Execution(Verdict.TLE, feedback.OUT_OF_TURN, seconds, text, record)
            inputs = derive(seed, test.name, repeat)
            went = self._counted(test, inputs)
            if went.starved and self._control(test, inputs):
                # The machine has time for the reference: either it has time again, or the submission kept itself waiting.
                went = self._counted(test, inputs)
                if went.starved:
                    went.verdict, went.message = Verdict.TLE, feedback.FIXED[Verdict.TLE]
            if went.verdict is Verdict.JE and not went.starved and self._control(test, inputs):
                # The test itself is sound: what it choked on is the form of the submission's answer.
                went.verdict = Verdict.WA
                went.message = feedback.REASONS["form"]
            went.seconds = seconds = seconds + went.seconds
            went.stdout = text = text + went.stdout
            record = went.record or record
            if went.verdict is not Verdict.AC:
                return went
        return _Execution(Verdict.AC, "", seconds, text, record)

    def _counted(self, test: Test, inputs: int) -> _Execution:
        """Runs the test with the submission, on the run's time."""
        went = self._once(test, inputs, self.request.source)
        lent = min(went.lent, self.lab.limits.run_s - self.lent)
        self.lent += lent
        self.tested += went.seconds - lent
        return went

    def _control(self, test: Test, inputs: int) -> bool:
        """Whether the reference passes the very same test, so that a failure of the test's code is the submission's doing."""
        self._end_jail()  # the reference never enters a jail that the submission was in, nor the other way round
        try:
            return self._once(test, inputs, self.lab.reference).verdict is Verdict.AC
        finally:
            self._end_jail()

    def _once(self, test: Test, inputs: int, source: str) -> _Execution:
        """Runs the test, and again in another jail when the first ended before the submission was loaded, which need not be the submission's doing.

        One whose load ends jails ends the second too, and gets no more second ones in this run. So is one that ran out of time before it ever loaded: all
        tests hang on that, and what kept it may have been no more than a cold disk.
        """
        first, self.entered = not self.entered, True
        went = self._execute(test, inputs, source, first)
        if went.died and not self.fatal:
            went = self._execute(test, inputs, source, first)
            self.fatal = went.died
        if went.stuck and not self.loaded:
            went = self._execute(test, inputs, source, first)
        return went

    def _execute(self, test: Test, inputs: int, source: str, first: bool) -> _Execution:
        jail = self._jail()
        jail.link.take_text()
        began = time.monotonic()
        session = Session(jail, self.lab.limits)
        bench = Bench(inputs)
        verdict, message, died, starved = Verdict.AC, "", False, False
        try:
            with processor.settled(jail.spec.threads == 1) as cpu:
                try:
                    session.load(source, self.lab.entry, derive(inputs, "the submission's own", 0), cpu)
                    test.function(session, bench)
                    session.finish()
                finally:
                    session.abandon()
        except Stop as stop:
            died, starved = isinstance(stop, Died), isinstance(stop, Starved)
            verdict, message = Verdict(stop.verdict), feedback.message(stop, self.request.source, self.request.hidden, first)
        except Exception:
            self.detail.append(f"{test.name}: {traceback.format_exc(limit=-6)}")
            log.warning("test %s of %s failed by itself", test.name, self.lab.slug, exc_info=True)
            verdict, message = Verdict.JE, feedback.FIXED[Verdict.JE]
        seconds = time.monotonic() - began
        record = None
        engine = max(bench.engines, key=lambda engine: len(engine.record.steps), default=None)
        if engine is not None and engine.record.steps:
            engine.settle()
            record = engine.record.as_dict()
        if source is self.request.source:
            self.loaded = self.loaded or session.loaded
        return _Execution(verdict, message, seconds, jail.link.take_text(), record, died, session.stuck, starved, session.lent)
