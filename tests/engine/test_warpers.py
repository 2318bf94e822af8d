"""Filters and penalties: the masks of transformers' processors, for any logits, and a batchmate changes nothing."""

import math
import random
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    GenerationConfig,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)
from transformers.generation.logits_process import MinNewTokensLengthLogitsProcessor, SequenceBiasLogitsProcessor

from engine import LLM, SamplingParams, checkpoint_path, warpers
from engine.errors import RequestError
from engine.noise import Noise, key_of
from engine.request import Request
from engine.sampling import Context, GumbelSampler
from tests.engine import oracle
from tests.engine.audit import at_rest, audit

EOS = 1
SAMPLER = GumbelSampler(frozenset({EOS}))
# Ties, extremes and what a filter has forbidden before; -inf never alone.
VALUES = st.sampled_from([0.0, 0.0, 1.0, 1.0, -1.0, 2.5, 1e-6, 30.0, -30.0, 1e4, -1e4, -math.inf])
ROWS = st.lists(VALUES, min_size=2, max_size=24).filter(lambda row: max(row) > -math.inf)
PLAIN = st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=24)


def rows_of(values: list[float]) -> Tensor:
    return torch.tensor([values], dtype=torch.float32)


def one(value: float) -> Tensor:
    return torch.tensor([value])


def same(ours: Tensor, theirs: Tensor) -> None:
    assert torch.equal(ours.isinf(), theirs.isinf())
    assert torch.equal(ours, theirs)


@given(row=ROWS | PLAIN, k=st.integers(1, 30))
def test_top_k_is_theirs(row: list[float], k: int) -> None:
    same(warpers.top_k(rows_of(row), torch.tensor([k])), TopKLogitsWarper(k)(None, rows_of(row)))


@given(row=ROWS | PLAIN, p=st.sampled_from([1e-6, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999]))
def test_top_p_is_theirs(row: list[float], p: float) -> None:
    same(warpers.top_p(rows_of(row), one(p)), TopPLogitsWarper(p)(None, rows_of(row)))


@given(row=ROWS | PLAIN, p=st.sampled_from([1e-6, 0.05, 0.5, 0.9, 1.0]))
def test_min_p_is_theirs(row: list[float], p: float) -> None:
    same(warpers.min_p(rows_of(row), one(p)), MinPLogitsWarper(p)(None, rows_of(row)))


@given(row=ROWS | PLAIN, mass=st.sampled_from([1e-6, 0.2, 0.5, 0.9, 0.999]))
def test_locally_typical_is_theirs(row: list[float], mass: float) -> None:
    same(warpers.typical(rows_of(row), one(mass)), TypicalLogitsWarper(mass)(None, rows_of(row)))


@given(row=PLAIN, penalty=st.sampled_from([0.5, 1.1, 1.8, 3.0]), seen=st.lists(st.integers(0, 23), min_size=1, max_size=40))
def test_the_repetition_penalty_is_theirs(row: list[float], penalty: float, seen: list[int]) -> None:
    seen = [token % len(row) for token in seen]
    ours = rows_of(row)
    warpers.repetition(ours, 0, seen, penalty)
    same(ours, RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([seen]), rows_of(row)))


@given(row=PLAIN, output=st.lists(st.integers(0, 23), max_size=40), presence=st.floats(-2, 2), frequency=st.floats(-2, 2))
def test_presence_once_and_frequency_per_occurrence(row: list[float], output: list[int], presence: float, frequency: float) -> None:
    output = [token % len(row) for token in output]
    ours = rows_of(row)
    warpers.count_penalties(ours, 0, Counter(output), presence, frequency)
    wanted = [x - presence * (token in output) - frequency * output.count(token) for token, x in enumerate(row)]
    assert torch.allclose(ours, rows_of(wanted), atol=1e-4)


def request_of(tokens: list[int], prompt: int, **params: Any) -> Request:
    request = Request("r", list(tokens), prompt, SamplingParams(**params), 0, 0)
    request.counts = Counter(tokens[prompt:])
    request.mu = 2 * (request.params.mirostat_tau or 0)
    return request


ANY = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.sampled_from([0.3, 1.0, 1.9]),
        "top_k": st.integers(0, 12),
        "top_p": st.sampled_from([0.3, 0.8, 0.95, 1.0]),
        "min_p": st.sampled_from([0.0, 0.05, 0.4]),
        "typical_p": st.sampled_from([0.3, 0.8, 1.0]),
        "repetition_penalty": st.sampled_from([0.7, 1.0, 1.5]),
    },
)


@given(row=PLAIN, params=ANY, seen=st.lists(st.integers(0, 23), min_size=1, max_size=9))
def test_all_together_apply_in_their_order(checkpoints: Any, row: list[float], params: dict[str, Any], seen: list[int]) -> None:
    """The processors, and their order, are those that `generate` builds."""
    _, model = checkpoints("llama")
    tokens = torch.tensor([[token % len(row) for token in seen]])
    wish = GenerationConfig(do_sample=True, **{"top_k": 0, **params}, eos_token_id=None)
    theirs = model._get_logits_processor(wish, input_ids_seq_length=tokens.shape[1])(tokens, rows_of(row))
    ours = SAMPLER.warp(rows_of(row), [Context(request_of(tokens[0].tolist(), 1, **params))])
    assert torch.equal(ours.isinf(), theirs.isinf())
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_bias_and_minimum_length_are_theirs() -> None:
    logits = torch.randn(1, 9, generator=torch.Generator().manual_seed(1))
    bias = {3: 2.5, 7: -math.inf, 0: -1.0}
    tokens = torch.tensor([[4, 5, 6]])
    theirs = SequenceBiasLogitsProcessor([[[token], value] for token, value in bias.items()])(tokens, logits)
    same(SAMPLER.warp(logits, [Context(request_of([4, 5, 6], 2, logit_bias=bias))]), theirs)
    for least in (1, 2, 5):  # one token of output is there
        theirs = MinNewTokensLengthLogitsProcessor(2, least, EOS)(tokens, logits)
        same(SAMPLER.warp(logits, [Context(request_of([4, 5, 6], 2, min_tokens=least))]), theirs)
        theirs = MinNewTokensLengthLogitsProcessor(2, least, [EOS, 0, 8])(tokens, logits)
        same(SAMPLER.warp(logits, [Context(request_of([4, 5, 6], 2, min_tokens=least, stop_token_ids=[8, 0, 99]))]), theirs)


GREEDY = ANY.map(lambda params: {**params, "temperature": 0.0})


class Operations(TorchDispatchMode):
    """Counts what torch is asked for."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_a_bias_takes_as_many_operations_for_a_thousand_tokens_as_for_two() -> None:
    logits, bias = torch.randn(2, 2000, generator=torch.Generator().manual_seed(1)), {token: math.sin(token) for token in range(0, 2000, 2)}
    counts = []
    for given_bias in ({7: 1.0, 8: 2.0}, bias):
        request = request_of([4], 1, temperature=0.0, logit_bias=given_bias)
        for _ in range(2):  # the first time its tensors are made
            with Operations() as operations:
                warped = SAMPLER.warp(logits, [Context(request), Context(request_of([4], 1, temperature=0.0))])
            counts.append(operations.count)
    assert counts[:2] == counts[2:] and counts[1] < counts[0] < 20
    for token, value in bias.items():
        logits[0, token] += value
    same(warped, logits)


@given(
    many=st.lists(ANY | GREEDY | st.just({"mirostat_tau": 2.0}), min_size=2, max_size=6),
    seed=st.integers(0, 99),
    ties=st.booleans(),
    order=st.randoms(use_true_random=False),
)
@example(many=[{"temperature": 0.0, "typical_p": 0.3}, {"typical_p": 0.8}], seed=1, ties=False, order=random.Random(1))
@example(many=[{"temperature": 0.0, "top_p": 0.3}, {"top_p": 0.8}], seed=1, ties=True, order=random.Random(1))
def test_a_batchmates_parameters_change_nothing(many: list[dict[str, Any]], seed: int, ties: bool, order: Any) -> None:
    logits = torch.randn(len(many), 40, generator=torch.Generator().manual_seed(seed)) * 3
    logits = logits.round().clamp(max=3) if ties else logits
    requests = [request_of([1, 2, i], 2, **params) for i, params in enumerate(many)]
    keys = [key_of(seed, i) for i in range(len(many))]
    alone = [SAMPLER(logits[i : i + 1], [request], Noise.of(keys[i : i + 1])).tokens[0] for i, request in enumerate(requests)]
    places = list(range(len(many)))
    order.shuffle(places)
    requests = [request_of([1, 2, i], 2, **params) for i, params in enumerate(many)]
    together = SAMPLER(logits[places], [requests[i] for i in places], Noise.of([keys[i] for i in places])).tokens
    assert [int(alone[i]) for i in places] == together.tolist()


@given(row=ROWS, params=ANY)
def test_something_always_stays_and_the_law_sums_to_one(row: list[float], params: dict[str, Any]) -> None:
    law = SAMPLER.law(rows_of(row), [Context(request_of([0], 1, **params))])[0]
    assert abs(float(law.sum()) - 1) < 1e-5 and not bool(law.isnan().any())
    assert all(value > -math.inf for value, share in zip(row, law.tolist(), strict=True) if share > 0)


@given(row=ROWS | PLAIN, params=GREEDY, neighbour=st.none() | ANY)
def test_greedy_takes_the_first_of_the_best_whatever_the_filters(row: list[float], params: dict[str, Any], neighbour: dict[str, Any] | None) -> None:
    params = {**params, "repetition_penalty": 1.0}  # which is no filter: it holds for greedy rows too
    requests = [request_of([0], 1, **each) for each in [params, *([neighbour] if neighbour is not None else [])]]
    logits, best = rows_of(row).repeat(len(requests), 1), row.index(max(row))
    assert int(SAMPLER(logits, requests, Noise.of(range(len(requests)))).tokens[0]) == best
    assert SAMPLER.law(logits, [Context(request) for request in requests])[0].tolist() == [float(token == best) for token in range(len(row))]


@pytest.mark.parametrize("temperature", [1e-4, 1e-3])
def test_a_low_temperature_neither_overflows_nor_becomes_greedy_by_accident(temperature: float) -> None:
    logits = torch.tensor([[5.0, 5.0 - temperature, -3.0, 1e4 - 1e4]])
    law = SAMPLER.law(logits, [Context(request_of([0], 1, temperature=temperature))])[0]
    assert torch.allclose(law, torch.tensor([1, math.exp(-1), 0, 0]) / (1 + math.exp(-1)), atol=0.02)


@pytest.mark.parametrize("params", [{"temperature": 1e-30}, {"logit_bias": {2: 1e30}, "temperature": 1e-20}, {"presence_penalty": -1e30, "temperature": 0.1}])
def test_at_the_ends_of_a_parameters_range_there_is_a_law(params: dict[str, Any]) -> None:
    law = SAMPLER.law(torch.tensor([[1.0, 9.0, 9.5]]), [Context(request_of([0, 2], 1, **params))])[0]
    assert law.tolist() == [0, 0, 1]


def test_a_vocabulary_of_one_token() -> None:
    for params in ({}, {"top_k": 3}, {"top_p": 0.1}, {"min_p": 1.0}, {"typical_p": 0.2}, {"mirostat_tau": 1.0}):
        assert int(SAMPLER(torch.tensor([[2.0]]), [request_of([0], 1, **params)], Noise.of([1])).tokens[0]) == 0


# -- Mirostat v2 ---------------------------------------------------------------------------------------------------------


def mirostat_by_the_paper(law: list[float], tau: float, eta: float, mu: float, noise: list[float]) -> tuple[int, float]:
    """Basu et al. 2021, algorithm 2: cut what surprises more than mu, renormalize, draw, move mu against the error."""
    surprises = [-math.log2(share) if share > 0 else math.inf for share in law]
    kept = [i for i, surprise in enumerate(surprises) if surprise <= mu] or [max(range(len(law)), key=lambda i: law[i])]
    mass = sum(law[i] for i in kept)
    token = max(kept, key=lambda i: math.log(law[i] / mass) + noise[i])
    return token, mu - eta * (-math.log2(law[token] / mass) - tau)


def test_mirostat_draws_and_learns_as_the_paper_says(checkpoints: Any) -> None:
    folder, model = checkpoints("llama")
    prompts, tau, eta = [[5, 6, 7], [9, 4], [5, 6, 7]], [2.0, 4.0, 3.0], 0.3
    params = [SamplingParams(temperature=0.9, mirostat_tau=t, mirostat_eta=eta, max_tokens=20, seed=3, ignore_eos=True) for t in tau]
    for prompt, t, output in zip(prompts, tau, LLM(folder, n_pages=60).generate(prompts, params), strict=True):
        tokens, mu = list(prompt), 2 * t
        for _ in range(20):
            with torch.no_grad():
                law = (model(torch.tensor([tokens])).logits[0, -1] / 0.9).double().softmax(-1).tolist()
            noise = Noise.of([key_of(3, len(tokens))]).gumbel(97)[0].tolist()
            token, mu = mirostat_by_the_paper(law, t, eta, mu, noise)
            tokens.append(token)
        assert output.outputs[0].token_ids == tokens[len(prompt) :]


@pytest.mark.parametrize("tau", [1.5, 3.0])
def test_mirostats_surprise_converges_to_its_target(tau: float) -> None:
    llm = LLM(checkpoint_path("target"), n_pages=200)
    params = [SamplingParams(temperature=2.5, mirostat_tau=tau, mirostat_eta=0.2, max_tokens=150, seed=seed, ignore_eos=True) for seed in range(8)]
    sampler, seen = llm.sampler, []
    learn = sampler.mirostat

    def watched(warped: Tensor, contexts: Any, tokens: Tensor) -> None:
        seen.extend(-float(warped[row].log_softmax(-1)[token]) / math.log(2) for row, token in enumerate(tokens.tolist()))
        learn(warped, contexts, tokens)

    sampler.mirostat = watched  # type: ignore[method-assign]
    llm.generate(["The scheduler keeps"] * 8, params)
    late = seen[len(seen) // 3 :]
    assert abs(sum(late) / len(late) - tau) < 0.1 * tau


def test_mirostat_learns_nothing_from_what_a_grammar_forces() -> None:
    """So log-probabilities, for which forced tokens are computed and not jumped over, change no text."""
    grammar = 'root ::= "{\\"identifier_of_the_request\\": " [0-9]{1,4} ", \\"text\\": \\"" [a-z ]{12,20} "\\"}"'
    llm = LLM(checkpoint_path("target"), n_pages=200)
    params = [SamplingParams(temperature=1.2, max_tokens=60, seed=seed, grammar=grammar, mirostat_tau=1.0, mirostat_eta=0.5) for seed in range(12)]
    jumped, stepped = llm.generate(["x"] * 12, params), llm.generate(["x"] * 12, [p.clone(logprobs=0) for p in params])
    assert [output.outputs[0].token_ids for output in jumped] == [output.outputs[0].token_ids for output in stepped]


# -- guidance, log-probabilities -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "qwen3"])
@pytest.mark.parametrize("scale", [1.5, 3.0])
@pytest.mark.parametrize("negative", [None, [8, 9, 10, 11]])
def test_guidance_is_theirs_in_a_crowded_pool(checkpoints: Any, family: str, scale: float, negative: list[int] | None) -> None:
    folder, model = checkpoints(family)
    prompts = [[5, 6, 7, 8, 9, 10, 11, 12, 13], [20, 21], [5, 6, 7, 30]]
    options = {} if negative is None else {"negative_prompt_ids": torch.tensor([negative])}
    for preemption in ("recompute", "swap"):
        llm = LLM(folder, n_pages=12, page_size=4, max_running=6, preemption=preemption)
        params = SamplingParams(temperature=0, max_tokens=14, guidance_scale=scale, negative_prompt=negative)
        ids = [llm.submit(prompt, params) for prompt in prompts]
        done: dict[str, list[int]] = {}
        while len(done) < 3:
            done |= {output.request_id: output.outputs[0].token_ids for output in llm.step() if output.finished}
            audit(llm)
        for prompt, request_id in zip(prompts, ids, strict=True):
            assert done[request_id] == oracle.greedy(model, prompt, 14, guidance_scale=scale, **options)
        assert llm.stats()["preemptions"] > 0
        at_rest(llm)


@given(data=st.data(), size=st.integers(2, 10))
@settings(max_examples=30)
def test_a_guidance_scale_of_one_is_the_conditional_law(data: st.DataObject, size: int) -> None:
    row = st.lists(st.floats(-20, 20, width=32), min_size=size, max_size=size)
    conditional, unconditional = rows_of(data.draw(row)), rows_of(data.draw(row))
    assert torch.allclose(warpers.guide(conditional, unconditional, 1.0), conditional.log_softmax(-1), atol=1e-4)


@pytest.mark.parametrize("draft", [None, "ngram", "model"])
def test_log_probabilities_are_the_models_own(checkpoints: Any, draft: str | None) -> None:
    """Whatever penalties, filters and speculation do, they are those of the raw logits, and belong to their tokens."""
    folder, model = checkpoints("qwen3")
    prompts = [[5, 6, 7, 5, 6, 7, 5, 6], [9, 4], list(range(2, 40))]
    params = [
        SamplingParams(temperature=0, max_tokens=9, logprobs=0),
        SamplingParams(temperature=1.3, seed=1, top_k=9, repetition_penalty=1.5, max_tokens=12, logprobs=4),
        SamplingParams(temperature=0.7, seed=2, logit_bias={5: 4.0}, max_tokens=12, logprobs=200),
    ]
    llm = LLM(folder, n_pages=40, chunk=5, draft=checkpoints("llama", 7)[0] if draft == "model" else draft, draft_tokens=3)
    for prompt, p, output in zip(prompts, params, llm.generate(prompts, params), strict=True):
        found = output.outputs[0]
        with torch.no_grad():
            logits = model(torch.tensor([prompt + found.token_ids])).logits[0, len(prompt) - 1 : -1]
        wanted = logits.log_softmax(-1)
        assert found.logprobs is not None and len(found.logprobs) == len(found.token_ids)
        for at, (token, entry) in enumerate(zip(found.token_ids, found.logprobs, strict=True)):
            best = wanted[at].topk(min(p.logprobs or 0, 97)).indices.tolist()
            assert next(iter(entry)) == token and set(entry) == {token, *best}
            assert all(abs(value - float(wanted[at, key])) < 1e-4 for key, value in entry.items())
        assert found.cumulative_logprob == pytest.approx(sum(e[t] for e, t in zip(found.logprobs, found.token_ids, strict=True)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1}, {"temperature": math.nan}, {"top_p": 0.0}, {"top_p": 1.1}, {"min_p": -0.1}, {"typical_p": 0}, {"top_k": -1},
        {"mirostat_tau": 0}, {"repetition_penalty": 0}, {"presence_penalty": math.inf}, {"logprobs": -1}, {"guidance_scale": 0.5}, {"n": 0},
        {"max_tokens": 0}, {"min_tokens": 99}, {"temperature": math.inf}, {"logit_bias": {3: math.nan}}, {"repetition_penalty": math.nan},
        {"repetition_penalty": math.inf}, {"guidance_scale": math.inf}, {"mirostat_eta": math.inf}, {"temperature": 1e-40}, {"temperature": 1e39},
        {"logit_bias": {3: 1e39}}, {"presence_penalty": -1e39}, {"repetition_penalty": 1e-300}, {"top_k": 1 << 70},
    ],
)  # fmt: skip
def test_a_parameter_out_of_range_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=next(iter(wrong))):
        SamplingParams(**wrong)
