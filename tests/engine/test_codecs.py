"""Stored keys and values: bounds on the error of 8-bit codes, what they cost end to end, and that pages move untouched."""

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from engine import LLM, Batch, PagedKV, SamplingParams, checkpoint_path, load_checkpoint
from engine.batch import Row
from engine.checkpoints.corpus import documents
from engine.codec import bytes_of, codec_for
from engine.errors import RequestError
from tests.engine.audit import at_rest

CODECS = ["plain", "int8", "fp8"]
SIZE, HEADS, DIM = 4, 2, 8
# Half a step: int8 has 127 steps to the largest value; e4m3 has 3 bits of mantissa, and below 2^-6 of the code steps of 2^-9.
NUMBERS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-3, 3.7, -250.0, 1e4, 6e30, 1e-30, 0.1]) | st.floats(-100, 100, width=32)


def round_trip(name: str, k: Tensor, v: Tensor, slots: list[int]) -> tuple[Tensor, Tensor]:
    codec = codec_for(name, torch.float32)
    store = codec.store(3, SIZE, HEADS, DIM, torch.float32, "cpu")
    codec.write(store, torch.tensor(slots), k, v)
    read = codec.read(store, torch.arange(3))
    return tuple(x.flatten(0, 1)[slots] for x in read)  # type: ignore[return-value]


def bound(name: str, x: Tensor) -> Tensor:
    """The largest error that each number may have."""
    largest = x.abs().amax(-1, keepdim=True)
    if name == "plain":
        return torch.zeros_like(x)
    if name == "int8":
        return (largest / 127 / 2 * 1.0001).expand_as(x)
    return torch.maximum(x.abs() / 16, largest / 448 * 2**-10) * 1.0001


@pytest.mark.parametrize("name", CODECS)
@given(data=st.data(), tokens=st.integers(1, 6))
def test_no_number_moves_by_more_than_half_a_step(name: str, data: st.DataObject, tokens: int) -> None:
    values = st.lists(NUMBERS, min_size=tokens * HEADS * DIM, max_size=tokens * HEADS * DIM)
    k, v = (torch.tensor(data.draw(values)).view(tokens, HEADS, DIM) for _ in range(2))
    slots = data.draw(st.permutations(range(12)))[:tokens]
    for x, back in zip((k, v), round_trip(name, k, v, slots), strict=True):
        assert bool(((back - x).abs() <= bound(name, x) + 1e-37).all())
        assert bool((back[x == 0] == 0).all())


@pytest.mark.parametrize("name", ["int8", "fp8"])
def test_an_outlier_coarsens_its_own_token_and_head_alone(name: str) -> None:
    x = torch.randn(3, HEADS, DIM, generator=torch.Generator().manual_seed(1))
    spoiled = x.clone()
    spoiled[1, 0, 3] = 1e4
    clean, beside = (round_trip(name, each, each, [0, 1, 2])[0] for each in (x, spoiled))
    same = torch.ones(3, HEADS, dtype=torch.bool)
    same[1, 0] = False
    assert torch.equal(clean[same], beside[same])
    assert float(beside[1, 0, 3]) == pytest.approx(1e4, rel=0.01)


@pytest.mark.parametrize("name", CODECS)
def test_the_bytes_it_claims_are_the_bytes_it_takes(name: str) -> None:
    codec = codec_for(name, torch.float32)
    store = codec.store(5, SIZE, HEADS, DIM, torch.float32, "cpu")
    assert sum(x.numel() * x.itemsize for x in store.values()) == 5 * SIZE * codec.bytes_per_token(HEADS, DIM)
    assert PagedKV(load_checkpoint(checkpoint_path("draft")).config, 3, SIZE, codec=name).bytes_per_page > 0
    with pytest.raises(RequestError, match="int4"):
        codec_for("int4", torch.float32)


@pytest.mark.parametrize("name", CODECS)
def test_pages_are_copied_swapped_and_moved_bit_for_bit(name: str) -> None:
    kv = PagedKV(load_checkpoint(checkpoint_path("draft")).config, 5, SIZE, codec=name)
    dice = torch.Generator().manual_seed(2)
    for layer in kv.layers:
        heads, dim = layer.store["k"].shape[2:]
        k, v = (torch.randn(20, heads, dim, generator=dice) for _ in range(2))
        layer.write(torch.arange(20), k, v)
    before = [{key: bytes_of(x).clone() for key, x in layer.store.items()} for layer in kv.layers]

    def now(page: int) -> list[Tensor]:
        return [bytes_of(x)[page] for layer in kv.layers for x in layer.store.values()]

    def then(page: int) -> list[Tensor]:
        return [x[page] for store in before for x in store.values()]

    def equal(a: list[Tensor], b: list[Tensor]) -> bool:
        return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))

    kv.copy_pages([(0, 3), (3, 4)])  # both sources are read before any write
    assert equal(now(3), then(0)) and equal(now(4), then(3))
    saved = kv.swap_out([4, 1])
    kv.copy_pages([(2, 4), (2, 1)])
    kv.swap_in(saved, [2, 3])
    assert equal(now(2), then(3)) and equal(now(3), then(1))
    kv.move_slots([2, 1], [1, 2])  # slots of page 0 change places
    for x, y in zip(now(0), then(0), strict=True):
        assert torch.equal(x[[0, 2, 1, 3]], y)


def perplexity(codec: str, texts: list[str], chunk: int) -> float:
    """Of the shipped target, teacher-forced in chunks: every chunk reads what the ones before it have stored."""
    loaded = load_checkpoint(checkpoint_path("target"))
    assert loaded.tokenizer is not None
    total, count = 0.0, 0
    for text in texts:
        tokens = loaded.tokenizer.encode(text)[:128]
        kv, logits = PagedKV(loaded.config, 8, codec=codec), []
        for start in range(0, len(tokens), chunk):
            batch = Batch.build([Row(tokens[start : start + chunk], start, list(range(8)))], 16)
            logits.append(loaded.model.logits(loaded.model.forward(batch, kv)))
        laws = torch.cat(logits).log_softmax(-1)
        total -= float(laws[:-1].gather(1, torch.tensor(tokens[1:])[:, None]).sum())
        count += len(tokens) - 1
    return math.exp(total / count)


def test_eight_bits_cost_the_trained_target_next_to_nothing() -> None:
    texts = list(itertools.islice((text for text in documents(999) if len(text) > 80), 12))
    exact = perplexity("plain", texts, 16)
    assert 2 < exact < 3.2  # it is a model that has learned something
    drift = {name: perplexity(name, texts, 16) / exact - 1 for name in ("int8", "fp8")}
    print(f"perplexity {exact:.4f}, int8 {drift['int8']:+.4%}, fp8 {drift['fp8']:+.4%}")
    assert abs(drift["int8"]) < 0.002
    assert abs(drift["fp8"]) < 0.01


@pytest.mark.parametrize("codec", ["int8", "fp8"])
def test_tokens_from_codes_do_not_depend_on_the_schedule(checkpoints: Any, codec: str) -> None:
    """A code depends on its own token alone: chunks, page sizes, swapping, cached prefixes and drafts change nothing."""
    folder = checkpoints("qwen3")[0]
    prompts = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14], [5, 6, 7, 8, 9, 10, 11, 40, 41], [20, 21]]
    params = [SamplingParams(temperature=0.7, seed=seed, max_tokens=12, ignore_eos=True) for seed in range(3)]
    wanted = [LLM(folder, kv_codec=codec).generate([p], q)[0].outputs[0].token_ids for p, q in zip(prompts, params, strict=True)]
    for preemption, size, draft in [("swap", 4, None), ("recompute", 3, "ngram"), ("swap", 1, checkpoints("llama", 7)[0])]:
        llm = LLM(
            folder, kv_codec=codec, page_size=size, n_pages=-(-26 // size), chunk=4, preemption=preemption, draft=draft, acceptance="coupled",
            max_running=3, max_batch_tokens=20, draft_tree=(2, 1),
        )  # fmt: skip
        outputs = llm.generate(prompts, params)
        assert [output.outputs[0].token_ids for output in outputs] == wanted
        assert llm.stats()["preemptions"] > 0
        at_rest(llm)
