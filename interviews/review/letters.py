"""Mail to a candidate that their review is published. A letter is a row, written with the publication, and sent until a mail server takes it.

It says that there is something to read and where, and nothing of what stands there: mail lies open on its way.
"""

import logging
from datetime import timedelta

from django.core.mail import send_mail
from django.db.models import F
from django.template.loader import render_to_string
from django.utils import timezone

from interviews.accounts.checks import mail_is_logged
from interviews.live.models import Event
from interviews.review.models import Letter

log = logging.getLogger(__name__)
TRIES = 12  # at growing distances, over some twenty hours
LONGEST = timedelta(hours=6)
AT_ONCE = 50


def write(event: Event, address: str) -> None:
    """Writes the letter about a publication, in its transaction; none where mail goes to the log. `address` is the report's, as its publisher came to it."""
    if not mail_is_logged():
        Letter.objects.create(event=event, address=address)


def send_due() -> None:
    """Sends what is due. A letter whose sender dies, or whose server refuses, is due again later; so at worst it comes twice."""
    waiting = Letter.objects.filter(sent_at=None, tries__lt=TRIES, due_at__lte=timezone.now())
    for letter in waiting.select_related("event__interview__candidate").order_by("due_at")[:AT_ONCE]:
        wait = min(timedelta(minutes=2**letter.tries), LONGEST)
        claimed = Letter.objects.filter(pk=letter.pk, sent_at=None, tries=letter.tries).update(tries=F("tries") + 1, due_at=timezone.now() + wait)
        if claimed:
            _send(letter)


def _send(letter: Letter) -> None:
    interview = letter.event.interview
    again = interview.events.filter(kind=Event.Kind.PUBLISHED, seq__lt=letter.event.seq).exists()
    text = render_to_string("review/letter.txt", {"interview": interview, "address": letter.address, "again": again})
    subject = f"Your interview was reviewed{' again' if again else ''}"
    try:
        send_mail(subject, text, None, [interview.candidate.email])
    except Exception as error:
        last = letter.tries + 1 == TRIES
        log.log(logging.ERROR if last else logging.WARNING, "letter %s was not sent (%s)%s", letter.pk, error, ", and is given up" if last else "")
    else:
        Letter.objects.filter(pk=letter.pk).update(sent_at=timezone.now())
