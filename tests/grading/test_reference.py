"""Grading from a model answer alone."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

import grading
from grading.attack import FILLER, framed, keywords, negated, shuffled, stamped
from grading.evaluate import load
from grading.reference import grade, spell

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


@pytest.mark.parametrize("text", ["strcpy", "x", "i++", "==", "O(n log n)", "f = m * a", "mean, median, mode, range, variance, deviation, quartile",
                                  "The stack grows down in memory on x86."])
def test_the_model_answer_said_back_earns_all(text: str) -> None:
    assert grade("Does the stack grow up or down in memory on x86?", [text], f" {text} ")[0] == 1.0


def test_a_bare_no_denies_what_is_asked() -> None:
    question = "Are the arrivals independent of each other?"
    reference = "No. Packets come in bursts. Whether one arrives depends on those before it. A video loads many at once."
    answer = "this does not hold, because whether a packet arrives depends on the packets before it and they come in bursts."
    found, flags = grade(question, [reference], f"No, {answer}")
    assert found > 0.7
    assert "contradictory" not in flags
    assert "contradictory" in grade(question, [reference.replace("No", "Yes")], f"No, {answer}")[1]


def test_what_is_said_across_sentences_is_found_by_its_words() -> None:
    """No sentence here comes near a statement of the model answer; together they use its telling words."""
    scattered = ("Think of what one process sees. It is virtual. The space belongs to it alone. Something has to translate, and that is a table. "
                 "Pages go in. Physical frames come out. They lie anywhere.")
    vague = "Think of what one program sees. It is a view. The view belongs to it alone. Something has to convert. One thing goes in. Another comes out."
    assert share(vague) < 0.35 < share(scattered) < share(GOOD)


@pytest.mark.parametrize("spoil", [framed, stamped, keywords])
def test_a_list_of_the_model_answers_words_earns_next_to_nothing_and_is_flagged(spoil: Callable[[str, random.Random], str]) -> None:
    found, flags = grade(QUESTION, [REFERENCE], spoil(REFERENCE, random.Random(0)))
    assert found < 0.1 * share(GOOD)
    assert "wordlist" in flags


@pytest.mark.parametrize("text", [REFERENCE, GOOD])
def test_shuffled_words_earn_little(text: str) -> None:
    found = [share(shuffled(text, random.Random(seed))) for seed in range(8)]
    assert sum(found) / 8 < 0.35 * share(GOOD)


@pytest.mark.parametrize(("model", "answer"), [
    ("Terminal 1 and the positive battery terminal are in different electrical states.", "Terminal 1 is not connected to the positive battery terminal."),
    ("The two terminals are in the same electrical state.", "The terminals are not separated by a gap.")])
def test_a_denial_that_says_what_the_model_answer_says_keeps_all(model: str, answer: str) -> None:
    assert "contradictory" not in grade("Why is the voltage what it is?", [model], answer)[1]


def test_a_denial_of_what_the_model_answer_says_keeps_little() -> None:
    model, question = "The bulb lies on a closed path with the battery.", "Why is the bulb on?"
    denied, flags = grade(question, [model], "The bulb is not on a closed path with the battery.")
    assert denied < 0.5 * grade(question, [model], "The bulb is on a closed path with the battery.")[0]
    assert "contradictory" in flags


def test_who_is_asked_for_names_may_list_them() -> None:
    names = "mean, median, mode, range, variance, deviation, quartile, percentile"
    found, _ = grade("Name measures of a distribution.", [names], "median, mean, mode, variance, range, quartile, percentile, deviation")
    assert found > 0.8
    assert "gibberish" not in grade("Which function copies a string?", ["strcpy or strncpy"], "strncpy")[1]
    assert grade("Name measures of a distribution.", [names], "granite, basalt, marble, slate, chalk, quartz, gneiss, shale")[0] < 0.2


@pytest.mark.parametrize(("word", "other"), [("hypotension", "hypertension"), ("alkane", "alkene"), ("nitrite", "nitrate"), ("intercellular", "intracellular")])
def test_another_word_is_no_slip(word: str, other: str) -> None:
    assert spell(word, (other,)) == word
    assert spell("hypertention and intracelular", ("hypertension", "intracellular")) == "hypertension and intracellular"


@pytest.mark.parametrize(("right", "wrong"), [("It takes O(n log n) steps.", "It takes O(n^2) steps."),
                                              ("The stack grows down in memory.", "The stack grows up in memory.")])
def test_the_opposite_in_the_same_words_earns_less(right: str, wrong: str) -> None:
    assert grade("What is it?", [right], wrong)[0] < 0.7 < grade("What is it?", [right], right.replace("is ", "is indeed "))[0]


def test_the_quiz_files_are_whole() -> None:
    for name, questions, answers in (("hard", 54, 12), ("class", 56, 15)):
        rows = load(str(DATA / f"{name}.jsonl"))
        assert len({row["question_id"] for row in rows}) == questions
        assert len(rows) == questions * answers
        for row in rows:
            assert row["score"] == sum(row["raters"]) / 2
            assert all(0 <= mark <= row["max_score"] == 5 for mark in row["raters"])
