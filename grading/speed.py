"""How long a score takes: a long answer to a question of the bank, in a process that has scored before, none of its sentences read before.

Beside it, in the same run and in turns, the time that the encoder alone takes for the same sentences: the least that any scorer with this encoder would need.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import count, cycle
from typing import Any

import torch

from grading.encoder import encoder
from grading.folders import Folder
from grading.scorer import score
from grading.text import read

ROUNDS, WORDS = 9, 800


def long_answer(folder: Folder, words: int, tag: str) -> str:
    """The sentences of the question's exemplars, the best first, until there are `words` words; each has `tag` in it, so that it is new to every cache.

    Raises:
        ValueError: the question has no prose exemplars.
    """
    exemplars = sorted(folder.exemplars, key=lambda e: e[1], reverse=True)  # L7, L6, L5, below
    sentences = [clause.text.rstrip(". ") for _, _, answer in exemplars for clause in read(answer.text).sentences]
    if not sentences:
        raise ValueError(f"{folder.path}: no prose exemplar")
    out = list[str]()
    for n, sentence in zip(count(), cycle(sentences)):
        out.append(f"{sentence} (case {tag}{n}).")
        if sum(len(one.split()) for one in out) >= words:
            break
    return " ".join(out)


def measure(folder: Folder, words: int = WORDS, rounds: int = ROUNDS) -> dict[str, Any]:
    """{words, criteria, claims, threads, score, encoder: median seconds; ratio}."""
    scores, alone = list[float](), list[float]()
    for n in range(rounds + 1):
        text = long_answer(folder, words, f"a{n}-")
        scores.append(_seconds(partial(score, folder.rubric, text, folder.question)))
        sentences = [clause.text for clause in read(long_answer(folder, words, f"b{n}-")).sentences]
        alone.append(_seconds(partial(encoder().encode, sentences)))
    median, least = statistics.median(scores[1:]), statistics.median(alone[1:])  # the first round warms up
    return {"words": len(text.split()), "criteria": len(folder.rubric.criteria), "claims": sum(len(c.claims) for c in folder.rubric.criteria),
            "threads": torch.get_num_threads(), "score": median, "encoder": least, "ratio": median / least}


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def told(found: dict[str, Any]) -> str:
    """The report for people."""
    return (f"{found['words']} words, {found['criteria']} criteria, {found['claims']} claims, {found['threads']} threads: {found['score']:.3f} s (median); "
            f"the encoder alone, on the same sentences: {found['encoder']:.3f} s; ratio {found['ratio']:.2f}")
