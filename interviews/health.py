"""`/healthz`: is each part there, and which one is in use."""

from importlib.metadata import version
from typing import Any

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from interviews.celery import app


def _database() -> dict[str, Any]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return {"ok": True, "vendor": connection.vendor}
    except DatabaseError as error:
        return {"ok": False, "detail": str(error)}


def _redis() -> dict[str, Any]:
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2) as client:
            return {"ok": bool(client.ping())}
    except redis.RedisError as error:
        return {"ok": False, "detail": str(error)}


def _queues() -> dict[str, int]:
    """Workers per queue, as the workers themselves answer within half a second."""
    counts = dict.fromkeys(settings.WORKER_QUEUES, 0)
    for queues in (app.control.inspect(timeout=0.5).active_queues() or {}).values():
        for queue in queues:
            if queue["name"] in counts:
                counts[queue["name"]] += 1
    return counts


def healthz(request: HttpRequest) -> JsonResponse:
    """200 while database and Redis answer, else 503. The other fields say what works and what does not."""
    from sandbox import health as sandbox_health

    database, broker = _database(), _redis()
    body = {
        "status": "ok" if database["ok"] and broker["ok"] else "down",
        "version": version("roofline"),
        "database": database,
        "redis": broker,
        "queues": _queues() if broker["ok"] else {},
        **sandbox_health.read(),
    }
    return JsonResponse(body, status=200 if body["status"] == "ok" else 503)
