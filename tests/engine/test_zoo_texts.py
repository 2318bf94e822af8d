"""Texts of the trained pair under any schedule: stop strings, healed prompts and streamed pieces are those of a lone run."""

import functools
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import LLM, SamplingParams, checkpoint_path, load_checkpoint
from engine.checkpoint import Checkpoint
from tests.engine.audit import at_rest, audit, watch

# Some text is forced, some is chosen.
VERDICT = 'root ::= " is " ("idle" | "busy" | [0-9] "0 per cent") (", zqxkjvw " | "; quux ") [0-9] " grows or shrinks."'
STATE = {"type": "object", "properties": {"state": {"enum": ["waiting", "running"]}, "id": {"type": "integer"}}, "required": ["state", "id"],
         "additionalProperties": False}  # fmt: skip
TEXTS: list[tuple[str, SamplingParams]] = [
    ("The scheduler keeps", SamplingParams(temperature=0, max_tokens=30, stop=["step"])),
    ("The scheduler keeps", SamplingParams(temperature=0.9, seed=1, max_tokens=30, stop=[" the", "s."], include_stop=True)),
    ('{"id": ', SamplingParams(temperature=0.8, seed=2, max_tokens=24, stop=['"}', ","], min_tokens=6)),
    ("<|user|>What does the sampler do", SamplingParams(temperature=1.0, seed=3, max_tokens=40)),
    ("for item in ", SamplingParams(temperature=1.1, seed=4, max_tokens=20, n=3, stop=["\n"])),
    ("The prefix cac", SamplingParams(temperature=0, max_tokens=12, heal=True)),
    ("The verifier acce", SamplingParams(temperature=0.7, seed=5, max_tokens=14, heal=True, stop=["."])),
    ("The allocator", SamplingParams(temperature=0, max_tokens=12, beam_width=2)),
    ("The router", SamplingParams(temperature=1.7, seed=7, max_tokens=34, grammar=VERDICT)),
    ("State: ", SamplingParams(temperature=0.9, seed=8, max_tokens=30, n=2, json_schema=STATE)),
    ("The router", SamplingParams(temperature=1.7, seed=9, max_tokens=34, grammar=VERDICT, guidance_scale=1.5, negative_prompt="A page")),
    ("naïve 中文 ", SamplingParams(temperature=1.6, seed=6, max_tokens=24, ignore_eos=True, top_k=200)),
]
SCHEDULES = st.fixed_dictionaries(
    {
        "page_size": st.sampled_from([2, 8, 16]),
        "tokens": st.sampled_from([80, 112, 1000]),
        "chunk": st.none() | st.integers(1, 9),
        "preemption": st.sampled_from(["recompute", "swap"]),
        "prefix_cache": st.sampled_from([None, "hash", "radix"]),
        "draft": st.sampled_from([None, "ngram", "chain", "tree"]),
        "overlap": st.integers(0, 1),
        "seed": st.integers(0, 1000),
        "kinds": st.lists(st.integers(0, len(TEXTS) - 1), min_size=2, max_size=6),
    }
)


@functools.cache
def loaded(name: str) -> Checkpoint:
    return load_checkpoint(checkpoint_path(name))


@functools.cache
def alone(kind: int) -> Any:
    text, params = TEXTS[kind]
    return summary(LLM(loaded("target"), prefix_cache=None, n_pages=64).generate([text], params)[0])


def summary(output: Any) -> Any:
    return [(o.token_ids, o.text, o.finish_reason, o.stop_reason) for o in output.outputs]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(s=SCHEDULES)
def test_each_text_and_its_pieces_are_those_of_a_lone_run(s: dict[str, Any]) -> None:
    texts(s)


def texts(s: dict[str, Any]) -> LLM:
    dice = random.Random(s["seed"])
    llm = LLM(
        loaded("target"), page_size=s["page_size"], n_pages=max(7, s["tokens"] // s["page_size"]), max_running=5, max_batch_tokens=24,
        draft=loaded("draft") if s["draft"] in ("chain", "tree") else s["draft"], draft_tree=(2, 2) if s["draft"] == "tree" else (1, 1, 1),
        acceptance="coupled", **{key: s[key] for key in ("chunk", "preemption", "prefix_cache", "overlap")},
    )  # fmt: skip
    watch(llm)
    queue = list(s["kinds"])
    done: dict[str, Any] = {}
    pieces: dict[str, str] = {}
    for _ in range(3000):
        while queue and dice.random() < 0.4:
            kind = queue.pop()
            llm.submit(*TEXTS[kind], request_id=f"{kind}/{len(queue)}", priority=dice.randint(0, 2))
        for output in llm.step():
            pieces[output.request_id] = pieces.get(output.request_id, "") + output.delta
            if output.finished:
                done[output.request_id] = output
        audit(llm)
        if len(done) == len(s["kinds"]) and llm.idle:
            break
    assert len(done) == len(s["kinds"]), llm.stats()
    for request_id, output in done.items():
        kind = int(request_id.split("/")[0])
        assert summary(output) == alone(kind)
        if len(output.outputs) == 1:
            assert pieces[request_id] == output.outputs[0].text
    at_rest(llm)
    return llm


@pytest.mark.parametrize("kind", [i for i, (_, params) in enumerate(TEXTS) if params.constrained])
def test_jumping_over_forced_text_changes_nothing_but_the_work(kind: int) -> None:
    """With log-probabilities every token is computed, without them forced ones are jumped over: the tokens are the same."""
    text, params = TEXTS[kind]
    llm = LLM(loaded("target"), n_pages=64)
    slow = llm.generate([text], params.clone(logprobs=0))[0]
    assert [o.token_ids for o in slow.outputs] == [tokens for tokens, *_ in alone(kind)]
    spent = llm.stats()["passes"]
    llm.generate([text], params)
    assert llm.stats()["passes"] - spent < spent


def test_the_unconditional_half_of_a_guided_request_keeps_step_with_forced_text() -> None:
    text, params = TEXTS[10]
    llm = LLM(loaded("target"), n_pages=64)
    llm.submit(text, params)
    jumped = 0
    while not llm.idle:
        for group in llm.engine.groups.values():
            for member in group.members:
                assert member.partner is not None and member.partner.output == member.output
                jumped = max(jumped, member.output_len - llm.stats()["passes"])
        llm.step()
    assert jumped > 5
