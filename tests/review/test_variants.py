"""An estimate whose numbers come from a seed: shown, marked and marked again with the interview's own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from interviews.bank.actions import edit_question, load_pack
from interviews.bank.files import BankError
from interviews.bank.models import Question
from interviews.live import actions as live
from interviews.live.models import Interview
from interviews.review import actions, queries
from sandbox.leases import MAX_ATTEMPTS
from tests.conftest import People
from tests.live.helpers import write
from tests.review.helpers import grade_all
from tests.review.test_review import post, scorer_fails

pytestmark = pytest.mark.django_db
GENERATOR = """def generate(pick):
    batch = pick(*range(10, 400, 10))
    return {"batch": batch, "gib": 2.5 * batch}
"""
RUBRIC = """bands: {L5: 2}
criteria:
  - id: size
    title: Size
    points: 4
    quantities:
      - {field: size, value: {{gib:.6g}}, unit: GiB, tolerance: 0.01, points: 4}
"""


@pytest.fixture
def pack(db: None, tmp_path: Path) -> Path:
    folder = tmp_path / "varying"
    place = folder / "cache-size"
    (place / "answers").mkdir(parents=True)
    (folder / "pack.yaml").write_text("slug: varying\ntitle: Varying\ndescription: One question.\n")
    (place / "question.yaml").write_text(
        "uuid: 00000000-0000-4000-8000-00000000beef\ntitle: Cache size\nkind: estimate\ntopics: [kv]\nlevels: [L5, L6, L7]\nminutes: 10\n"
        "syllabus: []\nfields: [{id: size, label: Size}]\n"
    )
    (place / "prompt.md").write_text("How much cache do {{batch}} sequences need at 2.5 GiB each?\n")
    (place / "rubric.yaml").write_text(RUBRIC)
    (place / "generate.py").write_text(GENERATOR)
    (place / "answers/l7.md").write_text('---\nlevel: L5\nfields: {size: "{{gib:.0f}} GiB"}\n---\nIt is {{batch}} times 2.5 GiB.\n')
    return folder


@pytest.fixture
def sit(pack: Path, people: People) -> Callable[[int], Interview]:
    load_pack(folder=pack)

    def sit(seed: int) -> Interview:
        plan = live.plan(level="L6", minutes=10, topics=[])
        interview = live.create_interview(candidate=people.candidate.user, blueprint=plan, seed=seed)
        return live.start(interview=interview, actor=people.candidate.user)

    return sit


def batch_of(interview: Interview) -> int:
    return int(interview.questions.get().prompt.split()[4])


def finish(interview: Interview, typed: str) -> Interview:
    write(interview.questions.select_related("version", "answer").get(), fields={"size": typed})
    return grade_all(live.finish(interview=interview, actor=interview.candidate))


def test_each_interview_shows_its_own_numbers_and_keeps_their_seed(sit: Callable[[int], Interview], people: People) -> None:
    made = [sit(seed) for seed in range(6)]
    assert len({batch_of(interview) for interview in made}) > 3
    for interview in made:
        asked = interview.questions.get()
        assert asked.seed > 0
        html = people.candidate.client.get(f"/api/interviews/{interview.pk}/").json()["questions"][0]["prompt_html"]
        assert f"{batch_of(interview)} sequences" in html
        assert "{{" not in html
        assert asked.prompt == asked.version.variant(asked.seed)["prompt.md"]


def test_an_answer_is_marked_by_the_numbers_that_were_asked(sit: Callable[[int], Interview]) -> None:
    first, second = sit(1), sit(2)
    assert batch_of(first) != batch_of(second)
    right = f"{2.5 * batch_of(first)} GiB"
    for interview, points in ((finish(first, right), 4), (finish(second, right), 2)):
        score = queries.latest_score(interview.questions.get())
        assert score is not None
        assert (score.state, score.total) == ("scored", points)
        report = queries.report(interview, interview.candidate)["questions"][0]
        assert f"{batch_of(interview)} sequences" in report["prompt_html"]
        assert f"{batch_of(interview)} times" in report["model_answer_html"]


def test_a_rescore_marks_by_the_same_numbers_and_the_same_rubric(sit: Callable[[int], Interview], pack: Path) -> None:
    interview = sit(3)
    finish(interview, f"{2.5 * batch_of(interview)} GiB")
    before = queries.latest_score(interview.questions.get())
    # The pack moves on; this interview keeps the version that it asked.
    (pack / "cache-size/generate.py").write_text(GENERATOR.replace("2.5 *", "5 *"))
    load_pack(folder=pack)
    actions.rescore(interview=interview, actor=interview.candidate)
    grade_all(interview)
    after = queries.latest_score(interview.questions.get())
    assert before is not None and after is not None and before.pk != after.pk
    assert (after.total, after.rubric_id) == (before.total, before.rubric_id) == (4, before.rubric_id)
    assert before.rubric_id != interview.questions.get().version.rubric_id


def test_points_by_hand_are_given_by_the_numbers_that_were_asked_and_hold_for_a_rescore(sit: Callable[[int], Interview], people: People) -> None:
    interview = sit(3)
    asked = interview.questions.select_related("version", "answer").get()
    write(asked, fields={"size": f"{2.5 * batch_of(interview)} GiB"})
    live.finish(interview=interview, actor=interview.candidate)
    scorer_fails(interview)
    failed = queries.latest_score(asked)
    assert failed is not None and failed.state == "not_scored"
    assert failed.rubric.body["criteria"][0]["quantities"][0]["value"] == 2.5 * batch_of(interview) != 25
    body = {"score_id": str(failed.pk), "points": {"size": 1}, "reason": "Copied from a neighbour."}
    assert post(people.interviewer, interview, "marks", body).status_code == 200
    actions.rescore(interview=interview, actor=people.interviewer.user)
    grade_all(interview)
    score = queries.report(interview, people.interviewer.user)["questions"][0]["score"]
    assert (score["total"], score["auto_total"], score["criteria"][0]["override"]["reason"]) == (1, 4, "Copied from a neighbour.")


def test_where_the_numbers_can_not_be_made_points_by_hand_are_given_all_the_same(
    sit: Callable[[int], Interview], people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    interview = sit(3)
    with monkeypatch.context() as broken:
        broken.setattr("interviews.bank.actions.read_variant", lambda *a: 1 / 0)
        live.finish(interview=interview, actor=interview.candidate)
        for _ in range(MAX_ATTEMPTS):
            grade_all(interview)
    failed = queries.latest_score(interview.questions.get())
    assert failed is not None and (failed.state, failed.rubric) == ("not_scored", interview.questions.get().version.rubric)
    body = {"score_id": str(failed.pk), "points": {"size": 1}, "reason": "Read."}
    assert post(people.interviewer, interview, "marks", body).json()["total"] == 1


def test_the_command_line_marks_the_variant_that_is_named(sit: Callable[[int], Interview], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    interview = sit(4)
    asked = interview.questions.get()
    answer = tmp_path / "answer.md"
    answer.write_text(f'---\nfields: {{size: "{2.5 * batch_of(interview)} GiB"}}\n---\n')
    call_command("score", "cache-size", str(answer), seed=asked.seed)
    assert "4 of 4" in capsys.readouterr().out


def test_a_generator_comes_with_a_pack_and_from_nowhere_else(pack: Path) -> None:
    load_pack(folder=pack)
    question = Question.objects.get(slug="cache-size")
    files = question.current.files
    changed = [files | {"generate.py": GENERATOR + "\n"}, {path: text for path, text in files.items() if path != "generate.py"}]
    for edited in changed:
        with pytest.raises(BankError, match="only when its pack is loaded"):
            edit_question(question=question, files=edited, by=None)
    edit_question(question=question, files=files | {"prompt.md": "Cache of {{batch}} sequences?\n"}, by=None)
    question.refresh_from_db()
    assert question.current.prompt == "Cache of 10 sequences?\n"


@pytest.mark.parametrize(("path", "old", "new", "place"), [
    ("generate.py", "2.5 * batch", "batch / (batch - 10)", "generate.py:3: seed 0: ZeroDivisionError"),
    ("prompt.md", "{{batch}}", "{{bach}}", "prompt.md:1: {{bach}}"),
    ("rubric.yaml", "GiB", "GoB", "rubric.yaml:7: criteria[0].quantities[0].unit"),
    ("question.yaml", "kind: estimate", "kind: written", "question.yaml"),
])  # fmt: skip
def test_a_broken_variant_is_refused_with_file_and_line(pack: Path, path: str, old: str, new: str, place: str) -> None:
    file = pack / "cache-size" / path
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(CommandError) as refusal:
        call_command("load_bank", pack)
    assert f"cache-size/{place}" in str(refusal.value)
    assert not Question.objects.filter(slug="cache-size").exists()
