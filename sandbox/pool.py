"""Warm jails: started ahead, used once, replaced in the background.

Starting a jail takes as long as importing torch does; taking one from here takes microseconds. A pool that can't start jails hands out None,
and its user starts one cold: slow, never an error of its own.
"""

import logging
import threading
import time
from collections import deque

from sandbox import drivers
from sandbox.jail import Jail
from sandbox.spec import JailSpec
from sandbox.verdict import Unavailable

RETRY_S = 5.0
QUIET_S = 0.5  # after a jail is taken, while others wait: its run's first results need the processor more than its replacement does
log = logging.getLogger(__name__)


class Pool:
    """`size` jails of one spec, kept ready.

    Args:
        size: how many to hold; 0 holds none.
        spec: which kind; a lab that needs another kind is served cold.
        driver: None takes the machine's default.
    """

    def __init__(self, size: int = 2, spec: JailSpec | None = None, driver: str | None = None) -> None:
        self.size, self.spec = size, spec or JailSpec()
        self.driver = driver or drivers.default()
        self.last_error = ""
        self._taken_at = 0.0
        self._idle: deque[Jail] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._refill, name="jail-pool", daemon=True)
        self._thread.start()

    def take(self, spec: JailSpec | None = None) -> Jail | None:
        """A jail for one submission, which the taker closes; None when there is none ready of this kind."""
        if spec is not None and spec != self.spec:
            return None
        with self._changed:
            while self._idle:
                jail = self._idle.popleft()
                self._taken_at = time.monotonic()
                self._changed.notify_all()
                if jail.process.poll() is None:
                    return jail
                jail.close()
        return None

    def wait(self, count: int | None = None, timeout_s: float = 60.0) -> bool:
        """Waits until `count` jails (all, by default) are ready."""
        wanted = self.size if count is None else count
        with self._changed:
            return self._changed.wait_for(lambda: len(self._idle) >= wanted, timeout_s)

    @property
    def ready(self) -> int:
        """How many jails wait."""
        return len(self._idle)

    def close(self) -> None:
        """Ends the idle jails and the refilling. Jails that were taken live on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(90)
        while self._idle:
            self._idle.popleft().close()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refill(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or len(self._idle) < self.size, 1.0)
                if self._closed:
                    return
                self._drop_dead()
                if len(self._idle) >= self.size:
                    continue
                if self._idle and (left := self._taken_at + QUIET_S - time.monotonic()) > 0:
                    self._changed.wait(left)
                    continue
            try:
                jail = drivers.start(self.spec, self.driver)
            except (Unavailable, RuntimeError, TimeoutError) as error:
                if str(error) != self.last_error:
                    log.warning("no warm jail: %s", error)
                self.last_error = str(error)
                self._pause()
                continue
            with self._changed:
                self.last_error = ""
                if self._closed:
                    jail.close()
                    return
                self._idle.append(jail)
                self._changed.notify_all()

    def _drop_dead(self) -> None:
        for jail in list(self._idle):
            if jail.process.poll() is not None:
                self._idle.remove(jail)
                jail.close()

    def _pause(self) -> None:
        end = time.monotonic() + RETRY_S
        with self._changed:
            self._changed.wait_for(lambda: self._closed, max(0.0, end - time.monotonic()))
