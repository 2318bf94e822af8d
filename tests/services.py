"""Real services for the tests: PostgreSQL and Redis, started here, gone with the run.

A pytest plugin, loaded before Django reads its settings (`-p tests.services`). `TEST_DB=postgres` runs on PostgreSQL, which is
what `make test` does first; the default is SQLite. `TEST_DATABASE_URL` and `TEST_REDIS_URL` name services that are already there.
"""

import atexit
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

# Where there is no GPU, Triton interprets its kernels; it asks once, when it is first imported, by whichever test that is.
if not Path("/proc/driver/nvidia").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

POSTGRES_VERSIONS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


class Missing(RuntimeError):
    """A service that the tests need is not on this machine."""


def _postgres_bin() -> Path:
    for folder in [*POSTGRES_VERSIONS, *map(Path, os.environ.get("PATH", "").split(":"))]:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    raise Missing("PostgreSQL's server is not installed: apt-get install postgresql (or set TEST_DATABASE_URL).")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_postgres(folder: Path) -> str:
    """Makes a cluster in `folder` and returns its URL. PostgreSQL refuses to run as root, so root lends it a uid."""
    bin_dir = _postgres_bin()
    user = "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"
    as_user = {"user": user, "group": pwd.getpwnam(user).pw_gid} if os.geteuid() == 0 else {}
    if as_user:
        shutil.chown(folder, user)
    folder.chmod(0o755)
    data = folder / "data"
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder, **as_user}
    subprocess.run([bin_dir / "initdb", "-D", data, "-U", "roofline", "-A", "trust", "-E", "UTF8", "--no-sync"], **quiet)
    port = _free_port()
    options = f"-k {folder} -h 127.0.0.1 -p {port} -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    subprocess.run([bin_dir / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", options, "start"], **quiet)
    stop = [bin_dir / "pg_ctl", "-D", data, "-m", "immediate", "stop"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/", **as_user}
    atexit.register(lambda: subprocess.run(stop, **silent, check=False))
    return f"postgres://roofline@127.0.0.1:{port}/postgres"


def start_redis(folder: Path) -> str:
    """Starts a Redis on a Unix socket that keeps nothing, and returns its URL."""
    from interviews.supervisor import redis_binary  # not before the settings' variables are set

    address = folder / "redis.sock"
    process = subprocess.Popen(
        [redis_binary(), "--port", "0", "--unixsocket", address, "--save", "", "--appendonly", "no", "--dir", folder],
        stdout=subprocess.DEVNULL,
    )
    atexit.register(process.kill)
    deadline = time.monotonic() + 10
    while not address.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise Missing("redis-server did not start.")
        time.sleep(0.01)
    return f"unix://{address}"


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Starts the services and points the settings at them. A missing one stops the run."""
    folder = Path(tempfile.mkdtemp(prefix="roofline-tests-"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["ROOFLINE_STATE"] = str(folder / "state")
    os.environ["SECRET_KEY"] = "only for tests"
    os.environ["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", "1")
    os.environ.pop("DATABASE_URL", None)
    try:
        if os.environ.get("TEST_DB", "sqlite") == "postgres":
            postgres = folder / "postgres"
            postgres.mkdir()
            os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL") or start_postgres(postgres)
            os.environ["ACCOUNT_EMAIL_VERIFICATION"] = "none"
            os.environ["SECURE_COOKIES"] = "false"
        redis = folder / "redis"
        redis.mkdir()
        os.environ["REDIS_URL"] = os.environ.get("TEST_REDIS_URL") or start_redis(redis)
    except Missing as error:
        print(f"tests cannot run: {error}", file=sys.stderr)
        raise SystemExit(3) from error
