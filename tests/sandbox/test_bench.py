"""The bench of the judge at its smallest: it counts right. No time is tested."""

from sandbox.management.commands.bench_sandbox import first_result, overhead, proxied_call, throughput


def test_each_row_reports() -> None:
    figures = first_result(1) | proxied_call(20) | overhead(1)
    wanted = {"first result, warm pool, p50 ms", "proxied call, median us", "overhead on continuous-batcher, %", "overhead on speculative-decoder, %"}
    assert wanted <= set(figures)
    assert all(value > 0 for value in figures.values())


def test_every_submission_is_judged_once() -> None:
    figures = throughput(3, 2)
    assert (figures["submissions judged"], figures["of them accepted"]) == (3, 3)
