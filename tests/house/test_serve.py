"""`manage.py serve` says what is in its way."""

import socket

import pytest
from django.core.management import CommandError

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
    assert "redis" not in [child.name for child in processes("127.0.0.1", 8000, own_redis=False)]
