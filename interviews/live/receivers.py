"""The sandbox's signals, as events of interviews."""

from typing import Any
from uuid import UUID

from django.dispatch import receiver

from interviews.live import actions
from sandbox.signals import run_changed


@receiver(run_changed)
def note_run(sender: Any, run_id: UUID, kind: str, **_: Any) -> None:
    actions.note_run(run_id=run_id, kind=kind)
