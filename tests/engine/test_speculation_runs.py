"""Speculation in the running engine: the law of sampled texts, acceptance, and greedy equality with the trained pair."""

import functools
import itertools
import math
from collections import Counter
from typing import Any

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor
from transformers import AutoModelForCausalLM, LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from engine import LLM, SamplingParams, checkpoint_path
from engine.sampling import GumbelSampler
from engine.seams import Draft
from engine.verify import RejectionVerifier
from tests.engine.audit import at_rest, audit, watch

V = 5
PROMPT = [2, 4, 3, 3]
ALPHA = 1e-6  # of every statistical test; seeds are fixed, so none of them fails by luck
PARAMS = {
    "plain": SamplingParams(),
    "temperature": SamplingParams(temperature=0.6),
    "filters": SamplingParams(temperature=1.4, top_k=4, top_p=0.85),
}
DRAFTS: dict[str, dict[str, Any]] = {"chain": {"draft_tree": (1, 1, 1)}, "tree": {"draft_tree": (3, 2)}, "n-gram": {"draft": "ngram"}}


def law_of(model: Any, params: SamplingParams, path: tuple[int, ...]) -> Tensor:
    """transformers' law of the next token."""
    warpers = LogitsProcessorList([TemperatureLogitsWarper(params.temperature)] if params.temperature != 1 else [])
    if params.top_k:
        warpers.append(TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        warpers.append(TopPLogitsWarper(params.top_p))
    tokens = torch.tensor([[*PROMPT, *path]])
    with torch.no_grad():
        law: Tensor = warpers(tokens, model(tokens).logits[:, -1])[0].double().softmax(-1)
    return law


def misfit(counts: Counter[Any], law: dict[Any, float]) -> tuple[float, float]:
    """Chi-square tail probability of the counts (cells that expect fewer than 5 are joined), and total variation."""
    n = sum(counts.values())
    assert set(counts) <= {cell for cell, share in law.items() if share > 0}, "something impossible was drawn"
    rare = [cell for cell, share in law.items() if share * n < 5]
    cells = [(counts[cell], share * n) for cell, share in law.items() if share * n >= 5]
    cells.append((sum(counts[cell] for cell in rare), sum(law[cell] for cell in rare) * n))
    statistic = sum((seen - wanted) ** 2 / wanted for seen, wanted in cells if wanted > 0)
    variation = sum(abs(counts[cell] / n - share) for cell, share in law.items()) / 2
    return float(chi2.sf(statistic, len(cells) - 1)), variation


def texts(llm: LLM, params: SamplingParams, count: int, tokens: int) -> Counter[tuple[int, ...]]:
    each = [params.clone(seed=seed, max_tokens=tokens + 1, ignore_eos=True) for seed in range(count)]
    return Counter(tuple(output.outputs[0].token_ids[:tokens]) for output in llm.generate([PROMPT] * count, each))


@pytest.fixture(scope="module")
def tiny(checkpoints: Any) -> Any:
    """Builds an engine over five tokens, and answers the joint law of three of them."""
    (target, oracle), (draft, _) = checkpoints("llama", 1, vocab_size=V), checkpoints("qwen2", 2, vocab_size=V)

    @functools.cache
    def joint(name: str, length: int) -> dict[tuple[int, ...], float]:
        law = functools.cache(lambda path: law_of(oracle, PARAMS[name], path))
        paths = itertools.product(range(V), repeat=length)
        return {path: math.prod(float(law(path[:i])[path[i]]) for i in range(length)) for path in paths}

    def build(**options: Any) -> LLM:
        return LLM(target, n_pages=300, page_size=4, max_running=64, **{"draft": draft, **options})

    return build, joint


N = 1500
RUNS = [("plain", "chain"), ("temperature", "chain"), ("filters", "chain"), ("temperature", "tree"), ("filters", "tree"), ("filters", "n-gram")]


@pytest.mark.parametrize(("name", "drafter"), RUNS)
def test_sampled_texts_have_the_law_of_transformers(tiny: Any, name: str, drafter: str) -> None:
    build, joint = tiny
    llm = build(**DRAFTS[drafter])
    p, variation = misfit(texts(llm, PARAMS[name], N, 3), joint(name, 3))
    assert p > ALPHA
    assert variation < 3 * math.sqrt(V**3 / N)
    assert llm.stats()["speculation"]["rows"] > N / 4
    at_rest(llm)


class Raw(GumbelSampler):
    """Leaves temperature and filters out of the laws that a draft is verified against."""

    def law(self, logits: Tensor, contexts: Any) -> Tensor:
        return logits.softmax(-1)


def test_verification_against_raw_laws_shows_in_the_texts(tiny: Any) -> None:
    build, joint = tiny
    llm = build(draft_tree=(1, 1, 1))
    llm.engine.runner.sampler.__class__ = Raw
    p, _ = misfit(texts(llm, PARAMS["temperature"], N, 3), joint("temperature", 3))
    assert p < ALPHA


def test_a_draft_that_ignores_temperature_while_it_claims_it_shows_in_the_texts(tiny: Any) -> None:
    build, joint = tiny
    llm = build(draft_tree=(1, 1, 1))
    drafter = llm.engine.runner.drafter
    grow = drafter._grow

    def wrong(request: Any, draft: Any, laws: Any, front: Any, node: Any, law: Tensor, scores: Tensor, *more: Any) -> None:
        hot = request.params.temperature
        grow(request, draft, laws, front, node, law, scores + law.log() * (hot - 1), *more)  # drawn at temperature 1

    drafter._grow = wrong
    p, _ = misfit(texts(llm, PARAMS["temperature"], N, 3), joint("temperature", 3))
    assert p < ALPHA


class Ledger(RejectionVerifier):
    """Notes for every node that was tried how likely it was to be accepted."""

    def __init__(self) -> None:
        self.trials: list[tuple[float, bool]] = []

    def __call__(self, draft: Draft, p: Tensor, u: Tensor, noise: Tensor) -> tuple[list[int], int]:
        accepted, following = super().__call__(draft, p, u, noise)
        for node in range(min(len(accepted) + 1, len(draft.tokens))):
            assert draft.q is not None and abs(float(draft.q[node].sum()) - 1) < 1e-5
            common = torch.minimum(p[node].double(), draft.q[node].double()).sum()
            self.trials.append((float(common), node < len(accepted)))
        return accepted, following


@pytest.mark.parametrize("name", PARAMS)
def test_the_trained_pair_accepts_what_the_laws_have_in_common(name: str) -> None:
    llm = LLM(checkpoint_path("target"), n_pages=400, draft=checkpoint_path("draft"), draft_tokens=4, max_running=32)
    ledger = llm.engine.runner.verifier = Ledger()
    prompts = ["The scheduler keeps", '{"id": ', "for item in ", "<|user|>What does the sampler do"]
    params = [PARAMS[name].clone(seed=seed, max_tokens=64, ignore_eos=True) for seed in range(32)]
    llm.generate([prompts[seed % 4] for seed in range(32)], params)
    expected = sum(share for share, _ in ledger.trials)
    spread = math.sqrt(sum(share * (1 - share) for share, _ in ledger.trials))
    assert len(ledger.trials) > 1000
    assert abs(sum(accepted for _, accepted in ledger.trials) - expected) < 4 * spread
    # The noise of one trial says nothing about the next: neighbours agree as often as chance has it.
    surplus = [accepted - share for share, accepted in ledger.trials]
    assert abs(sum(a * b for a, b in itertools.pairwise(surplus))) < 4 * math.sqrt(sum((a * b) ** 2 for a, b in itertools.pairwise(surplus)))


class Possible(RejectionVerifier):
    """Checks that drafts come with laws, and that nothing is emitted which the target rules out."""

    seen = 0

    def __call__(self, draft: Draft, p: Tensor, u: Tensor, noise: Tensor) -> tuple[list[int], int]:
        assert draft.q is not None and bool(((draft.q.sum(-1) - 1).abs() < 1e-5).all()), "no law"  # NaN neither
        assert all(float(law[token]) > 0 for law, token in zip(draft.q, draft.tokens, strict=True)), "drafted what can't be drawn"
        accepted, following = super().__call__(draft, p, u, noise)
        rows = [0, *(1 + node for node in accepted)]
        assert all(float(p[row, token]) > 0 for row, token in zip(rows, [*(draft.tokens[n] for n in accepted), following], strict=True)), "ruled out"
        self.seen += 1
        return accepted, following


@pytest.mark.parametrize("tree", [(2,), (2, 2, 1), (4, 2)])
@pytest.mark.parametrize("temperature", [1e-2, 1e-3])
def test_trees_at_a_low_temperature_draft_no_more_children_than_the_law_has(temperature: float, tree: tuple[int, ...]) -> None:
    llm = LLM(checkpoint_path("target"), n_pages=200, draft=checkpoint_path("draft"), draft_tree=tree)
    verifier = llm.engine.runner.verifier = Possible()
    llm.generate(["The scheduler keeps"] * 6, [SamplingParams(temperature=temperature, max_tokens=40, seed=seed, ignore_eos=True) for seed in range(6)])
    assert verifier.seen > 20


def test_tokens_per_pass_follow_from_the_acceptance_at_each_depth() -> None:
    llm = LLM(checkpoint_path("target"), n_pages=400, draft=checkpoint_path("draft"), draft_tokens=4, max_running=16)
    llm.generate(["The cache"] * 16, [SamplingParams(seed=seed, max_tokens=80, ignore_eos=True) for seed in range(16)])
    stats = llm.stats()["speculation"]
    reach, tokens = 1.0, 1.0
    for reached, accepted in stats["by_depth"]:
        reach *= accepted / reached
        tokens += reach
    assert stats["emitted"] == stats["accepted"] + stats["rows"]
    assert abs(stats["tokens_per_pass"] / tokens - 1) < 0.03  # not all drafts are of full length: the last are cut


@pytest.mark.parametrize(("acceptance", "preemption", "cache"), [("rejection", "recompute", "radix"), ("coupled", "swap", "hash")])
@pytest.mark.parametrize("drafter", ["chain", "tree", "n-gram"])
def test_greedy_texts_of_the_trained_target_are_those_of_transformers(drafter: str, acceptance: str, preemption: str, cache: str) -> None:
    oracle = AutoModelForCausalLM.from_pretrained(checkpoint_path("target"), dtype=torch.float32)
    llm = LLM(
        checkpoint_path("target"), n_pages=24, page_size=4, acceptance=acceptance, max_running=4, max_batch_tokens=24,
        preemption=preemption, prefix_cache=cache,
        **{"draft": checkpoint_path("draft"), **DRAFTS[drafter]},
    )  # fmt: skip
    watch(llm)
    prompts = ["The scheduler keeps", '{"id": ', "for item in ", "<|user|>What does the sampler do", "a b a b a b a b"]
    assert llm.tokenizer is not None
    tokens = [llm.tokenizer.encode(text) for text in prompts]
    ids = [llm.submit(each, SamplingParams(temperature=0, max_tokens=40, ignore_eos=True)) for each in tokens]
    done: dict[str, list[int]] = {}
    while len(done) < len(ids):
        done |= {output.request_id: output.outputs[0].token_ids for output in llm.step() if output.finished}
        audit(llm)
    for each, request_id in zip(tokens, ids, strict=True):
        wanted = oracle.generate(torch.tensor([each]), do_sample=False, max_new_tokens=40, min_new_tokens=40, pad_token_id=0, eos_token_id=None)
        assert done[request_id] == wanted[0, len(each) :].tolist()
    stats = llm.stats()
    assert stats["preemptions"] > 0  # the pool is too small for all of them
    assert stats["speculation"]["tokens_per_pass"] > 1.3
    at_rest(llm)
