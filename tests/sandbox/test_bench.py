"""The bench of the judge at its smallest: it counts right. No time is tested."""

import math

from sandbox.management.commands.bench_sandbox import first_result, overhead, proxied_call
from sandbox.queue_bench import measure


def test_each_row_reports() -> None:
    figures = first_result(1) | proxied_call(20) | overhead(1)
    wanted = {"first result, warm pool, p50 ms", "proxied call, median us", "overhead on continuous-batcher, %", "overhead on speculative-decoder, %"}
    assert wanted <= set(figures)
    # An overhead is a difference of two times: from one round on a busy machine it may be below nothing.
    assert all(math.isfinite(value) and (value > 0 or row.startswith("overhead")) for row, value in figures.items())


def test_what_is_queued_on_a_whole_site_is_judged_once() -> None:
    figures = measure("queue", 3)
    counts = [figures[f"queued, {what}"] for what in ("judged", "accepted", "with each test's result once", "judged more than once")]
    assert counts == [3, 3, 3, 0]


def test_a_run_whose_worker_is_killed_gets_its_verdict_from_the_next() -> None:
    figures = measure("kills", 1)
    assert (figures["killed, right verdict after all"], figures["killed, judged in two attempts"]) == (1, 1)
