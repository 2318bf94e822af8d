"""A candidate is told by mail that their review is published: once for each publication, whatever happens on the way, and with nothing of what it says."""

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import transaction
from django.utils import timezone

from interviews.accounts.checks import CONSOLE
from interviews.live.models import Interview
from interviews.review import actions, letters
from interviews.review.models import Letter
from interviews.review.tasks import send_letters
from tests.conftest import People
from tests.review.helpers import grade_all, scored
from tests.review.test_review import post

pytestmark = pytest.mark.django_db
Make = Callable[..., Interview]


def publish(people: People, interview: Interview) -> None:
    answer = post(people.interviewer, interview, "publish")
    assert answer.status_code == 200, answer.content


@pytest.fixture
def published(people: People, make: Make) -> Interview:
    interview = scored(make())
    publish(people, interview)
    return interview


class Refusing:
    """A mail server that is down."""

    tried = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def send_messages(self, messages: list[Any]) -> int:
        type(self).tried += 1
        raise ConnectionRefusedError("no mail today")


def test_who_was_reviewed_is_told_where_to_read_it_and_nothing_of_it(people: People, published: Interview) -> None:
    assert mail.outbox == [], "no request waits for a mail server"
    send_letters()
    (sent,) = mail.outbox
    assert sent.to == [people.candidate.user.email]
    assert sent.subject == "Your interview was reviewed"
    assert f"http://testserver/interviews/{published.pk}/report/" in sent.body
    assert f"reviewed your interview “{published.title}”" in sent.body
    told = sent.body.replace(str(published.pk), "").replace(published.title, "") + sent.subject
    assert not any(character.isdigit() for character in told) and "L6" not in told


def test_one_publication_is_told_once_and_a_second_one_again(people: People, published: Interview) -> None:
    publish(people, published)
    for _ in range(3):
        send_letters()
    assert len(mail.outbox) == 1
    actions.rescore(interview=published, actor=people.interviewer.user)
    grade_all(published)
    publish(people, published)
    send_letters()
    assert [sent.subject for sent in mail.outbox] == ["Your interview was reviewed", "Your interview was reviewed again"]
    assert "looked again at your interview" in mail.outbox[1].body


def test_a_publication_that_is_taken_back_is_not_told(people: People, make: Make) -> None:
    interview = scored(make())
    with transaction.atomic():
        actions.publish(interview=interview, actor=people.interviewer.user, address="http://testserver/")
        transaction.set_rollback(True)
    send_letters()
    assert mail.outbox == [] and not Letter.objects.exists()


def test_where_mail_goes_to_the_log_no_letter_waits(people: People, make: Make, settings: Any) -> None:
    settings.EMAIL_BACKEND = CONSOLE
    publish(people, scored(make()))
    assert not Letter.objects.exists()


def test_a_letter_outlives_a_mail_server_that_is_down(published: Interview, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    working, settings.EMAIL_BACKEND = settings.EMAIL_BACKEND, f"{__name__}.Refusing"
    Refusing.tried = 0
    for _ in range(3):
        send_letters()
    assert Refusing.tried == 1, "the second try waits"
    assert "was not sent (no mail today)" in caplog.text and mail.outbox == []
    letter = Letter.objects.get()
    assert letter.tries == 1 and letter.sent_at is None and letter.due_at > timezone.now() + timedelta(seconds=50)
    settings.EMAIL_BACKEND = working
    Letter.objects.update(due_at=timezone.now())
    send_letters()
    assert len(mail.outbox) == 1 and Letter.objects.get().sent_at


def test_tries_come_ever_later_and_end(published: Interview, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.Refusing"
    waits = []
    for _ in range(letters.TRIES):
        now = timezone.now()
        Letter.objects.update(due_at=now)
        send_letters()
        waits.append(round((Letter.objects.get().due_at - now) / timedelta(minutes=1)))
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]
    assert [record.levelno for record in caplog.records if "was not sent" in record.message] == [logging.WARNING] * (letters.TRIES - 1) + [logging.ERROR]
    Letter.objects.update(due_at=timezone.now())
    Refusing.tried = 0
    send_letters()
    assert Refusing.tried == 0


def test_of_two_workers_that_see_a_letter_one_sends_it(published: Interview, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(minutes: int) -> timedelta:
        monkeypatch.undo()
        letters.send_due()
        assert len(mail.outbox) == 1
        return timedelta(minutes=minutes)

    monkeypatch.setattr(letters, "timedelta", meanwhile)  # asked after a letter was seen, before it is claimed
    letters.send_due()
    assert len(mail.outbox) == 1 and Letter.objects.get().tries == 1
