"""The marked set: its files fit the bank, bad ones are refused by name, and the report says what it should."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from grading import marked
from grading.evaluate import DataError
from grading.marked import Mark, read, read_all, report, table
from grading.result import Score, Unsure
from grading.scorer import score

BANK = Path("interviews/bank/packs")
SHIPPED = sorted(Path("interviews/bank/marked").rglob("*.yaml"))
RUBRIC = {
    "bands": {"L5": 1},
    "criteria": [
        {"id": "where", "title": "Where", "points": 2, "levels": ["no", "half", "all"],
         "claims": [{"id": "pool", "text": "The block pool is split into pages of equal size."},
                    {"id": "table", "text": "A block table maps logical to physical blocks."}],
         "rule": {1: 1, 2: 2}, "misconceptions": [{"id": "copy", "text": "Growing a sequence copies its cache.", "deduct": 1, "feedback": "No."}]}
    ],
}
BOTH = {"points": 2, "claims": ["pool", "table"]}
ONE = {"points": 1, "claims": ["pool"]}
GOOD = {"made": "by a test", "question": "q", "answers": [
    {"id": "a1", "kind": "strong", "text": "The block pool is split into pages of equal size. A block table maps logical to physical blocks.",
     "first": {"where": BOTH}, "second": {"where": BOTH}},
    {"id": "a2", "kind": "weak", "text": "I do not know how memory is managed there.",
     "first": {"where": ONE}, "second": {"where": {"points": 0, "claims": []}}, "adjudicated": {"where": {"points": 0, "claims": []}}},
]}  # fmt: skip


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    folder = tmp_path / "bank" / "q"
    folder.mkdir(parents=True)
    (folder / "rubric.yaml").write_text(yaml.safe_dump(RUBRIC))
    (folder / "prompt.md").write_text("How does a paged cache work?")
    return tmp_path / "bank"


def write(bank: Path, data: Any) -> Path:
    path = bank.parent / "marked.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=[p.stem for p in SHIPPED])
def test_each_shipped_file_fits_the_bank_and_says_how_it_was_made(path: Path) -> None:
    question = read(path, BANK)
    assert len(question.answers) == 10
    assert len({answer.kind for answer in question.answers}) == 10
    assert "no person marked anything" in yaml.safe_load(path.read_text())["made"]


def test_twelve_questions_at_least() -> None:
    assert len(SHIPPED) >= 12


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda d: d.pop("made"), "made"),
        (lambda d: d["answers"][0].pop("text"), "has a text"),
        (lambda d: d["answers"][0]["first"].pop("where"), "no marks for where"),
        (lambda d: d["answers"][0]["first"]["where"].update(points=3), "points from 0 to 2"),
        (lambda d: d["answers"][0]["second"]["where"].update(claims=["pool", "none"]), "the rubric has no none"),
        (lambda d: d["answers"][0]["first"].update(other=ONE), "no criterion other"),
        (lambda d: d["answers"][1].pop("adjudicated"), "differ on where"),
        (lambda d: d["answers"][0].update(adjudicated={"where": BOTH}), "differ on nothing"),
    ],
)
def test_a_bad_file_is_refused_by_name(bank: Path, spoil: Any, complaint: str) -> None:
    data = deepcopy(GOOD)
    spoil(data)
    with pytest.raises(DataError, match=complaint):
        read(write(bank, data), bank)


def test_a_folder_without_marked_answers_is_told_so(bank: Path) -> None:
    with pytest.raises(DataError, match="no marked answers"):
        read_all(bank, bank)


def test_what_both_passes_say_is_final_and_the_rest_is_adjudicated(bank: Path) -> None:
    strong, weak = read(write(bank, GOOD), bank).answers
    assert strong.final["where"] == Mark(2, frozenset({"pool", "table"}))
    assert weak.final["where"] == Mark(0, frozenset())


def test_the_report_tells_agreement_of_the_passes_and_of_the_scorer(bank: Path) -> None:
    found = report([read(write(bank, GOOD), bank)])
    assert found["n"] == 2
    assert found["passes"]["criterion_exact"] == 0.5
    assert found["passes"]["claims"]["recall"] == pytest.approx(2 / 3)
    assert found["scorer"]["criterion_exact"] == 1.0
    assert found["scorer"]["claims"] == pytest.approx({"n": 4, "precision": 1.0, "recall": 1.0, "kappa": 1.0})
    assert found["scorer"]["misconceptions"] == {"n": 2.0, "precision": None, "recall": None, "kappa": None}  # nobody holds one
    assert found["unsure"] == {"claims": 0.0, "errors": 0.0, "wrong": 0, "wrong_rightly": 0}
    assert found["kinds"] == {"strong": [2.0, 2.0], "weak": [0.0, 0.0]}
    assert "2 answers to 1 questions" in table(found)


def test_the_report_tells_how_often_it_was_worth_looking(bank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def doubts(*args: Any, **options: Any) -> Score:
        result = score(*args, **options)
        one = result.criteria[0]
        met = [mark.id for mark in one.marks if mark.met]
        looks = Unsure("wrong", "copy", "", ""), *(Unsure("counted", id, "", "") for id in met)
        marks = tuple(replace(mark, met=True) if mark.id == "pool" else mark for mark in one.marks)  # of the weak answer an error that nobody points out
        return replace(result, criteria=(replace(one, marks=marks, unsure=looks),))

    monkeypatch.setattr(marked, "score", doubts)
    data = deepcopy(GOOD)
    data["answers"][0]["first"]["where"] = data["answers"][0]["second"]["where"] = {**ONE, "misconceptions": ["copy"]}
    found = report([read(write(bank, data), bank)])
    assert found["unsure"] == {"claims": 0.5, "errors": 0.5, "wrong": 2, "wrong_rightly": 1}
    assert found["scorer"]["misconceptions"]["recall"] == 0.0
    assert "0.50 of the claims with 0.50 of the errors, and 2 statements as perhaps wrong, 1 of them rightly" in table(found)


def test_a_scorer_that_finds_nothing_is_told_so(bank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marked, "scored", lambda result: {c.id: Mark(0.0, frozenset()) for c in result.criteria})
    found = report([read(write(bank, GOOD), bank)])
    assert found["scorer"]["criterion_exact"] == 0.5
    assert found["scorer"]["claims"]["recall"] == 0.0
