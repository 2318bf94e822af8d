"""`manage.py serve` says what is in its way, and a worker that can't judge takes no run."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from interviews.accounts.management.commands.serve import check_port, greeting, processes


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


NAME = "interviews.example.test"


@dataclass(frozen=True)
class Site:
    """One that `serve` runs, as it is seen from outside."""

    port: int
    state: Path
    dist: Path  # the folder that the front end is built into
    log: Path

    def get(self, path: str) -> bytes:
        """The answer's body. Raises OSError for any status but 200."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers={"Host": NAME})
        with urllib.request.urlopen(request, timeout=5) as answer:
            body: bytes = answer.read()
            return body

    def health(self) -> dict[str, Any]:
        try:
            body: dict[str, Any] = json.loads(self.get("/healthz"))
            return body
        except (OSError, ValueError):
            return {}


def build(dist: Path, name: str) -> None:
    """What a build of the front end does to its folder: it empties it and writes files with new names."""
    shutil.rmtree(dist, ignore_errors=True)
    (dist / "assets").mkdir(parents=True)
    (dist / "assets" / name).write_text(f"// {name}")
    (dist / "manifest.json").write_text(json.dumps({"src/site.ts": {"file": f"assets/{name}", "src": "src/site.ts", "isEntry": True}}))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("serve")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        site = Site(probe.getsockname()[1], folder / "state", folder / "dist", folder / "log")
    build(site.dist, "site-Aaaaaaaa.js")
    env = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL", "ROOFLINE_JAIL_IMAGE")}
    env |= {"ROOFLINE_STATE": str(site.state), "FRONTEND_DIST": str(site.dist), "ALLOWED_HOSTS": f".{NAME}"}
    env |= {"SANDBOX_DRIVER": "container"}  # for which no image is set
    manage = Path(__file__).parents[2] / "manage.py"
    with site.log.open("w") as log:
        process = subprocess.Popen([sys.executable, manage, "serve", "--port", str(site.port)], env=env, stdout=log)
    until = time.monotonic() + 120
    try:
        while not site.health():
            assert time.monotonic() < until
            time.sleep(0.5)
        yield site
    finally:
        process.terminate()
        process.wait(30)


def test_a_worker_whose_jail_does_not_work_consumes_no_sandbox_queue(site: Site) -> None:
    until = time.monotonic() + 120
    body: dict[str, Any] = {}
    # Its report says that it looked; before that, it consumes nothing to speak of. The other two start in
    # their own time, and one that is busy when asked is missing from that answer alone.
    others = {"default": 1, "grading": 1}
    while body.get("jail", {}).get("driver") != "container" or not others.items() <= body["queues"].items():
        assert time.monotonic() < until, body
        time.sleep(0.5)
        body = site.health()
    assert body["jail"]["ok"] is False and body["jail"]["detail"]
    assert body["queues"] == {**others, "sandbox.cpu": 0, "sandbox.gpu": 0}


def test_a_site_with_a_name_of_its_own_says_where_it_is_and_before_that_the_passwords(site: Site) -> None:
    until = time.monotonic() + 20
    while f"Roofline is at http://{NAME}:{site.port}\n" not in (said := site.log.read_text()):
        assert time.monotonic() < until, said
        time.sleep(0.2)
    assert said.index("admin@roofline.example") < said.index("Roofline is at")


@pytest.mark.parametrize(("host", "allowed", "url", "refuses"), [
    ("127.0.0.1", ["localhost", "127.0.0.1", "[::1]"], "http://127.0.0.1:8000", False),
    ("0.0.0.0", ["localhost", "127.0.0.1", "[::1]"], "http://127.0.0.1:8000", True),
    ("::", ["localhost", "127.0.0.1", "[::1]"], "http://[::1]:8000", True),
    ("", ["localhost", "127.0.0.1", "[::1]"], "http://127.0.0.1:8000", True),
    ("192.0.2.7", ["localhost", "192.0.2.7"], "http://192.0.2.7:8000", False),
    ("0.0.0.0", ["interviews.example.org", "localhost"], "http://interviews.example.org:8000", False),
    ("0.0.0.0", ["*"], "http://127.0.0.1:8000", False),
])  # fmt: skip
def test_the_address_said_is_one_that_is_let_in(host: str, allowed: list[str], url: str, refuses: bool) -> None:
    said = greeting(host, 8000, allowed)
    assert f"Roofline is at {url}\n" in said
    assert ("ALLOWED_HOSTS" in said) == refuses


@pytest.mark.parametrize(("host", "allowed", "refused"), [
    ("192.0.2.7", ["localhost", "127.0.0.1", "[::1]"], True),
    ("2001:db8::7", ["localhost"], True),
    ("192.0.2.7", ["localhost", "192.0.2.7"], False),
    ("192.0.2.7", ["interviews.example.org"], False),
    ("127.0.0.1", ["localhost"], False),
    ("::1", ["localhost"], False),
    ("0.0.0.0", ["localhost"], False),
    ("", ["localhost"], False),
])  # fmt: skip
def test_where_only_names_of_this_machine_alone_are_let_in_nothing_else_is_listened_on(
    settings: Any, tmp_path: Path, host: str, allowed: list[str], refused: bool
) -> None:
    settings.ALLOWED_HOSTS, settings.STATE_DIR = allowed, tmp_path / "none"
    with pytest.raises(CommandError if refused else FileNotFoundError, match="ALLOWED_HOSTS=" if refused else "serve.lock"):
        call_command("serve", host=host)


def test_nobody_else_reads_the_database_of_a_site_that_runs(site: Site) -> None:
    assert {file.name: file.stat().st_mode & 0o077 for file in site.state.glob("roofline.sqlite3*")} == {
        "roofline.sqlite3": 0, "roofline.sqlite3-shm": 0, "roofline.sqlite3-wal": 0
    }  # fmt: skip


def test_a_site_that_runs_does_not_notice_that_its_front_end_is_built_anew(site: Site) -> None:
    build(site.dist, "site-Bbbbbbbb.js")
    assert b"/static/assets/site-Aaaaaaaa.js" in site.get("/accounts/login/")
    assert site.get("/static/assets/site-Aaaaaaaa.js") == b"// site-Aaaaaaaa.js"
