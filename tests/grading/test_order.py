"""Words in order against words by chance."""

import random
from pathlib import Path

import pytest

from grading import order
from grading.attack import keywords, shuffled
from grading.order import pieces, shipped
from grading.order_fit import half_shuffled, keep, measure, sentences, teach
from grading.statements import read_all

PROSE = "Every process has its own virtual address space, and the page table translates its virtual pages into physical frames."


def odds(text: str) -> float:
    return shipped().log_odds(text)


def test_prose_has_an_order_and_the_same_words_shuffled_or_listed_have_none() -> None:
    assert odds(PROSE) > 2.0
    mixed = [odds(shuffled(PROSE, random.Random(seed))) for seed in range(9)]
    assert sorted(mixed)[4] < -1.0
    assert max(mixed) < odds(PROSE)
    assert odds(keywords(PROSE, random.Random(0))) < odds(PROSE) - 4.0


@pytest.mark.parametrize("text", ["Bulb A is still in a closed path with the battery.", "In stack the element which is enter at the end, he go out the first.",
                                  "- to support billions of end systems\n- to reduce the routing tables\n- to be open for change"])
def test_letters_for_names_second_language_english_and_notes_are_prose(text: str) -> None:
    assert odds(text) > -2.0


def test_held_out_statements_are_told_from_their_own_words() -> None:
    _, held = read_all()
    lines = [line for item in held[::4] for lines in item.lines.values() for line in lines]
    found = measure(shipped(), lines)
    assert found["8 to 14"]["auc"]["shuffled"] > 0.93
    assert found["15 to 39"]["auc"]["shuffled"] > 0.98
    assert found["15 to 39"]["auc"]["keywords"] > 0.98


def test_no_text_says_nothing_and_marks_count_as_one_comma() -> None:
    assert odds("") == odds("   ") == 0.0
    assert pieces("page -- (table)") == pieces("Page, table,")
    assert shipped().evidence(["", PROSE])[0] == (0.0, 0)


def test_evidence_grows_with_the_root_of_the_length() -> None:
    long = " ".join([PROSE] * 12)  # four parts
    assert odds(long) > 2.5 * odds(PROSE)


def test_half_of_the_words_change_places() -> None:
    text = "one two three four five six seven eight"
    for seed in range(5):
        made = half_shuffled(text, random.Random(seed)).split()
        assert sorted(made) == sorted(text.split())
        assert sum(a != b for a, b in zip(made, text.split(), strict=True)) <= 4


def test_what_is_learnt_from_and_what_is_measured_with_are_apart() -> None:
    lines, held = sentences(Path("interviews/bank/packs"), Path("interviews/bank/marked"))
    assert len(lines) > 15_000
    assert not set(lines) & set(held)


def test_a_network_is_taught_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_, held = read_all()
    lines = [item.statement for item in open_] + [line for item in open_ for line in item.lines["+"][:1]]
    made, kept = teach(lines, epochs=3)
    assert measure(made, [line for item in held for line in item.lines["*"]])["15 to 39"]["auc"]["shuffled"] > 0.7
    monkeypatch.setattr(order, "FILE", tmp_path / "order.safetensors")
    keep(kept)
    shipped.cache_clear()
    try:
        assert odds(PROSE) == pytest.approx(made.log_odds(PROSE), abs=0.05)
    finally:
        shipped.cache_clear()
