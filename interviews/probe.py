"""Container health: `python -m interviews.probe web` and `python -m interviews.probe worker QUEUE` exit 0 when that part answers."""

import os
import socket
import sys
import urllib.request
from collections.abc import Sequence


def name(allowed: Sequence[str]) -> str:
    """A name that a site with these ALLOWED_HOSTS answers to."""
    return (allowed[0].strip().lstrip("*.") if allowed else "") or "localhost"


def healthy(address: str, host: str) -> bool:
    """Whether the site at `address` (host:port) answers /healthz with 200. Asked by a name that is not its own it answers 400 to anything.

    Raises:
        OSError: it does not answer, or not with 200.
    """
    request = urllib.request.Request(f"http://{address}/healthz", headers={"Host": host})
    with urllib.request.urlopen(request, timeout=4) as answer:
        return bool(answer.status == 200)


def web() -> bool:
    """The site on this host answers /healthz with 200."""
    return healthy(f"127.0.0.1:{os.environ.get('PORT', '8000')}", name(os.environ.get("ALLOWED_HOSTS", "").split(",")))


def worker(queue: str) -> bool:
    """A worker of this host consumes the queue."""
    from interviews.celery import app

    host = socket.gethostname()
    answers = app.control.inspect(timeout=3).active_queues() or {}
    return any(name.endswith(f"@{host}") and queue in {q["name"] for q in queues} for name, queues in answers.items())


def main(argv: list[str]) -> int:
    match argv:
        case ["web"]:
            check = web
        case ["worker", queue]:

            def check() -> bool:
                return worker(queue)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    try:
        return 0 if check() else 1
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
