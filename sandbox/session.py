"""One test's conversation with the jail: the judge calls the submission's objects, the submission calls the judge's.

Everything that decides lives on this side. What comes back is data, read after its last byte has left the jail and under the judge's clock;
a message that does not carry the nonce of the request in progress ends the test.
"""

import secrets
import time
from collections.abc import Callable
from typing import Any, Protocol

from sandbox.failures import (
    Broken,
    Died,
    Gone,
    Idle,
    LoadFailed,
    OutOfGpuMemory,
    OutOfMemory,
    Raised,
    Starved,
    Stop,
    Stopped,
    TooManyCalls,
    TooMuchOutput,
    TooSlow,
)
from sandbox.guest import wire
from sandbox.jail import Jail, own_queued_seconds
from sandbox.link import Aborted, Closed, Deadline, Flood, Wait
from sandbox.spec import Limits

MAX_NESTING = 16
END_S = 3.0
IDLE_SHARE = 0.05
PATIENCE = 4  # times a test's seconds that it may wait for a processor besides
LEAST_S = 0.05  # waiting that is not worth asking for again
SIGXCPU, SIGSYS, SIGKILL = -24, -31, -9


class Refused(Exception):
    """A call of the engine that is refused. `kind` names an exception of the module `roofline`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Exported(Protocol):
    """An object of the judge's whose `METHODS` the submission may call, and whose `constants` it may read."""

    NAME: str
    METHODS: tuple[str, ...]

    def constants(self) -> dict[str, Any]: ...


class Proxy:
    """An object in the jail. Its methods are called by name; it has no other attributes."""

    __slots__ = ("_identity", "_session")

    def __init__(self, session: "Session", identity: int) -> None:
        self._session, self._identity = session, identity

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *args, **kwargs: self._session.call(self._identity, method, args, kwargs)


class Session:
    """A test's process in `jail`, from `load` to `finish`."""

    def __init__(self, jail: Jail, limits: Limits) -> None:
        self._jail, self._limits = jail, limits
        self._exports: dict[int, Exported] = {}
        self._by_object: dict[int, int] = {}
        self._depth = 0
        self._engine_calls = 0
        self._spent = 0.0  # seconds on the submission's side
        self._began = 0.0  # when the wait for it that goes on began
        self._lent = 0.0  # seconds of them that don't count, because the machine was busy with something else
        self._queued = own_queued_seconds()  # what this thread had waited for a processor before the test
        self._held_up = 0.0  # seconds of `_spent` in which this thread could have gone on and did not
        self._served = 0.0  # seconds that the judge's objects worked for it
        self._engine_held_up = 0.0  # seconds of them in which this thread could have gone on and did not
        self._excused = 0.0  # seconds of them that don't count
        self._first_rest = self._rest = self._resting()  # at the beginning of the test, and of the wait for the submission that goes on
        self._unused = 0.0  # seconds of the whole test, its own code included, that were nobody's
        self._owed = False  # whether a frame was sent whose answer has not come: it may still lie in the stream, read or not
        self._oom = jail.oom_kills()
        self._nonce = 0
        self._ending = jail.prepared  # the nonce of the frame that says that the process is gone
        self._unsent: Exception | None = None
        self._loading: int | None = None  # the nonce of the load that nobody has waited for yet
        self.loaded = False  # whether the submission has loaded
        self.stuck = False  # whether it ran out of time while it loaded
        self._failed: Stop | None = None
        self._over = False
        jail.link.max_payload = limits.frame_mb << 20
        jail.link.max_text = limits.output_kb << 10

    # What tests use --------------------------------------------------------------------------------------------------

    def new(self, name: str, *args: Any, **kwargs: Any) -> Proxy:
        """Makes an object of the submission's class (or factory) `name`."""
        made = self.call(-1, name, args, kwargs)
        if not isinstance(made, Proxy):
            raise Broken("the new object has no reference")
        return made

    def function(self, name: str) -> Callable[..., Any]:
        """The submission's function `name`."""
        return lambda *args, **kwargs: self.call(0, name, args, kwargs)

    @property
    def spent(self) -> float:
        """Seconds on the submission's side."""
        return self._spent

    @property
    def lent(self) -> float:
        """Seconds of the test in which one side could have gone on and had to wait for others, and that are not held against the submission."""
        return max(self._lent + self._excused, self._unused)

    # The conversation ------------------------------------------------------------------------------------------------

    def load(self, source: str, entry: str, seed: int, cpu: int = -1) -> None:
        """Has the submission loaded into the test's process, and doesn't wait for it: a test has engines and expectations to make meanwhile.

        The first call waits, or `finish`, and tells what came of it.
        """
        parcel = wire.Parcel(self._refer)
        packed = parcel.pack(source.encode())
        self._loading = nonce = secrets.randbits(62)
        message = wire.Start(nonce=nonce, entry=entry, seed=seed, cpu_s=int(self._limits.test_s) + 1, source=packed, cpu=cpu)
        self._owed = True
        try:
            self._jail.link.send(message, parcel, Wait(self._limits.load_s))
        except (Aborted, Closed, Deadline, Flood) as error:
            self._unsent = error

    def _loaded(self) -> None:
        """Waits for the load, once.

        Raises:
            LoadFailed: the submission raised, or lacks its entry.
            Stop: it ended otherwise. Each later call and `finish` raise the same again, so that no test passes without a submission.
        """
        if self._failed is None and self._loading is not None:
            nonce, self._loading = self._loading, None
            try:
                self._request(nonce, None, None, self._limits.load_s)
                self.loaded = True
            except Raised as error:
                self._failed = LoadFailed(error) if error.verdict is Raised.verdict else error
            except Stop as stop:
                self._failed, self.stuck = stop, isinstance(stop, TooSlow | Idle)
        if self._failed is not None:
            raise self._failed

    def call(self, target: int, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One call into the submission.

        Raises:
            Raised: it raised.
            Stop: the test is over.
        """
        self._loaded()
        if self._depth >= MAX_NESTING:
            raise Broken(f"calls nested deeper than {MAX_NESTING}")
        parcel = wire.Parcel(self._refer)
        message = wire.Call(
            nonce=secrets.randbits(62),
            target=target,
            method=method,
            args=parcel.pack(list(args)),
            kwargs=parcel.pack(kwargs),
        )
        return self._request(message.nonce, message, parcel, self._limits.call_s)

    def finish(self) -> None:
        """Ends the test's process and waits until nothing of it is left.

        Raises:
            Broken: frames came that nobody asked for.
            Stop: the submission did not load.
        """
        self._loaded()
        if self._over:
            return
        self._reckon()
        self._over = True
        jail = self._jail
        try:
            jail.link.send(wire.Finish(nonce=self._ending), None, Wait(END_S))
            message, _ = jail.link.receive(Wait(END_S))
            if isinstance(message, wire.Ended) and message.nonce == self._ending:
                jail.settle(message.clean)
                return
        except (Deadline, Closed, Flood, Aborted, wire.Violation):
            pass
        jail.healthy = False
        raise Broken("frames came that nobody asked for, or the process would not end")

    def abandon(self) -> None:
        """Ends the test's process by force; the jail stays usable when its zygote can tidy up.

        A frame that the process may not have read to its end would be what the zygote reads next: then no other test enters.
        """
        if self._over:
            return
        self._reckon()
        self._over = True
        jail = self._jail
        if self._owed:
            jail.condemn()
            return
        jail.interrupt()
        end = Wait(END_S)
        try:
            while True:  # what the submission still had in the pipe is of no interest
                message, _ = jail.link.receive(end)
                if isinstance(message, wire.Ended) and message.nonce == self._ending:
                    jail.settle(message.clean)
                    return
        except (Deadline, Closed, Flood, Aborted, wire.Violation):
            jail.healthy = False

    def _request(self, nonce: int, message: wire.Frame | None, parcel: wire.Parcel | None, allowed_s: float) -> Any:
        """The answer to `message`, or without one to what was sent before under `nonce`."""
        if self._over:
            raise Broken("the test is over")
        outer, self._nonce = self._nonce, nonce
        self._depth += 1
        try:
            if self._unsent is not None:
                raise self._unsent
            return self._converse(nonce, message, parcel, allowed_s)
        except Raised:
            raise
        except Deadline:
            raise self._too_slow() from None
        except Aborted:
            self.abandon()
            raise Stopped("aborted") from None
        except Flood as error:
            self.abandon()
            raise TooMuchOutput(str(error)) from None
        except Closed:
            self._over = True
            self._jail.healthy = False
            kind = Died if message is None else Gone  # without a message it is the load that was waited for
            raise self._memory() or kind("the jail ended before the submission answered") from None
        except wire.Violation as error:
            self.abandon()
            raise Broken(f"the answer breaks the protocol: {error}") from None
        finally:
            self._nonce = outer
            self._depth -= 1

    def _converse(self, nonce: int, message: wire.Frame | None, parcel: wire.Parcel | None, allowed_s: float) -> Any:
        link = self._jail.link
        left = allowed_s
        while True:
            self._began, self._rest, lent = time.monotonic(), self._resting(), self._lent
            wait = Wait(min(left, self._limits.test_s + lent - self._spent), self._lend)
            try:
                if message is not None:
                    self._owed = True
                    link.send(message, parcel, wait)
                answer, payload = link.receive(wait)
            finally:
                used = time.monotonic() - self._began
                self._spent += used
                self._held_up += self._resting() - self._rest
                left -= used - (self._lent - lent)
            if isinstance(answer, wire.Ended) and answer.nonce == self._ending:
                self._over = True
                self._jail.settle(answer.clean)
                raise self._ended(answer.status)
            if answer.nonce != nonce:
                raise wire.Violation("it does not belong to the request")
            self._owed = False
            if isinstance(answer, wire.Return):
                return wire.unpack(answer.value, answer, payload, self._resolve)
            if isinstance(answer, wire.Raise):
                raise Raised(answer.kind[:80], answer.message[:2000], answer.lines[-8:], answer.number)
            if not isinstance(answer, wire.Invoke):
                raise wire.Violation("it is of the wrong kind")
            message, parcel = self._timed(answer, payload)

    def _timed(self, invoke: wire.Invoke, payload: bytearray) -> tuple[wire.Frame, wire.Parcel]:
        """Serves a call on the engine's time."""
        # What the submission takes when it is called from there is its own; what it then has served is within the time of this call.
        began, rest = time.monotonic() - self._spent, self._resting() - self._held_up
        served, held_up = self._served, self._engine_held_up
        answer = self._serve(invoke, payload)
        self._served = served + time.monotonic() - self._spent - began
        self._engine_held_up = held_up + self._resting() - self._held_up - rest
        self._check_engine()
        return answer

    def _check_engine(self) -> None:
        """Ends the test when the engine has computed for too long, or was kept from it for so long that the machine can't tell."""
        limit = self._limits.test_s
        if self._served <= limit + self._excused:
            return
        self._excused = min(max(0.0, self._engine_held_up - self._jail.usage().computed), self._most_lent)
        if self._served <= limit + self._excused:
            return
        self.abandon()
        if self._excused >= self._most_lent:
            raise Starved("the machine was too busy with other things for the engine to answer in time")
        raise TooSlow(f"the engine worked for more than {limit:g} s: too many passes, or too large ones")

    def _serve(self, invoke: wire.Invoke, payload: bytearray) -> tuple[wire.Frame, wire.Parcel]:
        parcel = wire.Parcel(self._refer)
        self._engine_calls += 1
        if self._engine_calls > self._limits.engine_calls:
            self.abandon()
            raise TooManyCalls(f"more than {self._limits.engine_calls} engine calls in one test")
        owner = self._exports.get(invoke.target)
        if owner is None or invoke.method not in owner.METHODS:
            raise wire.Violation("a call of something that was not handed out")
        args = wire.unpack(invoke.args, invoke, payload, self._resolve)
        kwargs = wire.unpack(invoke.kwargs, invoke, payload, self._resolve)
        if not isinstance(args, list) or not isinstance(kwargs, dict) or not all(isinstance(key, str) for key in kwargs):
            raise wire.Violation("arguments that are none")
        try:
            result = getattr(owner, invoke.method)(*args, **kwargs)
            return wire.Answer(nonce=invoke.nonce, value=parcel.pack(result)), parcel
        except Refused as refusal:
            return wire.Refusal(nonce=invoke.nonce, kind=refusal.kind, message=str(refusal)), parcel
        except TypeError as error:
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                raise
            text = f"{invoke.method} does not take these arguments"
            return wire.Refusal(nonce=invoke.nonce, kind="BadRequest", message=text), parcel

    def _refer(self, value: Any) -> Any:
        if isinstance(value, Proxy):
            return {"$o": value._identity}
        if getattr(type(value), "METHODS", None) is None:
            raise TypeError(f"a test passed a {type(value).__name__} to the submission")
        identity = self._by_object.setdefault(id(value), len(self._by_object) + 1)
        self._exports[identity] = value
        return {"$h": [identity, value.NAME, list(value.METHODS), value.constants()]}

    def _resolve(self, tag: str, body: Any) -> Any:
        if tag != "$o" or type(body) is not int or not 0 < body < 1 << 31:
            raise wire.Violation("a reference that is none")
        return Proxy(self, body)

    def _resting(self) -> float:
        """Seconds so far, from some point in time on, in which this thread neither computed nor waited for the submission.

        Mostly it waits for Python's lock then, which judges of one process share, or for a processor. Everything that the judge does for a submission, it
        does in this thread (`judging.run` keeps torch in it), so none of that is in here.
        """
        return time.monotonic() - time.thread_time() - self._jail.link.waited

    def _reckon(self) -> None:
        """Takes note of what of this test is not the run's time, while the submission's processes can still be asked what they computed."""
        rested = self._resting() - self._first_rest
        if rested > LEAST_S:
            self._unused = max(0.0, rested - self._jail.usage().computed)

    @property
    def _most_lent(self) -> float:
        return PATIENCE * self._limits.test_s

    def _lend(self) -> float:
        """Seconds by which the wait that goes on is put off: those that both sides have by now queued for a processor that neither had, and those
        that this one, with the submission's bytes at hand, was held up.

        What either may have waited for the submission's own computing is left out, so that it gains little by threads that keep each other waiting.
        A part of the queueing may count twice, as being held up too: that lets nobody compute for longer.
        """
        spent = self._spent + time.monotonic() - self._began
        held_up = self._held_up + self._resting() - self._rest
        used = self._jail.usage()
        ours = max(0.0, own_queued_seconds() - self._queued - used.computed) + max(0.0, held_up - used.computed)
        delayed = max(0.0, used.delayed) + ours
        more = min(delayed, spent - used.computed, self._most_lent) - self._lent
        if more < LEAST_S:
            return 0.0
        self._lent += more
        return more

    def _too_slow(self) -> Stop:
        used = self._jail.usage()
        self.abandon()
        if memory := self._memory():
            return memory
        if self._lent >= self._most_lent:
            return Starved("the machine was too busy with other things to run this test in time")
        if used.computed + used.queued < IDLE_SHARE * self._spent:
            return Idle("the submission waited without computing until its time was up")
        return TooSlow("the submission ran out of time")

    def _memory(self) -> Stop | None:
        if self._jail.over_gpu():
            return OutOfGpuMemory(f"more than {self._jail.spec.gpu_memory_mb} MiB of GPU memory were used")
        if self._jail.oom_kills() > self._oom:
            return OutOfMemory(f"more than {self._jail.spec.memory_mb} MiB were used")
        return None

    def _ended(self, status: int) -> Stop:
        if memory := self._memory():
            return memory
        if status == SIGXCPU:
            return TooSlow("the submission ran out of processor time")
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return Gone(f"the process ended ({how}) before the submission answered")
