"""`manage.py serve` says what is in its way, and a worker that can't judge takes no run."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.test import Client

from interviews.accounts.management.commands.serve import check_port, processes


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"Port {port}"):
            check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


def test_every_queue_is_consumed_and_redis_is_ours_only_when_nobody_named_one(settings: object) -> None:
    children = processes("127.0.0.1", 8000, own_redis=True)
    assert children[0].name == "redis"
    consumed = {queue for child in children if "--queues" in child.argv for queue in child.argv[child.argv.index("--queues") + 1].split(",")}
    assert consumed == set(settings.WORKER_QUEUES)  # type: ignore[attr-defined]
    grading = next(child.argv for child in children if child.name == "worker grading")
    assert grading[grading.index("--concurrency") + 1] == "2"  # one thread for an answer that takes long, one for the others
    assert "redis" not in [child.name for child in processes("127.0.0.1", 8000, own_redis=False)]


def test_scripts_and_style_sheets_are_sent_compressed(client: Client, settings: Any) -> None:
    built = json.loads(settings.DJANGO_VITE["default"]["manifest_path"].read_text()).values()
    files = {part["file"] for part in built if part["file"].endswith((".js", ".css"))}
    for file in (file for file in files if (settings.FRONTEND_DIST / file).stat().st_size > 1000):
        answer = client.get(f"/static/{file}", headers={"accept-encoding": "gzip"})
        assert (answer.status_code, answer.headers.get("Content-Encoding")) == (200, "gzip"), file


def _health(port: int) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            body: dict[str, Any] = json.load(answer)
            return body
    except (urllib.error.URLError, OSError, ValueError):
        return {}


def test_a_worker_whose_jail_does_not_work_consumes_no_sandbox_queue(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL", "ROOFLINE_JAIL_IMAGE")}
    env |= {"ROOFLINE_STATE": str(tmp_path), "SANDBOX_DRIVER": "container"}  # for which no image is set
    manage = Path(__file__).parents[2] / "manage.py"
    site = subprocess.Popen([sys.executable, manage, "serve", "--port", str(port)], env=env, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        body: dict[str, Any] = {}
        # Its report says that it looked; before that, it consumes nothing to speak of. The other two start in
        # their own time, and one that is busy when asked is missing from that answer alone.
        others = {"default": 1, "grading": 1}
        while body.get("jail", {}).get("driver") != "container" or not others.items() <= body["queues"].items():
            assert time.monotonic() < until, body
            time.sleep(0.5)
            body = _health(port)
        assert body["jail"]["ok"] is False and body["jail"]["detail"]
        assert body["queues"] == {**others, "sandbox.cpu": 0, "sandbox.gpu": 0}
    finally:
        site.terminate()
        site.wait(30)
