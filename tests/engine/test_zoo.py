"""Every kind of request among every other, under any schedule: each answers what it answers alone.

Greedy, sampled, penalized, Mirostat, guided, several samples, beams, adapters, stop tokens and log-probabilities share a
pool that is often too small, while others are aborted half-way.
"""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import LLM, RequestOutput, SamplingParams
from tests.engine.audit import at_rest, audit, watch
from tests.engine.factory import write_adapter

P = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14], [5, 6, 7, 8, 9, 10, 11, 40], [20, 21], [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17]]
ZOO: list[tuple[list[int], SamplingParams, dict[str, Any]]] = [
    (P[0], SamplingParams(temperature=0, max_tokens=9, logprobs=2), {}),
    (P[1], SamplingParams(temperature=0.9, seed=1, max_tokens=10, ignore_eos=True), {}),
    (P[3], SamplingParams(temperature=1.1, seed=2, max_tokens=8, repetition_penalty=1.4, frequency_penalty=0.3, logprobs=1), {}),
    (P[0], SamplingParams(temperature=1.0, seed=3, max_tokens=9, mirostat_tau=3.0), {}),
    (P[2], SamplingParams(temperature=0, max_tokens=8, guidance_scale=1.7, negative_prompt=[9, 8, 7, 6, 5]), {}),
    (P[3], SamplingParams(temperature=1.0, seed=4, max_tokens=7, n=3, ignore_eos=True), {}),
    (P[1], SamplingParams(temperature=0, max_tokens=8, beam_width=3), {}),
    (P[0], SamplingParams(temperature=0, max_tokens=6, beam_width=2, ignore_eos=True, length_penalty=0.5), {}),
    (P[0], SamplingParams(temperature=0.8, seed=5, max_tokens=8, ignore_eos=True), {"adapter": "a"}),
    (P[0], SamplingParams(temperature=0, max_tokens=8), {"adapter": "b"}),
    (P[3], SamplingParams(temperature=0, max_tokens=10, min_tokens=3, stop_token_ids=list(range(40, 60))), {"salt": "s"}),
    (P[2], SamplingParams(temperature=1.3, seed=6, max_tokens=12, top_k=30, top_p=0.9, min_tokens=5), {}),
]


@pytest.fixture(scope="module")
def adapters(checkpoints: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    _, model = checkpoints("qwen3")
    return {name: write_adapter(tmp_path_factory.mktemp(name), model, seed) for seed, name in enumerate("ab")}


def answer(output: RequestOutput) -> Any:
    return [(o.token_ids, o.finish_reason, o.stop_reason) for o in output.outputs]


_alone: dict[int, RequestOutput] = {}


def alone(checkpoints: Any, adapters: dict[str, Path], kind: int) -> RequestOutput:
    if kind not in _alone:
        llm = LLM(checkpoints("qwen3")[0], prefix_cache=None, page_size=3)
        for name, folder in adapters.items():
            llm.load_adapter(name, folder)
        prompt, params, extra = ZOO[kind]
        _alone[kind] = llm.generate([prompt], params, **extra)[0]
    return _alone[kind]


def pages_needed(prompt: list[int], params: SamplingParams, size: int) -> int:
    """The least that the request can be served with: what its sequences can't share."""

    def pages(tokens: int) -> int:
        return -(-tokens // size)

    if params.guidance_scale != 1:
        return pages(len(prompt) + params.max_tokens) + pages(len(params.negative_prompt or [0]) + params.max_tokens)
    width = params.beam_width or params.n
    whole = len(prompt) // size if width > 1 else 0
    return whole + width * (pages(len(prompt) + params.max_tokens) - whole)


SCHEDULES = st.fixed_dictionaries(
    {
        "page_size": st.sampled_from([1, 2, 4, 16]),
        "slack": st.sampled_from([0, 0, 1, 3, 20]),
        "max_running": st.integers(3, 9),
        "budget": st.integers(0, 30),
        "chunk": st.none() | st.integers(1, 9),
        "preemption": st.sampled_from(["recompute", "swap"]),
        "swap_pages": st.sampled_from([3, 1000]),
        "prefix_cache": st.sampled_from([None, "hash", "radix"]),
        "draft": st.sampled_from([None, None, "ngram", "model", "tree"]),
        "overlap": st.integers(0, 1),
        "ageing": st.sampled_from([1, 256]),
        "seed": st.integers(0, 10_000),
        "kinds": st.lists(st.integers(0, len(ZOO) - 1), min_size=2, max_size=7),
    }
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(s=SCHEDULES)
def test_each_answers_what_it_answers_alone(checkpoints: Any, adapters: dict[str, Path], s: dict[str, Any]) -> None:
    zoo(checkpoints, adapters, s)


def zoo(checkpoints: Any, adapters: dict[str, Path], s: dict[str, Any]) -> LLM:
    dice = random.Random(s["seed"])
    draft = checkpoints("llama", 7)[0] if s["draft"] in ("model", "tree") else s["draft"]
    llm = LLM(
        checkpoints("qwen3")[0],
        n_pages=max(pages_needed(*ZOO[kind][:2], s["page_size"]) for kind in s["kinds"]) + s["slack"],
        max_batch_tokens=s["max_running"] + s["budget"],
        draft=draft,
        draft_tree=(2, 1, 1) if s["draft"] == "tree" else (1, 1, 1),
        acceptance="coupled",  # the only one that promises the same tokens, not only the same law
        **{key: s[key] for key in ("page_size", "max_running", "chunk", "preemption", "swap_pages", "prefix_cache", "overlap", "ageing")},
    )
    watch(llm)
    for name, folder in adapters.items():
        llm.load_adapter(name, folder)
    queue = [(kind, dice.random() < 0.25) for kind in s["kinds"]]
    doomed: set[str] = set()
    done: dict[str, RequestOutput] = {}
    expected = len(queue)
    for _ in range(5000):
        while queue and dice.random() < 0.4:
            kind, abort = queue.pop()
            prompt, params, extra = ZOO[kind]
            request_id = llm.submit(prompt, params, request_id=f"{kind}/{len(queue)}", priority=dice.randint(0, 2), **extra)
            if abort:
                doomed.add(request_id)
        for request_id in list(doomed):
            if request_id not in done and dice.random() < 0.1:
                llm.abort(request_id)
                audit(llm)
        for output in llm.step():
            if output.finished:
                assert output.request_id not in done
                done[output.request_id] = output
        audit(llm)
        if len(done) == expected and llm.idle:
            break
    else:
        raise AssertionError(f"no end in sight: {llm.stats()}")
    for request_id, output in done.items():
        wanted = alone(checkpoints, adapters, int(request_id.split("/")[0]))
        if any(o.finish_reason == "abort" for o in output.outputs):
            assert request_id in doomed
            continue
        assert answer(output) == answer(wanted), request_id
        for ours, theirs in zip(output.outputs, wanted.outputs, strict=True):
            if theirs.cumulative_logprob is not None:
                assert ours.cumulative_logprob == pytest.approx(theirs.cumulative_logprob, abs=1e-3)
    at_rest(llm)
    return llm
