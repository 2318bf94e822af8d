"""Measures the judge. Figures are medians of one run on one machine; compare them with each other, not with another machine's."""

import contextlib
import json
import statistics
import time
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from django.core.management.base import BaseCommand, CommandError

from sandbox import JudgeRequest, judge, labs, processor, queue_bench
from sandbox.drivers import default, start
from sandbox.meter import MeteredEngine
from sandbox.pool import Pool
from sandbox.queue_bench import percentile
from sandbox.session import Session
from sandbox.spec import JailSpec, Limits
from sandbox.testing import Bench, derive

LAB = "continuous-batcher"
ROWS = ["latency", "first", "call", "overhead", "queue", "kills"]
ECHO = "class Echo:\n    def back(self, value):\n        return value\n"


def first_result(rounds: int) -> dict[str, float]:
    """Milliseconds from `judge` to the first test's result, with a warm pool and with a cold jail."""
    source = labs.load(LAB).reference
    with Pool(size=2) as pool:
        warm = []
        for _ in range(rounds):
            pool.wait()
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
        with processor.settled() as cpu:
            session.load(ECHO, "Echo", 0, cpu)
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


class Command(BaseCommand):
    help = "Print how long the judge takes, what it costs, and what its queue keeps when much is sent at once and workers are killed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")
        parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS, help="default: all; the last two take about ten minutes each")
        parser.add_argument("--rounds", type=int, default=15, help="runs per latency figure")
        parser.add_argument("--submissions", type=int, default=200, help="queued at once")
        parser.add_argument("--kills", type=int, default=20)
        parser.add_argument("--inside", choices=list(queue_bench.MEASUREMENTS), help=SUPPRESS)
        parser.add_argument("--count", type=int, help=SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["inside"]:  # started by itself, with the settings of a site made for the measurement
            self.stdout.write(json.dumps(queue_bench.inside(options["inside"], options["count"])))
            return
        rows: dict[str, Callable[[], dict[str, Any]]] = {
            "latency": lambda: queue_bench.measure("latency", options["rounds"]),
            "first": lambda: first_result(options["rounds"]),
            "call": lambda: proxied_call(2000),
            "overhead": lambda: overhead(3),
            "queue": lambda: queue_bench.measure("queue", options["submissions"]),
            "kills": lambda: queue_bench.measure("kills", options["kills"]),
        }
        figures: dict[str, Any] = {}
        for name in options["rows"]:
            self.stderr.write(f"measuring: {name}")
            try:
                figures |= rows[name]()
            except RuntimeError as error:
                raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(figures))
            return
        for name, value in figures.items():
            self.stdout.write(f"{name:<40}{value:>12.1f}")
