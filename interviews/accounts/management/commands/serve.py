"""The whole site in one command."""

import fcntl
import os
import shutil
import socket
import sys
import threading
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.http.request import validate_host

from interviews import probe
from interviews.accounts.demo import Demo, ensure_demo_people, reset_command
from interviews.supervisor import Child, Supervisor, redis_binary

READY_SECONDS = 90.0
EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # and where this machine then finds it


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


def reached(host: str) -> str:
    """Where the site is reached on this machine when it listens on `host`, as a URL has it."""
    local = EVERYWHERE.get(host, host)
    return f"[{local}]" if ":" in local else local


def accounts(people: list[Demo]) -> str:
    """The demo people made just now with their passwords, or how to get new ones."""
    if not people:
        return f"\n  Demo accounts exist; `{reset_command()}` gives them new passwords."
    lines = [f"    {person.role:<12} {person.email:<34} {person.password}" for person in people]
    return "\n".join(["", "  Demo accounts (these passwords are shown this once):", *lines])


def greeting(host: str, port: int, allowed: list[str]) -> str:
    """Where a browser finds the site that listens there and answers to these names, and whom it would refuse."""
    name = reached(host) if validate_host(reached(host), allowed) else probe.name(allowed)
    lines = ["", f"  Roofline is at http://{name}:{port}"]
    if host in EVERYWHERE and set(allowed) <= set(settings.LOOPBACK):
        lines += [f"  Other machines are refused until ALLOWED_HOSTS has the name that they use, as in ALLOWED_HOSTS=localhost,{socket.gethostname()}"]
    return "\n".join([*lines, "", "  Ctrl-C stops everything.", ""])


def welcome(host: str, port: int, out: Any) -> None:
    """Says where the site is, once it answers."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            if probe.healthy(f"{reached(host)}:{port}", probe.name(settings.ALLOWED_HOSTS)):
                out.write(greeting(host, port, settings.ALLOWED_HOSTS))
                out.flush()
                return
        except OSError:
            time.sleep(0.3)
    out.write(f"The site does not answer on port {port} yet; what went wrong stands above.")
    out.flush()


def check_name(host: str, allowed: list[str]) -> None:
    """Raises CommandError when a site that listens on `host` answers to names alone that lead elsewhere: it would refuse everybody who finds it."""
    if host not in EVERYWHERE and reached(host) not in settings.LOOPBACK and set(allowed) <= set(settings.LOOPBACK):
        raise CommandError(f"Whoever comes to {host} would be refused. Set ALLOWED_HOSTS to the names that they use, as in ALLOWED_HOSTS={reached(host)}")


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
        check_name(options["host"], settings.ALLOWED_HOSTS)
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
        if settings.EMBEDDED:
            self.stdout.write(accounts(ensure_demo_people()))  # before anything can go wrong: nobody can say them again
            self.stdout.flush()
        supervisor = Supervisor(processes(options["host"], options["port"], own_redis))
        threading.Thread(target=welcome, args=(options["host"], options["port"], self.stdout), daemon=True).start()
        supervisor.run()
