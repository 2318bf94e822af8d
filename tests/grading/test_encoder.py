"""The sentence encoder, and what the speed report measures with."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from grading.encoder import WIDTH, Array, encoder
from grading.folders import read_folder
from grading.speed import long_answer, measure, told
from grading.text import read

BANK = Path(__file__).parents[2] / "interviews/bank/packs"
TEXTS = ["A block table maps logical blocks to physical ones.", "Decode waits for memory.", "Prefill works on many tokens at once, so it computes."]


def test_one_pass_gives_the_states_and_the_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    model = encoder()
    fresh = [f"{text} Case {n} of the encoder's test." for n, text in enumerate(TEXTS)]
    alone = model.encode([f"{text} " for text in fresh])  # the blank makes another key, and the same word pieces
    found = model.states(fresh)
    for text, (offsets, rows) in zip(fresh, found, strict=True):
        assert rows.shape == (len(offsets), WIDTH)
        assert offsets[0][0] == 0
        assert offsets[-1][1] == len(text)
        assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0, abs=1e-5)
    monkeypatch.setattr(model, "_embed", lambda texts: [] if not texts else pytest.fail(f"read again: {texts}"))
    assert model.encode(fresh) == pytest.approx(alone, abs=1e-5)


def test_states_leave_an_embedding_that_is_there_as_it_was() -> None:
    model = encoder()
    before = model.encode(TEXTS)
    model.states(TEXTS)
    assert (model.encode(TEXTS) == before).all()


def test_many_texts_of_one_thread_keep_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    model, begun, go_on = encoder(), Event(), Event()
    real = model._embed

    def slow(texts: list[str]) -> list[Array]:
        if texts == ["A very large rubric."]:
            begun.set()
            assert go_on.wait(60)
        return real(texts)

    monkeypatch.setattr(model, "_embed", slow)
    with ThreadPoolExecutor(2) as threads:
        large = threads.submit(model.encode, ["A very large rubric."])
        try:
            assert begun.wait(60)
            assert threads.submit(model.encode, ["A small one."]).result(20).shape == (1, WIDTH)
        finally:
            go_on.set()
        assert large.result(60).shape == (1, WIDTH)


def test_the_long_answer_is_long_and_new() -> None:
    folder = read_folder(BANK / "advanced-inference/high-performance-serving")
    one, other = long_answer(folder, 800, "a"), long_answer(folder, 800, "b")
    assert 800 <= len(one.split()) < 860
    sentences = [clause.text for clause in read(one).sentences]
    assert len(set(sentences)) == len(sentences) > 30
    assert not set(sentences) & {clause.text for clause in read(other).sentences}


def test_the_report_tells_what_it_measured() -> None:
    found = measure(read_folder(BANK / "advanced-inference/high-performance-serving"), words=60, rounds=1)
    assert (found["criteria"], found["words"] >= 60) == (7, True)
    assert found["ratio"] == pytest.approx(found["score"] / found["encoder"])
    assert f"{found['score']:.3f} s" in told(found)
