"""Trying a rubric: marked as interviews are, by whoever reviews, and nothing that counts moves."""

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

import grading
from grading.models import Score
from grading.result import ClaimMark, Evidence
from interviews.bank.actions import edit_question, load_pack
from interviews.bank.files import read_variant
from interviews.bank.management.commands.load_bank import PACKS
from interviews.bank.models import Question, QuestionVersion
from interviews.errors import Problem
from interviews.review import marking, tasks, trying
from interviews.review.models import Tryout
from interviews.review.tried import Tried, pieces, told
from sandbox.leases import LEASE, MAX_ATTEMPTS
from tests.conftest import People, Person
from tests.review.helpers import GOOD

pytestmark = pytest.mark.django_db
HALF = "Prefill is limited by compute, because many tokens reuse each weight."
# It asks for something that GOOD does not say.
OTHER = """bands: {L5: 1}
criteria:
  - id: alone
    title: Alone
    points: 1
    claims:
      - id: batching
        text: A larger batch reads the weights once for more tokens.
"""


@pytest.fixture
def asked(bank: Path) -> Question:
    """A written question with an exemplar that reaches L7 and one that should not be below L5 and is."""
    answers = bank / "written-1" / "answers"
    answers.mkdir()
    (answers / "full.md").write_text(f"---\nlevel: L7\n---\n{GOOD}\n")
    (answers / "odd.md").write_text("---\nlevel: L5\n---\nPrefill and decode are two phases.\n")
    load_pack(folder=bank)
    return Question.objects.get(slug="written-1")


def page(question: Question, tryout: Tryout | None = None) -> str:
    return f"{question.get_absolute_url()}try/" + (f"{tryout.pk}/" if tryout else "")


def mark(person: Person, question: Question, **sent: str) -> Tryout:
    """Sends the form and has the workers do it."""
    answer = person.client.post(page(question), sent)
    assert answer.status_code == 302, answer.content.decode()
    tryout = Tryout.objects.get(pk=answer.url.rstrip("/").rpartition("/")[2])
    tasks.try_answers(str(tryout.pk))
    tryout.refresh_from_db()
    return tryout


def test_it_opens_for_interviewers_and_admins_alone(people: People, asked: Question) -> None:
    codes = {person.name: person.client.get(page(asked)).status_code for person in people}
    assert codes == {"candidate": 403, "other": 403, "interviewer": 200, "admin": 200, "stranger": 302}
    assert people.candidate.client.post(page(asked), {"text": GOOD}).status_code == 403
    assert not Tryout.objects.exists()


def test_an_answer_gets_what_it_would_get_in_an_interview_and_shows_the_words(people: People, asked: Question) -> None:
    tryout = mark(people.interviewer, asked, text=HALF)
    (one,) = tryout.told
    rubric = grading.Rubric.from_dict(asked.current.rubric.body)
    expected = grading.score(rubric, HALF, grading.Question(asked.current.prompt, asked.current.title, "written"))
    assert (one["total"], one["max"], one["level"]) == (expected.total, 28, expected.level)
    assert 0 < expected.total < 28
    shown = people.interviewer.client.get(page(asked, tryout)).content.decode()
    assert "Prefill is bound by compute because many tokens share one read of the weights." in shown
    assert f"{expected.total:g} of 28" in shown
    assert '<mark class="told">' in shown and "data-live" not in shown
    assert "".join(text for text, _, _ in one["pieces"]) == HALF
    assert not Score.objects.exists()


def test_exemplars_are_marked_beside_the_level_that_they_are_meant_for(people: People, asked: Question) -> None:
    tryout = mark(people.admin, asked, text="", exemplars="on")
    assert [(one["name"], one["wanted"], one["level"]) for one in tryout.told] == [("full", "L7", "L7"), ("odd", "L5", "below")]
    shown = people.admin.client.get(page(asked, tryout)).content.decode()
    assert "1 of 2 at the level that they are meant for" in shown
    assert '<span class="badge good">L7</span>' in shown
    assert '<span class="badge bad">below L5</span>' in shown


def test_another_rubric_marks_and_changes_nothing_until_an_admin_keeps_it(people: People, asked: Question) -> None:
    before = asked.current
    tryout = mark(people.admin, asked, text=GOOD, rubric=OTHER.replace("\n", "\r\n"))
    assert (tryout.told[0]["max"], tryout.told[0]["criteria"][0]["title"]) == (1, "Alone")
    asked.refresh_from_db()
    assert asked.current == before

    assert "Keep this rubric" not in people.interviewer.client.get(page(asked, tryout)).content.decode()
    people.interviewer.client.post(page(asked, tryout), {"keep": ""})
    asked.refresh_from_db()
    assert asked.current == before

    assert "Keep this rubric" in people.admin.client.get(page(asked, tryout)).content.decode()
    assert people.admin.client.post(page(asked, tryout), {"keep": ""}).url == asked.get_absolute_url()
    asked.refresh_from_db()
    assert asked.current.files == {**before.files, "rubric.yaml": OTHER}
    assert asked.current.created_by == people.admin.user


def test_a_rubric_is_not_kept_over_a_change_that_came_meanwhile(people: People, asked: Question) -> None:
    tryout = mark(people.admin, asked, text=GOOD, rubric=OTHER)
    newer = edit_question(question=asked, files={**asked.current.files, "prompt.md": "Anew.\n"}, by=people.admin.user)
    with pytest.raises(Problem, match="changed since"):
        trying.keep_rubric(tryout=tryout, actor=people.admin.user)
    shown = people.admin.client.get(page(asked, tryout)).content.decode()
    assert "the question was changed since" in shown and "Keep this rubric" not in shown
    asked.refresh_from_db()
    assert asked.current == newer


def test_the_questions_own_rubric_is_none_of_their_own(people: People, asked: Question) -> None:
    tryout = mark(people.admin, asked, text=GOOD, rubric=asked.current.files["rubric.yaml"].replace("\n", "\r\n"))
    assert tryout.rubric == ""
    with pytest.raises(Problem, match="already"):
        trying.keep_rubric(tryout=tryout, actor=people.admin.user)


def test_a_fault_in_the_rubric_names_its_line_and_keeps_all_that_was_typed(people: People, asked: Question) -> None:
    wrong = OTHER.replace("points: 1", "points: many")
    shown = people.admin.client.post(page(asked), {"text": GOOD, "rubric": wrong, "exemplars": "on"})
    text = shown.content.decode()
    assert shown.status_code == 200
    assert "line 5: criteria[0].points" in text
    assert GOOD in text and "points: many" in text
    assert not Tryout.objects.exists()


@pytest.mark.parametrize(("sent", "said"), [({"text": " \n"}, "Write an answer"), ({"text": "x" * 40_001}, "at most 40000 characters")])
def test_nothing_or_too_much_is_refused(people: People, asked: Question, sent: dict[str, str], said: str) -> None:
    shown = people.admin.client.post(page(asked), sent)
    assert (shown.status_code, said in shown.content.decode()) == (200, True)
    assert not Tryout.objects.exists()


def test_one_person_has_few_waiting_and_others_are_not_kept_from_theirs(people: People, asked: Question) -> None:
    for _ in range(trying.MAX_WAITING):
        trying.start(question=asked, actor=people.admin.user, text=GOOD, fields={})
    with pytest.raises(Problem, match="still being marked"):
        trying.start(question=asked, actor=people.admin.user, text=GOOD, fields={})
    trying.start(question=asked, actor=people.interviewer.user, text=GOOD, fields={})


def test_code_is_not_tried_here(people: People, bank: Path) -> None:
    question = Question.objects.get(current__kind="code")
    assert people.admin.client.get(page(question)).url == question.get_absolute_url()
    assert "Try the rubric" not in people.admin.client.get(question.get_absolute_url()).content.decode()
    with pytest.raises(Problem, match="sandbox"):
        trying.start(question=question, actor=people.admin.user, text=GOOD, fields={})


def test_an_estimate_is_tried_with_what_it_asks_to_be_filled_in(people: People, bank: Path) -> None:
    question = Question.objects.get(current__kind="estimate")
    shown = people.admin.client.get(page(question)).content.decode()
    assert 'name="field:size"' in shown and "in GiB" in shown
    tryout = mark(people.admin, question, **{"field:size": "320 GiB", "text": ""})
    assert tryout.answers[0]["fields"] == {"size": "320 GiB"}
    assert "320 GiB" in people.admin.client.get(page(question, tryout)).content.decode()


def test_an_exemplar_can_be_begun_with(people: People, asked: Question) -> None:
    shown = people.admin.client.get(page(asked) + "?exemplar=odd").content.decode()
    assert "Prefill and decode are two phases." in shown
    assert people.admin.client.get(page(asked) + "?exemplar=none").status_code == 200


def test_of_an_exemplar_that_is_drawn_is_begun_with_what_it_shows(people: People) -> None:
    load_pack(folder=PACKS / "inference-whiteboards")
    question = Question.objects.get(slug="serving-engine-on-one-page")
    (drawn,) = [one for one in trying.exemplars_of(question.current) if one.name == "l7"]
    shown = people.admin.client.get(page(question) + "?exemplar=l7").content.decode()
    begun = re.search(r'<textarea name="text"[^>]*>(.*?)</textarea>', shown, re.DOTALL)
    assert begun and drawn.answer.text in (text := unescape(begun[1]))
    prompt, rubric, _ = read_variant(question.current.files, "whiteboard", 0)
    asked = grading.Question(prompt, question.current.title, "whiteboard")
    assert grading.score(rubric, text, asked).total == grading.score(rubric, drawn.answer, asked).total > grading.score(rubric, drawn.answer.text, asked).total


def test_to_keep_a_rubric_twice_is_to_keep_it(people: People, asked: Question) -> None:
    tryout = mark(people.admin, asked, text=GOOD, rubric=OTHER)
    kept = trying.keep_rubric(tryout=tryout, actor=people.admin.user)
    assert trying.keep_rubric(tryout=tryout, actor=people.admin.user) == kept


def test_whatever_has_the_focus_is_found_when_the_page_comes_anew(people: People, asked: Question) -> None:
    shown = people.admin.client.get(page(asked, mark(people.admin, asked, text=GOOD, exemplars="on"))).content.decode()
    part = shown[shown.index('id="tried"') : shown.index('id="question_form"')]
    focusable = re.findall(r'<summary[^>]*>|<\w+[^>]*tabindex="0"[^>]*>', part)
    named = [found[1] for tag in focusable if (found := re.search(r' id="([^"]+)"', tag))]
    assert len(focusable) == len(set(named)) == 5


def test_while_it_waits_the_page_comes_anew_and_says_how_far_it_is(people: People, asked: Question) -> None:
    tryout = trying.start(question=asked, actor=people.admin.user, text=GOOD, fields={}, exemplars=True)
    shown = people.admin.client.get(page(asked, tryout)).content.decode()
    assert 'data-live="1"' in shown and "0 of 3 answers marked" in shown


def test_a_scorer_that_fails_is_tried_thrice_and_then_said_and_no_number_made_up(people: People, asked: Question, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(marking, "mark_answer", fail)
    tryout = trying.start(question=asked, actor=people.admin.user, text=GOOD, fields={})
    for attempt in range(MAX_ATTEMPTS):
        assert (tryout.state, tryout.attempt) == ("QU", attempt)
        tasks.try_answers(str(tryout.pk))
        tryout.refresh_from_db()
    assert (tryout.state, tryout.failed, tryout.told) == ("D", True, [])
    assert "The scorer failed three times" in people.admin.client.get(page(asked, tryout)).content.decode()


def test_what_a_dead_worker_held_is_done_by_another(people: People, asked: Question) -> None:
    tryout = trying.start(question=asked, actor=people.admin.user, text=GOOD, fields={})
    assert Tryout.claim(tryout.pk)
    Tryout.objects.update(lease_until=timezone.now() - LEASE)
    tasks.reap()
    tasks.try_answers(str(tryout.pk))
    tryout.refresh_from_db()
    assert (tryout.state, len(tryout.told), tryout.attempt) == ("D", 1, 2)


def test_workers_that_die_as_often_as_they_may_end_it(people: People, asked: Question) -> None:
    tryout = trying.start(question=asked, actor=people.admin.user, text=GOOD, fields={})
    Tryout.objects.update(state=Tryout.State.PREPARING, attempt=MAX_ATTEMPTS, lease_until=timezone.now() - LEASE)
    tasks.reap()
    tryout.refresh_from_db()
    assert (tryout.state, tryout.failed) == ("D", True)


def test_what_was_tried_is_forgotten_after_a_week(people: People, asked: Question) -> None:
    old = mark(people.admin, asked, text=GOOD)
    recent = mark(people.admin, asked, text=GOOD)
    Tryout.objects.filter(pk=old.pk).update(queued_at=timezone.now() - trying.KEPT - timedelta(hours=1))
    mark(people.interviewer, asked, text=GOOD)
    assert not Tryout.objects.filter(pk=old.pk).exists() and Tryout.objects.filter(pk=recent.pk).exists()
    assert people.admin.client.get(page(asked, old)).status_code == 404


def test_a_try_is_found_under_its_own_question_alone(people: People, asked: Question) -> None:
    tryout = mark(people.admin, asked, text=GOOD)
    other = Question.objects.get(slug="written-2")
    assert people.admin.client.get(page(other, tryout)).status_code == 404


def test_what_is_typed_is_shown_as_text(people: People, asked: Question) -> None:
    tryout = mark(people.admin, asked, text=f"<script>alert(1)</script> {GOOD}")
    shown = people.admin.client.get(page(asked, tryout)).content.decode()
    assert "<script>alert(1)" not in shown and "&lt;script&gt;alert(1)" in shown


def test_the_versions_that_can_be_tried_are_all_but_code() -> None:
    assert [kind for kind in QuestionVersion.Kind.values if not trying.can_be_tried(QuestionVersion(kind=kind))] == ["code"]


def test_a_text_is_cut_where_evidence_begins_and_ends() -> None:
    assert list(pieces("abcdef", [(0, 4), (2, 4), (4, 5)])) == [("ab", True, ()), ("cd", True, (1, 2)), ("e", True, (3,)), ("f", False, ())]
    assert list(pieces("", [])) == []


def test_what_was_filled_in_is_called_as_it_was_asked(people: People, bank: Path) -> None:
    """Whatever its id: to a template `fields.items` would be the field of that name."""
    folder = bank / "estimate-3"
    for file in (folder / "question.yaml", folder / "rubric.yaml"):
        file.write_text(file.read_text().replace("id: size", "id: items"))
    load_pack(folder=bank)
    question = Question.objects.get(current__kind="estimate")
    tryout = mark(people.admin, question, **{"field:items": "320 GiB", "text": ""})
    assert "<dt>Size</dt><dd>320 GiB</dd>" in people.admin.client.get(page(question, tryout)).content.decode()


def test_who_tried_a_rubric_can_be_deleted(people: People, asked: Question) -> None:
    mark(people.interviewer, asked, text=HALF)
    people.interviewer.user.delete()
    assert not Tryout.objects.exists()


def test_a_rubric_that_takes_too_long_to_read_is_refused(people: People, asked: Question) -> None:
    long = f"# {'x' * 120_000}\n{OTHER}"
    shown = people.admin.client.post(page(asked), {"text": GOOD, "rubric": long})
    assert shown.status_code == 200
    assert "at most 120000 characters" in shown.content.decode()
    with pytest.raises(Problem, match="at most 120000 characters"):
        trying.start(question=asked, actor=people.admin.user, text=GOOD, fields={}, rubric=long)


@pytest.mark.django_db(transaction=True)
def test_nobody_waits_while_a_rubric_is_read(people: People, asked: Question, monkeypatch: pytest.MonkeyPatch) -> None:
    real = trying.parse_question

    def read(*args: object) -> object:
        assert not connection.in_atomic_block  # SQLite has one writer at a time
        return real(*args)

    monkeypatch.setattr(trying, "parse_question", read)
    assert trying.start(question=asked, actor=people.admin.user, text=GOOD, fields={}, rubric=OTHER).rubric == OTHER


def test_what_takes_long_and_somebody_waits_for_comes_between_two_answers(people: People, asked: Question, monkeypatch: pytest.MonkeyPatch) -> None:
    real, order = marking.mark_answer, list[str]()

    def answer(*args: Any) -> grading.Score:
        if not order:  # one that the same worker is given meanwhile
            tasks._in_turn(tasks._now, lambda: order.append("grading"))
        order.append("answer")
        return real(*args)

    monkeypatch.setattr(marking, "mark_answer", answer)
    assert len(mark(people.admin, asked, text=GOOD, exemplars="on").told) == 3
    assert order == ["answer", "grading", "answer", "answer"]


def test_an_attempt_goes_on_where_the_last_one_stopped(people: People, asked: Question, monkeypatch: pytest.MonkeyPatch) -> None:
    real, marked = marking.mark_answer, list[str]()

    def once(rubric: grading.Rubric, question: grading.Question, answer: grading.Answer) -> grading.Score:
        marked.append(answer.text)
        if len(marked) == 2:
            raise RuntimeError("broken")
        return real(rubric, question, answer)

    monkeypatch.setattr(marking, "mark_answer", once)
    tryout = mark(people.admin, asked, text=HALF, exemplars="on")
    assert (tryout.state, len(tryout.told)) == ("QU", 1)
    tasks.try_answers(str(tryout.pk))
    tryout.refresh_from_db()
    assert (tryout.state, [one["name"] for one in tryout.told]) == ("D", ["", "full", "odd"])
    assert marked == [HALF, GOOD, GOOD, "Prefill and decode are two phases."]


def test_of_the_nearest_words_no_more_is_kept_than_is_shown() -> None:
    """Without a stop a text of 40,000 characters is one sentence, and each of a thousand claims had all of it beside it."""
    rubric = grading.Rubric.from_dict({"criteria": [{"id": "c", "title": "C", "points": 1, "claims": [{"id": "a", "text": "Decode waits for memory."}]}]})
    text = "decode waits for memory " * 1600
    missed = ClaimMark("a", "claim", False, 0.5, 0.8, "close", (Evidence("text", 0, len(text), text),))
    score = grading.score(rubric, "", grading.Question("Why?", "T", "written"))
    score = replace(score, criteria=(replace(score.criteria[0], marks=(missed,)),))
    mark = told(Tried("", "", text, {}), rubric, score)["criteria"][0]["marks"][0]
    assert (mark["met"], len(mark["near"]), mark["near"][-1]) == (False, 160, "…")
