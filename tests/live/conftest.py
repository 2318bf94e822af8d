"""A bank of small questions and an interview on it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interviews.bank.actions import load_pack
from interviews.live import actions, consumers
from interviews.live.models import Interview
from tests.conftest import People
from tests.services import start_redis

RUBRIC = """bands: {L5: 14, L6: 20, L7: 25}
criteria:
"""
CRITERION = """  - id: c{n}
    title: Criterion {n}
    points: 4
    levels: ["none", "one", "two", "three", "four"]
    claims:
      - id: decode
        text: Decode is bound by memory bandwidth because every step reads all weights.
        paraphrases: ["Each decode step reads all the weights, so memory bandwidth limits it."]
        terms: [[memory, bandwidth], [decode]]
      - id: prefill
        text: Prefill is bound by compute because many tokens share one read of the weights.
        paraphrases: ["In prefill many tokens reuse each weight that is read, so compute limits it."]
        terms: [[compute], [prefill]]
    rule: {{1: 2, 2: 4}}
    probe: What limits each phase?
"""
TESTED = """  - id: t{n}
    title: Tests {n}
    points: 4
    levels: ["none", "one", "two", "three", "four"]
    tests: [{group}]
"""


def _question(folder: Path, number: int, kind: str, extra: str = "", criteria: str | None = None) -> None:
    place = folder / f"{kind}-{number}"
    place.mkdir(parents=True)
    (place / "question.yaml").write_text(
        f"uuid: 00000000-0000-4000-8000-{number:012d}\ntitle: A {kind} question\nkind: {kind}\n"
        f"topics: [batching]\nlevels: [L5, L6, L7]\nminutes: 15\nsyllabus: []\n{extra}"
    )
    (place / "prompt.md").write_text(f"What limits prefill and decode? Number {number}, $a < b$.\n")
    (place / "rubric.yaml").write_text(RUBRIC + (criteria or "".join(CRITERION.format(n=n) for n in range(7))))


@pytest.fixture
def bank(db: None, tmp_path: Path) -> Path:
    """A pack with two written questions, an estimate and a lab."""
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "pack.yaml").write_text("slug: small\ntitle: Small\ndescription: For tests.\n")
    _question(folder, 1, "written")
    _question(folder, 2, "written")
    _question(folder, 3, "estimate", 'fields: [{id: size, label: "Size", hint: "in GiB"}]\n')
    tested = "".join(TESTED.format(n=n, group=group) for n, group in enumerate(("admission", "budget")))
    tested += "".join(CRITERION.format(n=n) for n in range(5))
    _question(folder, 4, "code", "lab: continuous-batcher\n", tested)
    load_pack(folder=folder)
    return folder


@pytest.fixture
def make(bank: Path, people: People) -> Callable[..., Interview]:
    """Makes interviews: an estimate, code and one written question in 60 minutes, started unless told otherwise."""

    def make(started: bool = True, minutes: int = 60) -> Interview:
        plan = actions.plan(level="L6", minutes=minutes, topics=[])
        interview = actions.create_interview(candidate=people.candidate.user, blueprint=plan, seed=1)
        return actions.start(interview=interview, actor=people.candidate.user) if started else interview

    return make


@pytest.fixture
def no_redis(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """A channel layer whose Redis is not there, until what this gives is called, which returns its URL."""
    folder = Path(tempfile.mkdtemp(prefix="roofline-"))
    layer = settings.CHANNEL_LAYERS["default"]
    settings.CHANNEL_LAYERS = {"default": {**layer, "CONFIG": {**layer["CONFIG"], "hosts": [f"unix://{folder}/redis.sock"]}}}
    monkeypatch.setattr(consumers, "REJOIN_SECONDS", 0.1)
    yield lambda: start_redis(folder)
    shutil.rmtree(folder)
