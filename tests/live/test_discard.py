"""Discarding what never started: gone from every page, kept in the log, and no way to choose one's questions."""

from collections.abc import Callable

import pytest
from django.http import HttpResponse

from interviews.errors import Problem
from interviews.live import actions
from interviews.live.models import Event, Interview
from interviews.live.queries import content_of, state
from tests.conftest import People, Person
from tests.live.helpers import question, write

pytestmark = pytest.mark.django_db
Make = Callable[..., Interview]


def path(interview: Interview) -> str:
    return f"/interviews/{interview.pk}/discard/"


def discard(person: Person, interview: Interview) -> HttpResponse:
    return person.client.post(path(interview), follow=True)


def test_only_the_candidate_may(people: People, make: Make) -> None:
    interview = make(started=False)
    for verb in ("get", "post"):
        codes = {person.name: getattr(person.client, verb)(path(interview)).status_code for person in reversed(list(people))}
        assert codes == {"candidate": {"get": 200, "post": 302}[verb], "other": 404, "interviewer": 404, "admin": 404, "stranger": 302}
    assert Interview.objects.get().status == "discarded"


def test_it_is_asked_for_first_and_then_gone_for_everybody(people: People, make: Make) -> None:
    interview, other = make(started=False), make(started=False)
    home = people.candidate.client.get("/").content.decode()
    assert path(interview) in home and path(other) in home
    assert f'data-discard="{path(interview)}"' in people.candidate.client.get(interview.get_absolute_url()).content.decode()
    assert "data-discard" not in people.interviewer.client.get(interview.get_absolute_url()).content.decode()
    page = people.candidate.client.get(path(interview)).content.decode()
    assert "Discard this interview?" in page and Interview.objects.filter(status="ready").count() == 2
    page = discard(people.candidate, interview)
    assert page.redirect_chain == [("/", 302)]
    assert "is discarded." in page.content.decode()
    assert path(interview) not in page.content.decode() and path(other) in page.content.decode()
    api = f"/api/interviews/{interview.pk}/"
    asked = interview.questions.first()
    for person in (people.candidate, people.interviewer, people.admin):
        for address in (interview.get_absolute_url(), f"/interviews/{interview.pk}/report/", api, f"{api}events/?since=0", f"{api}report/"):
            assert person.client.get(address).status_code == 404, address
        for verb in ("start/", "finish/", f"questions/{asked.pk}/runs/"):
            assert person.client.post(api + verb, '{"kind": "public"}', content_type="application/json").status_code == 404, verb
    assert list(interview.events.values_list("kind", "actor")) == [(kind, people.candidate.user.pk) for kind in (Event.Kind.CREATED, Event.Kind.DISCARDED)]


def test_a_second_time_says_the_same_and_does_nothing(people: People, make: Make) -> None:
    interview = make(started=False)
    for _ in range(2):
        assert "is discarded." in discard(people.candidate, interview).content.decode()
    assert people.candidate.client.get(path(interview)).url == "/"
    assert interview.events.filter(kind=Event.Kind.DISCARDED).count() == 1


def test_what_started_is_not_discarded_whatever_became_of_it(people: People, make: Make) -> None:
    interview = make()
    write(question(interview, "written"), text="In time.")
    for status in ("running", "grading", "scored", "published"):
        Interview.objects.update(status=status)
        page = discard(people.candidate, interview)
        assert "has started" in page.content.decode()
        assert page.redirect_chain[0][0] == Interview.objects.get().get_absolute_url()
        assert people.candidate.client.get(path(interview)).url == page.redirect_chain[0][0]
    assert Interview.objects.get().status == "published"
    assert content_of(question(interview, "written")).text == "In time."
    assert path(interview) not in people.candidate.client.get("/").content.decode()


def test_of_a_start_and_a_discard_that_cross_the_first_counts(people: People, make: Make) -> None:
    """Each was let in while the interview was ready."""
    for first, second, code in ((actions.start, actions.discard, "started"), (actions.discard, actions.start, "discarded")):
        interview = make(started=False)
        first(interview=Interview.objects.get(pk=interview.pk), actor=people.candidate.user)
        with pytest.raises(Problem) as refusal:
            second(interview=interview, actor=people.candidate.user)
        assert (refusal.value.detail.code, refusal.value.status_code) == (code, 409)
    with pytest.raises(Problem) as refusal:
        actions.finish(interview=interview, actor=people.candidate.user)
    assert refusal.value.detail.code == "not_started"


def test_what_was_never_shown_is_asked_as_if_it_had_not_been_chosen(people: People, make: Make) -> None:
    plan = actions.plan(level="L6", minutes=15, topics=[])

    def asked() -> set[object]:
        interview = actions.create_interview(candidate=people.candidate.user, blueprint=plan, seed=1)
        assert not state(interview, people.candidate.user)["questions"], "what it asks is not shown before the start"
        chosen = {row.version.question_id for row in interview.questions.all()}
        actions.discard(interview=interview, actor=people.candidate.user)
        return chosen

    assert asked() == asked()
