"""The whole site in one command."""

import fcntl
import os
import shutil
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from interviews.accounts.demo import Demo, ensure_demo_people
from interviews.supervisor import Child, Supervisor, redis_binary

READY_SECONDS = 90.0


def worker(name: str, queues: str, threads: int) -> Child:
    """A Celery worker. Threads, not forks: torch is loaded once, and a jail is a process of its own anyway."""
    argv = [sys.executable, "-m", "celery", "--quiet", "-A", "interviews.celery", "worker", "--queues", queues, "--pool", "threads"]
    argv += ["--concurrency", str(threads), "--hostname", f"{name}@%h", "--loglevel", "WARNING", "--without-mingle", "--without-gossip"]
    # As root Celery warns at each start; what runs code of others is the jail, which drops to a uid of its own.
    return Child(f"worker {name}", argv, {"PYTHONWARNINGS": "ignore:You're running the worker with superuser"})


def processes(host: str, port: int, own_redis: bool) -> list[Child]:
    """What runs, in the order in which it starts."""
    python = sys.executable
    children = []
    if own_redis:
        redis = [redis_binary(), "--port", "0", "--unixsocket", str(settings.REDIS_SOCKET), "--unixsocketperm", "700"]
        children.append(Child("redis", [*redis, "--save", "", "--appendonly", "no", "--loglevel", "warning"]))
    web = [python, "-m", "uvicorn", "interviews.asgi:application", "--host", host, "--port", str(port), "--lifespan", "off"]
    if not settings.SECURE_PROXY_SSL_HEADER:  # with no proxy in front anybody could name an address of their own, and with it the limits on sign-ins
        web.append("--no-proxy-headers")
    web += ["--ws", "websockets-sansio", "--no-access-log", "--log-level", "warning"]
    children.append(Child("web", web, {"FRONTEND_DIST": str(_frontend())}))
    children += [
        worker("default", "default", 2),
        worker("grading", "grading", 2),
        worker("sandbox", "sandbox.cpu,sandbox.gpu", settings.SANDBOX["concurrency"]),
        Child("beat", [python, "-m", "celery", "--quiet", "-A", "interviews.celery", "beat", "--loglevel", "WARNING"]),
    ]
    return children


def _frontend() -> Path:
    return settings.STATE_DIR / "frontend"


def keep_frontend() -> None:
    """Copies what was built to where this site alone has it: a build empties the folder that it writes to, whoever is being served from there."""
    shutil.rmtree(_frontend(), ignore_errors=True)
    if settings.FRONTEND_DIST.is_dir():
        shutil.copytree(settings.FRONTEND_DIST, _frontend())


def welcome(url: str, people: list[Demo], out: Any) -> None:
    """Says where the site is, once it answers."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:
                if answer.status == 200:
                    break
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    else:
        out.write(f"The site does not answer at {url} yet; what went wrong stands above.")
    lines = ["", f"  Roofline is at {url}", ""]
    if people:
        lines += ["  Demo accounts (these passwords are shown this once):"]
        lines += [f"    {person.role:<12} {person.email:<34} {person.password}" for person in people]
    elif settings.EMBEDDED:
        lines += ["  Demo accounts exist; `manage.py demo --reset` gives them new passwords."]
    lines += ["", "  Ctrl-C stops everything.", ""]
    out.write("\n".join(lines))
    out.flush()


def check_port(host: str, port: int) -> None:
    """Raises CommandError when something else listens there already: its answers would be taken for ours."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise CommandError(f"Port {port} of {host} can't be had ({error.strerror}). Stop what uses it, or set PORT.") from error


class Command(BaseCommand):
    help = "Run the site: database, banks and demo accounts, then web, workers, beat and Redis, until interrupted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8000")))
        parser.add_argument("--host", default=os.environ.get("HOST", "127.0.0.1"))

    def handle(self, *args: Any, **options: Any) -> None:
        lock = (settings.STATE_DIR / "serve.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CommandError(f"Another `serve` already runs on {settings.STATE_DIR}. Stop it, or set ROOFLINE_STATE.") from error
        check_port(options["host"], options["port"])
        own_redis = "REDIS_URL" not in os.environ
        if own_redis:
            Path(settings.REDIS_SOCKET).unlink(missing_ok=True)
        keep_frontend()
        call_command("prepare", verbosity=0)
        people = ensure_demo_people() if settings.EMBEDDED else []
        local = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(options["host"], options["host"])
        url = f"http://{local}:{options['port']}"
        supervisor = Supervisor(processes(options["host"], options["port"], own_redis))
        threading.Thread(target=welcome, args=(url, people, self.stdout), daemon=True).start()
        supervisor.run()
