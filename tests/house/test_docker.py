"""No engine builds the images here, so the files are read: every command, module, queue, port and variable must exist in the project."""

import importlib.util
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands

from interviews.accounts.management.commands.serve import processes

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
OUR_MODULES = ("interviews.asgi", "interviews.celery", "interviews.probe")
# Read by programs of the image other than ours.
FOREIGN = {"POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB", "FORWARDED_ALLOW_IPS"}


def services() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name in ("compose.yaml", "compose.gpu.yaml"):
        found += list(yaml.safe_load((DOCKER / name).read_text())["services"].items())
    return found


SERVICES = services()
OURS = [(name, body) for name, body in SERVICES if str(body.get("image", "")).startswith("roofline:")]


def known_variables() -> set[str]:
    """Variables that settings, serve or the probe read."""
    sources = [ROOT / "interviews/settings.py", ROOT / "interviews/probe.py", *(ROOT / "interviews/accounts").rglob("*.py")]
    text = "\n".join(path.read_text() for path in sources)
    return set(re.findall(r"env(?:\.\w+)?\(\s*\"([A-Z_]+)\"", text)) | set(re.findall(r"environ(?:\.get\(|\[)\"([A-Z_]+)\"", text))


def image_command() -> list[str]:
    lines = (DOCKER / "Dockerfile").read_text().replace("\\\n", "").splitlines()
    (command,) = [line.removeprefix("CMD ") for line in lines if line.startswith("CMD ")]
    argv: list[str] = yaml.safe_load(command)
    return argv


def check_command(argv: list[str]) -> None:
    match argv:
        case ["python", "manage.py", command, *_]:
            assert command in get_commands()
        case ["python", "-m", module, *rest]:
            assert module in OUR_MODULES
            assert importlib.util.find_spec(module)
            if rest[:1] == ["worker"]:
                assert rest[1] in settings.WORKER_QUEUES
        case ["uvicorn", application, *_]:
            module, name = application.split(":")
            assert hasattr(importlib.import_module(module), name)
        case ["celery", "-A", module, role, *rest]:
            assert importlib.util.find_spec(module)
            assert role in ("worker", "beat")
            if role == "worker":
                assert set(rest[rest.index("--queues") + 1].split(",")) <= set(settings.WORKER_QUEUES)
        case _:
            pytest.fail(f"unknown command: {argv}")


@pytest.mark.parametrize(("name", "body"), OURS, ids=[name for name, _ in OURS])
def test_each_role_runs_a_command_that_exists(name: str, body: dict[str, Any]) -> None:
    check_command([str(part) for part in body["command"]])


@pytest.mark.parametrize(("name", "body"), SERVICES, ids=[name for name, _ in SERVICES])
def test_each_service_says_how_its_health_is_asked(name: str, body: dict[str, Any]) -> None:
    health = body["healthcheck"]
    if health.get("disable"):
        # A job that ends, and a clock that nothing asks.
        assert name in ("migrate", "beat")
    else:
        assert health["test"][0] == "CMD"
        if name not in ("postgres", "redis"):
            check_command(health["test"][1:])


def test_every_queue_has_a_worker() -> None:
    consumed = {part for _, body in OURS for part in body["command"] if part in settings.WORKER_QUEUES}
    assert consumed == set(settings.WORKER_QUEUES)


def test_every_variable_is_one_that_the_project_reads() -> None:
    example = (line.split("=")[0] for line in (DOCKER / "env.example").read_text().splitlines() if "=" in line)
    given = {name for _, body in SERVICES for name in (body.get("environment") or {})} | set(example)
    assert given - FOREIGN <= known_variables()


def test_the_database_s_password_is_in_no_url() -> None:
    databases = [body["environment"] for _, body in OURS if "environment" in body]
    assert {env["DATABASE_URL"] for env in databases} == {"postgres://roofline@postgres:5432/roofline"}
    assert {env["DB_PASSWORD"] for env in databases} == {dict(SERVICES)["postgres"]["environment"]["POSTGRES_PASSWORD"]}


def test_the_port_published_is_the_port_served_and_exposed() -> None:
    web = dict(SERVICES)["web"]
    port = web["command"][web["command"].index("--port") + 1]
    assert web["ports"] == [f"{port}:{port}"]
    dockerfile = (DOCKER / "Dockerfile").read_text()
    assert f"EXPOSE {port}" in dockerfile
    assert f"PORT={port}" in dockerfile


def test_nothing_that_git_ignores_goes_into_the_image() -> None:
    lines = (ROOT / ".gitignore").read_text().split()
    ignored = {line.strip("/") if line.startswith("/") else f"**/{line.strip('/')}" for line in lines}
    assert "**/.env" in ignored
    assert ignored <= set((ROOT / ".dockerignore").read_text().splitlines())


def options(argv: list[str]) -> set[tuple[str, ...]]:
    """A command's options, each with what follows it; where it listens is left out."""
    starts = [i for i, part in enumerate(argv) if part.startswith("--")] + [len(argv)]
    found = {tuple(argv[start:end]) for start, end in pairwise(starts)}
    return {option for option in found if option[0] not in ("--host", "--port")}


def test_the_site_is_served_with_the_options_of_serve(settings: Any) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")  # as the example sets it
    (web,) = [list(child.argv) for child in processes("0.0.0.0", 8000, own_redis=False) if child.name == "web"]
    assert ("--no-access-log",) in options(web)
    assert options(dict(SERVICES)["web"]["command"]) == options(web)
    assert options(image_command()) == options(web)


def test_the_image_runs_as_an_ordinary_user_and_copies_what_exists() -> None:
    lines = (DOCKER / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["roofline"]
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), line
    check_command(image_command())
