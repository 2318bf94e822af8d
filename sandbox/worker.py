"""What a judging worker holds besides Celery: the warm pool, and its report for the health page."""

import atexit
import logging
import os
import socket
import threading
from typing import Any

from celery.signals import worker_ready, worker_shutdown
from django.conf import settings
from django.db import close_old_connections

from sandbox import drivers
from sandbox.gpus import Gpus
from sandbox.models import Worker
from sandbox.pool import Pool
from sandbox.verdict import Unavailable

log = logging.getLogger(__name__)
REPORT_SECONDS = 10.0
_pool: Pool | None = None
_lendable: Gpus | None = None
_stop = threading.Event()


def pool() -> Pool | None:
    """This process's warm pool, or None outside a judging worker: then each run starts its own jail."""
    return _pool


def _probe() -> tuple[str, bool, str]:
    from sandbox.probe import probe

    try:
        report = probe(settings.SANDBOX["driver"])
    except Unavailable as error:
        return settings.SANDBOX["driver"], False, str(error)
    return report.driver, report.ok, report.detail


def _device() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def _gpus() -> Gpus | None:
    """What this worker can lend to labs that run kernels; None is what most machines have."""
    try:
        return drivers.gpus()
    except Unavailable as error:
        log.info("no GPU labs here: %s", error)
        return None


def _report(name: str, state: tuple[str, bool, str], device: str) -> None:
    driver, ok, detail = state
    gpus = _lendable.state() if _lendable else []
    Worker.objects.update_or_create(name=name, defaults={"driver": driver, "ok": ok, "detail": detail, "device": device, "gpus": gpus})


def _keep_reporting(name: str, state: tuple[str, bool, str], device: str) -> None:
    while True:
        close_old_connections()
        try:
            _report(name, state, device)
        except Exception:
            log.exception("the health report was not written")
        if _stop.wait(REPORT_SECONDS):
            return


@worker_ready.connect
def _start(sender: Any, **_: Any) -> None:
    """Probes the jail and fills the pool, on workers that consume a sandbox queue. A failed probe refuses the queue."""
    global _pool, _lendable
    queues = {queue for queue in sender.app.amqp.queues.consume_from if queue.startswith("sandbox.")}
    if not queues:
        return
    name = f"{socket.gethostname()}:{os.getpid()}"
    state = _probe()
    if state[1]:
        _pool = Pool(size=settings.SANDBOX["pool_size"], driver=state[0])
        atexit.register(_pool.close)
    else:
        log.error("the jail does not work here: %s", state[2])
        for queue in queues:
            sender.cancel_task_queue(queue)
    _lendable = _gpus() if state[1] and "sandbox.gpu" in queues else None
    if _lendable is None and "sandbox.gpu" in queues:
        sender.cancel_task_queue("sandbox.gpu")
    threading.Thread(target=_keep_reporting, args=(name, state, _device()), name="sandbox-report", daemon=True).start()


@worker_shutdown.connect
def _shut(**_: Any) -> None:
    _stop.set()
    if _pool:
        _pool.close()
