"""What the settings make of an environment, each in a process of its own."""

import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from interviews.accounts.demo import reset_command

ROOT = Path(__file__).resolve().parents[2]
# What the test plugin set up must not leak into it.
FOREIGN = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ACCOUNT_EMAIL_VERIFICATION", "SECURE_COOKIES")


def python(state: Path, program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a program with Django set up on this state and these variables."""
    env = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    env |= {"ROOFLINE_STATE": str(state), "DJANGO_SETTINGS_MODULE": "interviews.settings", "PYTHONPATH": str(ROOT), **variables}
    program = f"import django; from django.conf import settings; django.setup()\n{program}"
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, text=True, capture_output=True, umask=0o022, check=False)


def test_where_the_site_is_told_to_listen_is_a_name_of_it(tmp_path: Path) -> None:
    hosts = [python(tmp_path, "print(*settings.ALLOWED_HOSTS)", HOST=host).stdout.split()[3:] for host in ("192.0.2.7", "2001:db8::7", "0.0.0.0", "127.0.0.1")]
    assert hosts == [["192.0.2.7"], ["[2001:db8::7]"], [], []]
    assert python(tmp_path, "print(*settings.ALLOWED_HOSTS)", HOST="192.0.2.7", ALLOWED_HOSTS="interviews.example.org").stdout == "interviews.example.org\n"


def test_the_demo_people_s_new_passwords_are_had_with_the_python_that_runs_the_site_and_for_it_alone(tmp_path: Path, settings: Any) -> None:
    state = tmp_path / "it's here"
    hint = shlex.split(python(state, "from interviews.accounts.demo import reset_command; print(reset_command())").stdout)
    assert hint[0] == f"ROOFLINE_STATE={state}"
    assert (ROOT / hint[1]).samefile(sys.executable)
    assert hint[2:] == ["manage.py", "demo", "--reset"]
    settings.STATE_DIR = settings.DEFAULT_STATE_DIR
    assert shlex.split(reset_command()) == hint[1:]


ODD = "$a/b%40c@d#e:f?g h'i"


def test_any_password_reaches_the_database_as_it_is_and_no_part_of_one_is_printed(tmp_path: Path) -> None:
    program = "from django.db import connection; print(connection.get_connection_params()['password'], settings.SECRET_KEY)"
    given = {"DATABASE_URL": "postgres://roofline@postgres:5432/roofline", "DB_PASSWORD": ODD, "SECRET_KEY": ODD}
    assert python(tmp_path, program, **given).stdout == f"{ODD} {ODD}\n"
    refused = python(tmp_path, program, DATABASE_URL="postgres://roofline:horse/battery#staple@postgres:5432/roofline", SECRET_KEY=ODD)
    assert "DB_PASSWORD" in refused.stderr
    assert not [word for word in ("horse", "battery", "staple") if word in refused.stderr]


SECURE = """
from django.core.checks import run_checks
print(settings.SECURE_HSTS_SECONDS, *[found.id for found in run_checks() if found.is_serious()])
"""


def test_the_example_filled_in_is_a_site_that_sends_mail_and_stays_with_https(tmp_path: Path) -> None:
    lines = (ROOT / "docker/env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    example |= {"DATABASE_URL": "postgres://roofline@postgres:5432/roofline", "SECRET_KEY": ODD}
    assert python(tmp_path, SECURE, **example).stdout == "3600 accounts.E001\n"
    assert python(tmp_path, SECURE, **example | {"EMAIL_URL": "smtp+tls://roofline:a%2Fb@mail.example.org:587", "HSTS_SECONDS": "60"}).stdout == "60\n"
    assert python(tmp_path, SECURE, **example | {"ACCOUNT_EMAIL_VERIFICATION": "none"}).stdout == "3600\n"
    assert python(tmp_path, SECURE).stdout == "0\n"


def test_the_secret_key_is_made_once_whole_and_for_its_owner_whoever_asks_first(tmp_path: Path) -> None:
    def keys(state: Path) -> set[str]:
        with ThreadPoolExecutor(4) as pool:
            return set(pool.map(lambda _: python(state, "print(settings.SECRET_KEY)").stdout.strip(), range(4)))

    (key,) = keys(tmp_path)
    assert len(key) == 64
    (tmp_path / "secret-key").write_text("")  # as after a power cut
    (other,) = keys(tmp_path)
    assert len(other) == 64 and other != key
    assert keys(tmp_path) == {other}
    assert [(file.name, file.stat().st_mode & 0o777) for file in tmp_path.glob("secret-key*")] == [("secret-key", 0o600)]


SIGN_UP = """
from django.core.management import call_command
from interviews.accounts.models import User
call_command("migrate", verbosity=0)
User.objects.create_user("somebody@example.test", "a long pass phrase")
for file in sorted(settings.STATE_DIR.glob("roofline.sqlite3*")):
    print(file.name, f"{file.stat().st_mode:o}"[-3:])
"""


def test_nobody_else_reads_the_database_nor_what_sqlite_keeps_beside_it(tmp_path: Path) -> None:
    private = "roofline.sqlite3 600\nroofline.sqlite3-shm 600\nroofline.sqlite3-wal 600\n"
    first = python(tmp_path, SIGN_UP)
    assert first.stdout == private, first.stderr
    # Of a site that was made without such care, killed with what it last wrote still in the log.
    older = tmp_path / "older"
    older.mkdir()
    leave = "import os, sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript('PRAGMA journal_mode=WAL; CREATE TABLE t (a)'); os._exit(0)"
    subprocess.run([sys.executable, "-c", leave, older / "roofline.sqlite3"], umask=0o022, check=True)
    assert (older / "roofline.sqlite3-wal").stat().st_mode & 0o077
    assert python(older, SIGN_UP).stdout == private
