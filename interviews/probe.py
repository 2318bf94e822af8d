"""Container health: `python -m interviews.probe web` and `python -m interviews.probe worker QUEUE` exit 0 when that part answers."""

import os
import socket
import sys
import urllib.request


def web() -> bool:
    """The site on this host answers /healthz with 200."""
    port = os.environ.get("PORT", "8000")
    host = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip().lstrip("*.") or "localhost"  # others are refused before /healthz is asked
    request = urllib.request.Request(f"http://127.0.0.1:{port}/healthz", headers={"Host": host})
    with urllib.request.urlopen(request, timeout=4) as answer:
        return bool(answer.status == 200)


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
