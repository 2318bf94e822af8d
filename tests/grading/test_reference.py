"""Grading from a model answer alone."""

from pathlib import Path

import pytest

import grading
from grading.attack import FILLER, negated
from grading.evaluate import load
from grading.reference import grade

QUESTION = "Why does a page table map virtual pages to physical frames?"
REFERENCE = ("The operating system gives each process its own virtual address space. A page table translates virtual pages to physical frames. "
             "Frames of a process can lie anywhere in memory.")
GOOD = "Every process has its own virtual address space. The page table translates its virtual pages into physical frames, and the frames can lie anywhere."
DATA = Path(grading.__file__).parent / "data/quiz"


def share(answer: str) -> float:
    return grade(QUESTION, [REFERENCE], answer)[0]


def test_a_good_answer_earns_most_and_filler_beside_it_changes_next_to_nothing() -> None:
    assert share(GOOD) > 0.7
    assert share(f"{GOOD} {FILLER}") == pytest.approx(share(GOOD), abs=1 / 28)
    assert share(FILLER) < 0.1


@pytest.mark.parametrize("answer", [GOOD, "The page table translates virtual pages into physical frames."])
def test_an_answer_that_denies_the_model_answer_throughout_keeps_little_and_is_flagged(answer: str) -> None:
    found, flags = grade(QUESTION, [REFERENCE], negated(answer, None))  # type: ignore[arg-type]
    assert found < 0.5 * share(answer)
    assert "contradictory" in flags


def test_one_denial_among_other_sentences_is_part_of_an_answer() -> None:
    assert share(f"{GOOD} A process does not see the frames of another one.") > 0.9 * share(GOOD)


def test_where_the_model_answer_denies_too_a_denial_is_no_sign() -> None:
    found, flags = grade("Is UDP reliable?", ["UDP does not guarantee that datagrams arrive."], "UDP doesn't guarantee that the datagrams arrive.")
    assert found > 0.7
    assert "contradictory" not in flags


def test_the_quiz_files_are_whole() -> None:
    for name, questions, answers in (("hard", 54, 12), ("class", 56, 15)):
        rows = load(str(DATA / f"{name}.jsonl"))
        assert len({row["question_id"] for row in rows}) == questions
        assert len(rows) == questions * answers
        for row in rows:
            assert row["score"] == sum(row["raters"]) / 2
            assert all(0 <= mark <= row["max_score"] == 5 for mark in row["raters"])
