"""POST /api/interviews/: from a blueprint, or from level, minutes and topics."""

import json
import re
from pathlib import Path

import pytest

from interviews.bank.actions import load_pack
from interviews.bank.queries import askable, topics
from interviews.live import actions, blueprints
from interviews.live.models import Blueprint, Event, Interview
from tests.conftest import People

pytestmark = pytest.mark.django_db
SHIPPED = Path("interviews/bank/packs")


def post(people: People, body: object, person: str = "candidate"):  # type: ignore[no-untyped-def]
    return getattr(people, person).client.post("/api/interviews/", json.dumps(body), content_type="application/json")


def test_a_blueprint_makes_an_interview_with_its_questions_fixed(people: People, bank: Path) -> None:
    actions.ensure_blueprints()
    blueprint = Blueprint.objects.get(minutes=60)
    answer = post(people, {"blueprint": blueprint.slug})
    assert answer.status_code == 201
    interview = Interview.objects.get(pk=answer.json()["id"])
    assert interview.candidate == people.candidate.user
    versions = [question.version for question in interview.questions.all()]
    assert {"written", "estimate", "code"} <= {version.kind for version in versions}
    assert interview.events.get().kind == Event.Kind.CREATED


def test_level_minutes_and_topics_make_one_too(people: People, bank: Path) -> None:
    answer = post(people, {"level": "L5", "minutes": 30, "topics": ["batching"]})
    assert answer.status_code == 201
    assert Interview.objects.get(pk=answer.json()["id"]).minutes == 30


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid"),
        ({"blueprint": "none"}, "no_blueprint"),
        ({"level": "L9", "minutes": 30}, "invalid"),
        ({"level": "L6", "minutes": 5}, "bad_minutes"),
        ({"level": "L6", "minutes": 10**9}, "bad_minutes"),
        ({"level": "L6", "minutes": 30, "topics": ["cooking"]}, "nothing_to_ask"),
        ([], "invalid"),
    ],
)
def test_a_wrong_wish_is_refused_with_a_sentence(people: People, bank: Path, body: object, code: str) -> None:
    answer = post(people, body)
    assert answer.status_code in (400, 404)
    assert answer.json()["code"] == code
    assert answer.json()["detail"]
    assert not Interview.objects.exists()


def test_a_body_that_is_not_json_is_refused(people: People, bank: Path) -> None:
    answer = people.candidate.client.post("/api/interviews/", "{", content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["detail"]


def test_a_stranger_makes_none(people: People, bank: Path) -> None:
    assert post(people, {"level": "L6", "minutes": 30}, "stranger").status_code == 403


def test_the_same_seed_chooses_the_same_questions(bank: Path) -> None:
    plan = actions.plan(level="L6", minutes=60, topics=[])
    sections = [blueprints.Section.from_dict(section) for section in plan["sections"]]
    first = blueprints.choose(sections, list(askable()), frozenset(), 7)
    again = blueprints.choose(sections, list(reversed(askable())), frozenset(), 7)
    assert [question.pk for question, _ in first] == [question.pk for question, _ in again]


def test_what_somebody_had_before_comes_last(people: People, bank: Path) -> None:
    plan = actions.plan(level="L6", minutes=15, topics=[])
    made = [actions.create_interview(candidate=people.candidate.user, blueprint=plan, seed=1) for _ in range(2)]
    asked = [interview.questions.get().version.question_id for interview in made]
    assert len(set(asked)) == 2


def test_sections_never_promise_more_minutes_than_there_are() -> None:
    kinds = frozenset({"written", "design", "debug", "estimate", "quickfire", "whiteboard", "code"})
    for minutes in range(blueprints.MIN_MINUTES, blueprints.MAX_MINUTES + 1):
        sections = blueprints.generate("L6", minutes, (), kinds)
        assert sections
        assert sum(section.count * section.minutes for section in sections) <= minutes


def test_a_quick_fire_round_warms_up_where_no_prose_makes_room_for_it() -> None:
    prose = frozenset({"written", "design"})
    for minutes in range(blueprints.MIN_MINUTES, blueprints.MAX_MINUTES + 1):
        without, sections = (blueprints.generate("L6", minutes, (), kinds) for kinds in (prose, prose | {"quickfire"}))
        assert sum(section.count for section in sections if "written" in section.kinds) == without[0].count
        if sections[0].kinds == ("quickfire",):
            assert (sections[0].count, sections[0].minutes, sections[1].minutes >= 15) == (1, 5, True)
        else:
            assert sections == without
    assert blueprints.generate("L6", 20, (), prose | {"quickfire"})[0].kinds == ("quickfire",)
    assert [section.kinds for section in blueprints.generate("L6", 10, (), frozenset({"quickfire"}))] == [("quickfire",)]


def test_the_shipped_bank_fills_every_shipped_blueprint(people: People) -> None:
    for folder in sorted(SHIPPED.glob("*/pack.yaml")):
        load_pack(folder=folder.parent)
    actions.ensure_blueprints()
    assert Blueprint.objects.count() == len(blueprints.SHIPPED)
    for blueprint in Blueprint.objects.all():
        wanted = {key: getattr(blueprint, key) for key in ("title", "level", "minutes", "sections")}
        interview = actions.create_interview(candidate=people.candidate.user, blueprint=wanted, seed=3)
        assert sum(question.minutes for question in interview.questions.all()) <= blueprint.minutes
    kinds = {question.version.kind for question in Interview.objects.get(minutes=60).questions.all()}
    assert {"estimate", "quickfire", "code"} < kinds


def test_the_form_of_the_home_page_leads_into_the_room(people: People, bank: Path) -> None:
    actions.ensure_blueprints()
    answer = people.candidate.client.post("/interviews/new/", {"blueprint": Blueprint.objects.get(minutes=60).slug})
    assert answer.url == f"/interviews/{Interview.objects.get().pk}/"


def test_the_form_says_what_was_wrong(people: People, bank: Path) -> None:
    actions.ensure_blueprints()
    page = people.candidate.client.post("/interviews/new/", {"level": "L6", "minutes": "٣"})
    assert "Choose 10 to 180 minutes." in page.content.decode()
    assert not Interview.objects.exists()


def test_what_was_chosen_stands_in_the_form_that_was_refused(people: People, bank: Path) -> None:
    actions.ensure_blueprints()
    for number in range(11):
        Interview.objects.create(candidate=people.candidate.user, title=f"No. {number}", level="L5", minutes=10, blueprint={})
    wish = {"level": "L7", "minutes": "999", "topics": [topics()[0], "<b>"]}
    page = people.candidate.client.post("/interviews/new/", wish)
    assert page.status_code == 400
    html = page.content.decode()
    assert '<details class="card" style="margin-top: var(--s4)" open>' in html
    assert 'role="alert">Choose 10 to 180 minutes.</p>' in html
    assert 'value="999"' in html and "<b>" not in html
    assert re.findall(r'value="([^"]+)" checked', html) == ["L7", topics()[0]]
    assert 'href="/?page=2"' in html  # of the home page: this address shows nothing to who follows a link
    fresh = people.candidate.client.get("/").content.decode()
    assert re.findall(r'value="([^"]+)" checked', fresh) == ["L6"] and 'value="45"' in fresh and " open>" not in fresh


def test_who_comes_back_from_signing_in_is_led_to_choose_again(people: People, bank: Path) -> None:
    sent = people.stranger.client.post("/interviews/new/", {"blueprint": "any"})
    assert sent.url == "/accounts/login/?next=/interviews/new/"
    page = people.candidate.client.get("/interviews/new/", follow=True)
    assert page.redirect_chain == [("/", 302)]
    assert "Choose the interview once more" in page.content.decode()
    assert not Interview.objects.exists()
