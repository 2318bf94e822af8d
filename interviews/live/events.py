"""The log of an interview and its doorbell."""

import logging
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

from interviews.accounts.models import User
from interviews.live.models import Event, Interview

log = logging.getLogger(__name__)


def lock(interview_id: UUID) -> Interview:
    """The interview's row, locked until the transaction ends. Every change begins here, so that changes stand in one order."""
    return Interview.objects.select_for_update().get(pk=interview_id)


def append(interview: Interview, kind: str, *, actor: User | None = None, body: dict[str, Any] | None = None) -> Event:
    """Writes the next event of a locked interview and rings the doorbell after commit."""
    interview.seq += 1
    Interview.objects.filter(pk=interview.pk).update(seq=interview.seq)
    event = Event.objects.create(interview=interview, seq=interview.seq, kind=kind, actor=actor, body=body or {})
    seq, group = interview.seq, interview_group(interview.pk)
    transaction.on_commit(lambda: publish(group, {"type": "doorbell", "seq": seq}))
    return event


def interview_group(interview_id: UUID) -> str:
    return f"interview.{interview_id}"


def answer_group(answer_id: UUID) -> str:
    return f"answer.{answer_id}"


def publish(group: str, message: dict[str, Any]) -> None:
    """Sends to a channel group. A doorbell that does not ring loses nothing: clients also ask for the last one by the minute, with the clock, and on focus."""
    try:
        async_to_sync(get_channel_layer().group_send)(group, message)
    except Exception as error:
        log.warning("the doorbell of %s did not ring: %s", group, error)
