"""A rubric to start from, as text: what `python -m grading draft` prints and the site's page of a new question offers."""

import io
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grading import Rubric, draft_rubric, draft_yaml
from grading.__main__ import main

PACK = Path("interviews/bank/packs/advanced-inference")
PROMPT = "Why is a page table needed?\n"
ANSWER = "A page table maps virtual pages to physical frames. Frames can lie anywhere in memory, and a fault brings a page in.\n"
AWKWARD = """- "Quoted": it's said # and not a comment, {braces} [too] & *stars* | pipes > signs % at @ back`ticks`
--- dashes in front, é 中文 👩‍💻 \u2028 \x85 \x7f \ufeff a BOM, a tab\there, c:\\temp\\new
yes: no. ~ null. 0x10 is sixteen, 1_000 is many, 2024-01-01 is a date. ? a key. !tag. <<: merged
""" + "A very long line goes on and on about paged memory " * 60


def loaded(text: str) -> Rubric:
    return Rubric.from_dict(yaml.safe_load(text))


@pytest.mark.parametrize("folder", sorted(path.parent.parent for path in PACK.glob("*/answers/l7.md")), ids=lambda path: path.name)
def test_the_text_loads_as_the_drafted_rubric_with_bands(folder: Path) -> None:
    prompt, answer = (folder / "prompt.md").read_text("utf-8"), (folder / "answers/l7.md").read_text("utf-8")
    rubric = loaded(draft_yaml(prompt, answer))
    assert rubric.criteria == draft_rubric(prompt, answer, 28).criteria
    assert rubric.bands == (("L5", 14), ("L6", 20), ("L7", 25))


# Any text that a form or a file can hold; words beside it, because most of such a text states nothing.
PROSE = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60) | st.sampled_from(AWKWARD.split()), max_size=30).map(" ".join)


@given(answer=PROSE, question=PROSE)
@example(answer=AWKWARD, question="")
@settings(max_examples=200)
def test_any_words_come_back_as_they_were(answer: str, question: str) -> None:
    answer = f"{ANSWER}\n{answer}\n"
    text = draft_yaml(question, answer)
    assert loaded(text).criteria == draft_rubric(question, answer, 28).criteria
    assert not any(getattr(event, name, None) for event in yaml.parse(text) for name in ("tag", "anchor"))


@pytest.mark.parametrize("points", [28, 4, 4.0, 2.5, 1, 0.001, 1000, 13.37])
def test_bands_have_their_shares_of_any_points(points: float) -> None:
    rubric = loaded(draft_yaml(PROMPT, ANSWER, points))
    assert rubric.max == points
    assert [name for name, _ in rubric.bands] == ["L5", "L6", "L7"]
    assert [least / points for _, least in rubric.bands] == pytest.approx([14 / 28, 20 / 28, 25 / 28], rel=1e-3)


def test_it_looks_like_a_rubric_of_the_bank_and_says_first_what_it_lacks() -> None:
    text = draft_yaml(PROMPT, ANSWER)
    comment, body = text.split("bands:")
    assert all(line.startswith("#") for line in comment.splitlines())
    assert all(word in comment for word in ("paraphrases", "contradictions", "terms", "several criteria"))
    assert body.startswith(""" {L5: 14, L6: 20, L7: 25}
criteria:
  - id: answer
    title: The model answer's statements
    points: 28
    claims:
      - id: claim-1
        text: "A page table maps virtual pages to physical frames"
""")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "prompt.md").write_text(PROMPT)
    (tmp_path / "model.md").write_text(f"---\nlevel: L7\n---\n{ANSWER}")
    return [str(tmp_path / "prompt.md"), str(tmp_path / "model.md")]


def test_the_command_prints_the_draft_of_an_exemplar_without_its_front_matter(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["draft", *files]) == 0
    assert capsys.readouterr().out == draft_yaml(PROMPT, ANSWER, 28)
    assert main(["draft", *files, "--points", "4"]) == 0
    assert capsys.readouterr().out == draft_yaml(PROMPT, ANSWER, 4)


def test_the_command_reads_standard_input(files: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(ANSWER))
    assert main(["draft", files[0], "-"]) == 0
    assert capsys.readouterr().out == draft_yaml(PROMPT, ANSWER)


@pytest.mark.parametrize("change", [
    {"answer": "-- !\n"}, {"answer": None}, {"points": "0"}, {"points": "nan"}, {"points": "inf"}, {"points": "5e-324"}, {"points": "1001"},
], ids=str)
def test_what_can_t_be_drafted_is_said_in_one_line(files: list[str], change: dict[str, str | None], capsys: pytest.CaptureFixture[str]) -> None:
    if change.get("answer"):
        Path(files[1]).write_text(str(change["answer"]))
    elif "answer" in change:
        Path(files[1]).unlink()
    assert main(["draft", *files, *(["--points", str(change["points"])] if "points" in change else [])]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), err[:7]) == ("", 1, "error: ")
