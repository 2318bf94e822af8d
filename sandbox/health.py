"""What the workers last said of their jails and devices."""

from datetime import timedelta
from typing import Any

from django.db import DatabaseError
from django.utils import timezone

from sandbox.models import Worker

FRESH = timedelta(seconds=30)


def read() -> dict[str, Any]:
    """`{"jail": {driver, ok, detail}, "engine": {device}, "gpus": [{gpu, name, ok, detail}]}` from workers that reported within half a minute."""
    try:
        worker = Worker.objects.filter(seen_at__gt=timezone.now() - FRESH).order_by("-ok", "-seen_at").first()
    except DatabaseError as error:
        worker, detail = None, str(error)
    else:
        detail = "No judging worker has reported yet."
    if worker is None:
        return {"jail": {"driver": None, "ok": False, "detail": detail}, "engine": {"device": None}, "gpus": []}
    return {
        "jail": {"driver": worker.driver, "ok": worker.ok, "detail": worker.detail},
        "engine": {"device": worker.device},
        "gpus": worker.gpus,
    }
