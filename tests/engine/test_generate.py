"""Tokens equal transformers' under every schedule: arrivals, chunks, page sizes, storms, cache hits, speculation."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import LLM, SamplingParams
from engine.checkpoint import load_checkpoint
from tests.engine import factory, oracle
from tests.engine.audit import at_rest, audit, watch

QUICK = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


def prompts_of(seed: int, count: int, longest: int = 40, shared: int = 0) -> list[list[int]]:
    dice = random.Random(seed)
    head = [dice.randrange(2, 97) for _ in range(shared)]
    return [head + [dice.randrange(2, 97) for _ in range(dice.randint(1, longest))] for _ in range(count)]


@pytest.mark.parametrize("family", factory.FAMILIES)
def test_greedy_tokens_equal_transformers(checkpoints: Any, family: str) -> None:
    folder, model = checkpoints(family)
    llm = LLM(folder, n_pages=64)
    prompts = prompts_of(1, 4)
    outputs = llm.generate(prompts, SamplingParams(temperature=0, max_tokens=24))
    for prompt, output in zip(prompts, outputs, strict=True):
        assert output.outputs[0].token_ids == oracle.greedy(model, prompt, 24)
        assert output.outputs[0].finish_reason == ("stop" if output.outputs[0].token_ids[-1] == 1 else "length")
    at_rest(llm)


SCHEDULES = st.fixed_dictionaries(
    {
        "page_size": st.sampled_from([1, 2, 4, 16]),
        "slack": st.integers(0, 12),
        "max_running": st.integers(1, 6),
        "budget": st.integers(0, 30),
        "chunk": st.one_of(st.none(), st.integers(1, 9)),
        "preemption": st.sampled_from(["recompute", "swap"]),
        "prefix_cache": st.sampled_from([None, "hash", "radix"]),
        "draft": st.sampled_from([None, "ngram", "model", "tree"]),
        "acceptance": st.sampled_from(["rejection", "coupled"]),
        "overlap": st.integers(0, 1),
        "ageing": st.sampled_from([1, 256]),
        "shared": st.sampled_from([0, 9, 20]),
        "seed": st.integers(0, 10_000),
    }
)


def run(llm: LLM, prompts: list[list[int]], params: list[SamplingParams], dice: random.Random) -> list[list[int]]:
    """Submit at random times with random priorities, step to the end; the outputs in order."""
    queue = list(range(len(prompts)))
    dice.shuffle(queue)
    done: dict[str, list[int]] = {}
    for _ in range(20_000):
        while queue and dice.random() < 0.4:
            i = queue.pop()
            llm.submit(prompts[i], params[i], request_id=str(i), priority=dice.randint(0, 2))
        for output in llm.step():
            if output.finished:
                done[output.request_id] = output.outputs[0].token_ids
        audit(llm)
        # With overlap, a step that was launched before the last token was known is still under way.
        if len(done) == len(prompts) and llm.idle:
            at_rest(llm)
            return [done[str(i)] for i in range(len(prompts))]
    raise AssertionError(f"no end in sight: {llm.stats()}")


def build(checkpoints: Any, family: str, s: dict[str, Any], longest: int, target: int = 0, **more: Any) -> LLM:
    folder, _ = checkpoints(family, target)
    draft = s["draft"]
    if draft in ("model", "tree"):
        draft, _ = checkpoints("llama", 7)
    llm = LLM(
        folder,
        n_pages=-(-longest // s["page_size"]) + s["slack"],
        page_size=s["page_size"],
        max_running=s["max_running"],
        max_batch_tokens=s["max_running"] + s["budget"],
        chunk=s["chunk"],
        preemption=s["preemption"],
        prefix_cache=s["prefix_cache"],
        draft=draft,
        draft_tree=(2, 2, 1) if s["draft"] == "tree" else (1, 1, 1),
        acceptance=s["acceptance"],
        overlap=s["overlap"],
        ageing=s["ageing"],
        **more,
    )
    return watch(llm)


@QUICK
@given(family=st.sampled_from(["llama", "qwen2-window", "qwen3", "mistral-window"]), s=SCHEDULES)
def test_greedy_tokens_equal_transformers_under_any_schedule(checkpoints: Any, family: str, s: dict[str, Any]) -> None:
    prompts = prompts_of(s["seed"] % 7, 5, 20, s["shared"])
    dice = random.Random(s["seed"])
    lengths = [dice.randint(1, 12) for _ in prompts]
    longest = max(len(p) + n for p, n in zip(prompts, lengths, strict=True))
    llm = build(checkpoints, family, s, longest)
    params = [SamplingParams(temperature=0, max_tokens=n) for n in lengths]
    got = run(llm, prompts, params, dice)
    for prompt, tokens, n in zip(prompts, got, lengths, strict=True):
        assert tokens == expected(checkpoints, family, prompt)[: len(tokens)]
        assert len(tokens) == n or tokens[-1] == 1


_known: dict[Any, list[int]] = {}


def expected(checkpoints: Any, family: str, prompt: list[int]) -> list[int]:
    key = (family, tuple(prompt))
    if key not in _known:
        _known[key] = oracle.greedy(checkpoints(family)[1], prompt, 12)
    return _known[key]


@QUICK
@given(s=SCHEDULES)
def test_sampled_tokens_do_not_depend_on_the_schedule(checkpoints: Any, s: dict[str, Any]) -> None:
    """Batchmates, chunks, pages, preemption, cache and (coupled) drafter leave a seeded request's tokens alone."""
    prompts = prompts_of(s["seed"] % 5, 5, 20, s["shared"])
    dice = random.Random(s["seed"])
    params = [
        SamplingParams(temperature=0.8, max_tokens=10, seed=11, ignore_eos=True),
        SamplingParams(temperature=1.2, max_tokens=9, seed=12, top_k=20, repetition_penalty=1.3),
        SamplingParams(temperature=1.0, max_tokens=8, seed=13, top_p=0.8, frequency_penalty=0.4),
        SamplingParams(temperature=0.7, max_tokens=10, seed=14, min_p=0.05, logit_bias={5: 2.0}),
        SamplingParams(temperature=1.0, max_tokens=10, seed=15, typical_p=0.8, min_tokens=4),
    ]
    longest = max(len(p) + 10 for p in prompts)
    if s["draft"]:
        s = {**s, "acceptance": "coupled"}
    got = run(build(checkpoints, "qwen3", s, longest), prompts, params, dice)
    key = ("alone", s["seed"] % 5, s["shared"])
    if key not in _known:
        folder, _ = checkpoints("qwen3")
        alone = [LLM(folder, prefix_cache=None).generate([p], q)[0] for p, q in zip(prompts, params, strict=True)]
        _known[key] = [output.outputs[0].token_ids for output in alone]  # type: ignore[misc]
    assert got == _known[key]


def test_every_end_of_sequence_id_ends_a_request(checkpoints: Any) -> None:
    folder, model = checkpoints("llama")
    first = oracle.greedy(model, [5, 6, 7], 8, eos_token_id=None)
    loaded = load_checkpoint(folder)
    for token in first:
        config = type(loaded.config)(**{**loaded.config.__dict__, "eos_ids": frozenset({1, token})})
        loaded.config = config
        output = LLM(loaded, n_pages=16).generate([5, 6, 7], SamplingParams(temperature=0, max_tokens=8))[0].outputs[0]
        assert output.token_ids == first[: first.index(token) + 1]
        assert (output.finish_reason, output.stop_reason) == ("stop", token)
        output = LLM(loaded, n_pages=16).generate([5, 6, 7], SamplingParams(temperature=0, max_tokens=8, ignore_eos=True))[0].outputs[0]
        assert output.token_ids == first


def test_no_stop_token_ends_a_text_before_its_least_length(checkpoints: Any) -> None:
    folder, model = checkpoints("llama")
    first = oracle.greedy(model, [5, 6, 7], 8, eos_token_id=None)
    ends = list(dict.fromkeys([first[1], first[4]]))
    params = SamplingParams(temperature=0, max_tokens=8, min_tokens=4, stop_token_ids=ends, ignore_eos=True)
    output = LLM(folder, n_pages=16).generate([5, 6, 7], params)[0].outputs[0]
    assert len(output.token_ids) > 4
    assert not set(ends) & set(output.token_ids[:4])


@QUICK
@given(s=SCHEDULES, temperature=st.sampled_from([0.0, 1.0]))
def test_a_draft_that_is_the_target_is_never_refused(checkpoints: Any, s: dict[str, Any], temperature: float) -> None:
    """Whatever was shared, evicted, swapped, recomputed or rolled back, the draft's keys and values are those of the text:
    stale ones would not change a token, they would only cost acceptance."""
    prompts = prompts_of(s["seed"] % 7, 5, 20, s["shared"])
    dice = random.Random(s["seed"])
    s = {**s, "draft": "tree" if s["draft"] == "tree" else "model", "acceptance": "rejection"}
    params = [SamplingParams(temperature=temperature, max_tokens=12, seed=i, ignore_eos=True) for i in range(5)]
    llm = build(checkpoints, "llama", s, max(len(p) + 12 for p in prompts), target=7)
    run(llm, prompts, params, dice)
    for reached, accepted in llm.stats()["speculation"]["by_depth"] or []:
        assert accepted == reached


@pytest.mark.parametrize("draft", [None, "ngram", "chain", "tree"])
@pytest.mark.parametrize("overlap", [0, 1])
def test_a_text_ends_at_the_models_last_position(checkpoints: Any, draft: str | None, overlap: int) -> None:
    folder, model = checkpoints("llama")
    prompts = [[5, 6, 7], list(range(20, 39)), list(range(20, 40))]
    llm = watch(
        LLM(folder, n_pages=30, page_size=4, max_length=21, overlap=overlap, draft=checkpoints("llama", 7)[0] if draft in ("chain", "tree") else draft,
            draft_tree=(2, 2) if draft == "tree" else (1, 1, 1))
    )  # fmt: skip
    outputs = llm.generate(prompts, SamplingParams(temperature=0, max_tokens=50, ignore_eos=True))
    for prompt, output in zip(prompts, outputs, strict=True):
        wanted = oracle.greedy(model, prompt, 21 - len(prompt), eos_token_id=None)
        assert (output.outputs[0].token_ids, output.outputs[0].finish_reason) == (wanted, "length")
    while not llm.idle:
        llm.step()
    at_rest(llm)
