"""Every row of the bench at its smallest: its counts and bounds hold. No time is tested."""

import gc
import json
import weakref
from typing import Any

import pytest

from engine.bench import main
from engine.bench.rows import ROWS
from engine.bench.shapes import SHAPES, build, weight_bytes
from engine.kv import PagedKV

SIZES = {"throughput": (5, 20), "decode": (2, 40), "prefix": (16, 64), "speculative": (2, 40), "serve": (4, 16), "grammar": (20, 2000)}


def run(capsys: pytest.CaptureFixture[str], row: str) -> dict[str, Any]:
    requests, tokens = SIZES[row]
    assert main([row, "--shape", "tiny", "--requests", str(requests), "--tokens", str(tokens), "--repeat", "1", "--json"]) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert all(value > 0 for key, value in report.items() if key.endswith(("per_second", "_p50", "_p95")))
    return report


def test_throughput_gives_the_peers_answers(capsys: pytest.CaptureFixture[str]) -> None:
    report = run(capsys, "throughput")
    assert report["answers_equal_to_the_peer"] == 5
    assert report["bound_tokens_per_second"] > report["tokens_per_second"]


def test_decode_stays_below_its_bound(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 < run(capsys, "decode")["share_of_bound"] < 1


def test_prefixes_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0.7 < run(capsys, "prefix")["hit_rate"] < 0.95


def test_speculation_emits_what_its_acceptance_says(capsys: pytest.CaptureFixture[str]) -> None:
    report = run(capsys, "speculative")
    assert 0 < report["acceptance"] < 1 < report["tokens_per_pass"] <= 5


def test_serve_and_grammar_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "serve")["tpot_ms_p95"] > 0
    assert run(capsys, "grammar")["vocabulary"] == 2000


@pytest.mark.parametrize("row", ["throughput", "decode", "prefix", "serve"])
def test_no_two_pools_are_alive_at_once(row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU the pool of 256 long requests is 61 GB: two of them don't fit."""
    alive: weakref.WeakSet[PagedKV] = weakref.WeakSet()
    counts: list[int] = []

    class Counted(PagedKV):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            alive.add(self)
            counts.append(len(alive))

    gc.collect()
    monkeypatch.setattr("engine.llm.PagedKV", Counted)
    requests, tokens = SIZES[row]
    assert main([row, "--shape", "tiny", "--requests", str(requests), "--tokens", str(tokens), "--repeat", "2", "--json"]) == 0
    assert len(counts) > 1 and max(counts) == 1


def test_a_wrong_command_line_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "--shape", "tiny", "--dtype", "float8"]) == 1
    assert "float8" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["sideways"])
    assert set(SIZES) == set(ROWS)


def test_the_large_shapes_are_what_their_names_say() -> None:
    small = build("tiny", "float32", "cpu")
    assert weight_bytes(small) == 4 * (512 * 64 + 2 * (64 * (64 + 64) + 64 * 64 + 3 * 64 * 128 + 2 * 64 + 2 * 16))
    shape = SHAPES["llama-3.1-8b"]
    inner, hidden, layers = shape["intermediate_size"], shape["hidden_size"], shape["num_hidden_layers"]
    count = layers * (2 * hidden * hidden + 2 * hidden * 1024 + 3 * hidden * inner + 2 * hidden) + 2 * shape["vocab_size"] * hidden + hidden
    assert count == 8_030_261_248
