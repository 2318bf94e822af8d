"""The flight record: what happened in each step, as the metered engine saw it.

Shape (docs/architecture.md): `{steps: [{t, requests: [{id, prefill, decode, drafted, accepted}], blocks_used, blocks_free, hits, preempted}],
total_blocks, truncated}`. Requests are numbered in the order in which they were first opened: their names are the submission's to choose, so they
are not shown.
"""

from dataclasses import dataclass, field
from typing import Any

MAX_STEPS = 400
MAX_PREEMPTED = 256  # of one step


@dataclass(frozen=True, slots=True)
class CostModel:
    """Virtual milliseconds of a step: `fixed + per_token * new tokens + per_kv_token * context tokens read`.

    The shape is that of the roofline of a decoder: weights are read once a step, keys and values once per context token.
    """

    fixed: float = 1.0
    per_token: float = 0.02
    per_kv_token: float = 0.0005

    def step(self, tokens: int, kv_tokens: int) -> float:
        return self.fixed + self.per_token * tokens + self.per_kv_token * kv_tokens


@dataclass(slots=True)
class Clock:
    """Virtual time in milliseconds, shared by the engines of one test."""

    now: float = 0.0


@dataclass(slots=True)
class Recorder:
    """Collects steps; the first MAX_STEPS are kept."""

    total_blocks: int
    steps: list[dict[str, Any]] = field(default_factory=list)
    truncated: bool = False

    def step(self, t: float, requests: list[dict[str, int]], used: int, hits: int) -> dict[str, Any]:
        """Adds a step and returns its record, in which accepted drafts and preemptions are entered once they are known."""
        record = {
            "t": round(t, 4),
            "requests": requests,
            "blocks_used": used,
            "blocks_free": self.total_blocks - used,
            "hits": hits,
            "preempted": [],
        }
        if len(self.steps) < MAX_STEPS:
            self.steps.append(record)
        else:
            self.truncated = True
        return record

    @staticmethod
    def preempt(step: dict[str, Any], number: int) -> None:
        """Enters a preemption: each request once, and not without end, since a submission may close and open as often as it likes."""
        if number not in step["preempted"] and len(step["preempted"]) < MAX_PREEMPTED:
            step["preempted"].append(number)

    def as_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "total_blocks": self.total_blocks, "truncated": self.truncated}
