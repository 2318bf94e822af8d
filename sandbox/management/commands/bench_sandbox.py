"""Measures the judge. Figures are medians of one run on one machine; compare them with each other, not with another machine's."""

import contextlib
import json
import resource
import statistics
import time
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import torch
from django.core.management.base import BaseCommand, CommandError

from sandbox import JudgeRequest, judge, labs
from sandbox.drivers import default, start
from sandbox.meter import MeteredEngine
from sandbox.pool import Pool
from sandbox.session import Session
from sandbox.spec import JailSpec, Limits
from sandbox.testing import Bench, derive

LAB = "continuous-batcher"
ECHO = "class Echo:\n    def back(self, value):\n        return value\n"


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def first_result(rounds: int) -> dict[str, float]:
    """Milliseconds from `judge` to the first test's result, with a warm pool and with a cold jail."""
    source = labs.load(LAB).reference
    with Pool(size=2) as pool:
        warm = []
        for _ in range(rounds):
            pool.wait(1)
            warm.append(_until_first(source, pool))
    cold = [_until_first(source, None) for _ in range(3)]
    return {
        "first result, warm pool, p50 ms": statistics.median(warm) * 1e3,
        "first result, warm pool, p95 ms": percentile(warm, 0.95) * 1e3,
        "first result, cold jail, median ms": statistics.median(cold) * 1e3,
    }


def _until_first(source: str, pool: Pool | None) -> float:
    seen: list[float] = []
    began = time.perf_counter()

    def listen(event: dict[str, Any]) -> None:
        if event["type"] == "test" and not seen:
            seen.append(time.perf_counter() - began)

    judge(JudgeRequest(lab=LAB, source=source, hidden=False), on_event=listen, should_abort=lambda: bool(seen), pool=pool)
    return seen[0]


def proxied_call(calls: int) -> dict[str, float]:
    """Microseconds of one call into the jail and back with a small argument."""
    jail = start(JailSpec(), default())
    try:
        session = Session(jail, Limits(test_s=60))
        session.load(ECHO, "Echo", 0)
        echo = session.new("Echo")
        times = []
        for number in range(calls):
            began = time.perf_counter()
            echo.back(number)
            times.append(time.perf_counter() - began)
        session.finish()
    finally:
        jail.close()
    return {"proxied call, median us": statistics.median(times) * 1e6, "proxied call, p95 us": percentile(times, 0.95) * 1e6}


class _Here:
    """Answers a test's calls in this process: what judging would cost without jail, wire and forks."""

    spent = 0.0

    def __init__(self, source: str) -> None:
        self.module = ModuleType("submission")
        exec(compile(source, "submission", "exec"), self.module.__dict__)

    def new(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.module, name)(*args, **kwargs)

    def function(self, name: str) -> Any:
        return getattr(self.module, name)


class _HereBench(Bench):
    def engine(self, model: str = "target", **options: Any) -> MeteredEngine:
        engine = super().engine(model, **options)
        for name, value in engine.constants().items():
            setattr(engine, name, value)
        return engine


def overhead(rounds: int) -> dict[str, float]:
    """Each lab's reference solution under the judge (warm jail, hidden tests) against the same tests and calls in this process, in turn."""
    figures = {}
    torch.set_num_threads(1)  # as the judge does: both sides compute alike
    for name in labs.slugs():
        lab, ratios, extra = labs.load(name), [], []
        tests = [(test, repeat) for test in lab.tests(hidden=True) for repeat in range(test.repeats)]
        for seed in range(rounds):
            began = time.perf_counter()
            for test, repeat in tests:
                with contextlib.suppress(Exception):  # a test of refusals knows the wire's exceptions alone: it ends early here
                    test.function(_Here(lab.reference), _HereBench(derive(seed, test.name, repeat)))  # type: ignore[arg-type]
            here = time.perf_counter() - began
            with Pool(size=1) as pool:
                pool.wait(1)
                began = time.perf_counter()
                outcome = judge(JudgeRequest(lab=name, source=lab.reference, hidden=True, seed=seed), pool=pool)
                judged = time.perf_counter() - began
            if outcome.verdict != "AC":
                raise CommandError(f"the reference solution of {name} got {outcome.verdict}")
            ratios.append(judged / here - 1)
            extra.append((judged - here) / len(tests))
        figures[f"overhead on {name}, %"] = statistics.median(ratios) * 100
        figures[f"overhead on {name}, ms per test"] = statistics.median(extra) * 1e3
    return figures


def throughput(submissions: int, workers: int) -> dict[str, float]:
    """Submissions judged against the hidden tests, several at a time, each once and none lost."""
    source = labs.load(LAB).reference
    with Pool(size=workers + 1) as pool, ThreadPoolExecutor(workers) as threads:
        pool.wait()
        began = time.perf_counter()
        outcomes = list(threads.map(lambda _: judge(JudgeRequest(lab=LAB, source=source, hidden=True), pool=pool), range(submissions)))
        seconds = time.perf_counter() - began
    accepted, peak = sum(outcome.verdict == "AC" for outcome in outcomes), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"submissions judged": len(outcomes), "of them accepted": accepted, "submissions per minute": submissions / seconds * 60,
            "peak memory of the judge, MiB": peak}  # fmt: skip


class Command(BaseCommand):
    help = "Print how long the judge takes: to a first result, for a proxied call, and how many submissions it judges."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")
        parser.add_argument("--rounds", type=int, default=15, help="runs per latency figure")
        parser.add_argument("--submissions", type=int, default=20)

    def handle(self, *args: Any, **options: Any) -> None:
        figures = first_result(options["rounds"]) | proxied_call(2000) | overhead(3) | throughput(options["submissions"], 2)
        if options["json"]:
            self.stdout.write(json.dumps(figures))
            return
        for name, value in figures.items():
            self.stdout.write(f"{name:<40}{value:>12.1f}")
