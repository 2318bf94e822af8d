"""Recorded passes give what plain ones give: padding, bucket edges, stale tables, more context splits than were recorded.

Where there is no GPU, a recording is replayed by running the recorded pass again on the graph's own tensors, with the launch
constants that it was recorded with: what a graph would read stale is stale here too.
"""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

from engine import LLM, SamplingParams
from engine.batch import Batch, Row
from engine.errors import RequestError
from engine.graphs import CudaCapture, Graph, GraphModel, bucket, graphed
from engine.kernels import TritonOps, attention
from engine.kv import PagedKV
from tests.engine import oracle
from tests.engine.audit import at_rest

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"


def rerun(run: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, Callable[[], None]]:
    out = run()
    return out, lambda: out.copy_(run())  # type: ignore[return-value]


def recorder() -> Any:
    return CudaCapture() if ON_GPU else rerun


def llm_of(folder: Any, **options: Any) -> LLM:
    options = {"n_pages": 60, "page_size": 4, **options}
    return LLM(folder, device=DEVICE, kernels="triton", graphs=True if ON_GPU else rerun, **options)


def graphs_of(llm: LLM) -> GraphModel:
    model = llm.engine.runner.model
    assert isinstance(model, GraphModel)
    return model


def test_buckets_hold_their_rows() -> None:
    for rows in range(1, 300):
        assert bucket(rows) >= rows
        assert bucket(bucket(rows)) == bucket(rows)
        assert rows <= 8 or bucket(rows) - rows < 16
    assert sorted({bucket(rows) for rows in range(1, 34)}) == [1, 2, 4, 8, 16, 32, 48]


@pytest.mark.parametrize("family", ["qwen3", "mistral-window"])
def test_tokens_equal_transformers_as_the_batch_grows_and_shrinks(checkpoints: Any, family: str) -> None:
    folder, model = checkpoints(family)
    dice = random.Random(2)
    prompts = [[dice.randrange(2, 97) for _ in range(n)] for n in (3, 7, 1, 5, 2)]
    lengths = [3, 7, 4, 6, 2]
    llm = llm_of(folder)
    outputs = llm.generate(prompts, [SamplingParams(temperature=0, max_tokens=n) for n in lengths])
    for prompt, output, n in zip(prompts, outputs, lengths, strict=True):
        assert output.outputs[0].token_ids == oracle.greedy(model, prompt, n)
    assert {key.rows for key in graphs_of(llm).graphs} >= {1, 2, 4, 8}
    assert graphs_of(llm).replays >= 5
    at_rest(llm)


def test_a_longer_context_than_was_recorded_gets_a_graph_of_its_own(checkpoints: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "SPLIT", 16)
    monkeypatch.setattr(attention, "BLOCK_N", 16)
    folder, _ = checkpoints("llama")
    prompt = list(range(2, 16))
    llm = llm_of(folder)
    params = SamplingParams(temperature=0, max_tokens=22, ignore_eos=True)
    output = llm.generate([prompt], params)[0]
    plain = LLM(folder, device=DEVICE, mode="exact", kernels="torch").generate([prompt], params)[0]
    assert output.outputs[0].token_ids == plain.outputs[0].token_ids
    assert {key.splits for key in graphs_of(llm).graphs} == {1, 2, 4}


def test_without_the_splits_in_the_key_it_would_be_wrong(checkpoints: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "SPLIT", 16)
    monkeypatch.setattr(attention, "BLOCK_N", 16)
    folder, _ = checkpoints("llama")
    params = SamplingParams(temperature=0, max_tokens=22, ignore_eos=True)
    right = llm_of(folder).generate([list(range(2, 16))], params)[0].outputs[0].token_ids
    llm = llm_of(folder)
    whole = GraphModel.key
    monkeypatch.setattr(GraphModel, "key", lambda self, batch, kv: key._replace(splits=1) if (key := whole(self, batch, kv)) else None)
    assert llm.generate([list(range(2, 16))], params)[0].outputs[0].token_ids != right


def test_drafts_swaps_and_storms_go_through_graphs(checkpoints: Any) -> None:
    folder, draft = checkpoints("llama")[0], checkpoints("llama", 7)[0]
    model = checkpoints("llama")[1]
    prompts = [[5, 9, 4, 8, 8, 2, 7], [7, 7, 8, 3, 2]]
    for options in ({"draft": draft, "draft_tokens": 2}, {"n_pages": 5, "preemption": "swap"}, {"overlap": 1}):
        llm = llm_of(folder, **options)
        outputs = llm.generate(prompts, SamplingParams(temperature=0, max_tokens=6))
        assert [o.outputs[0].token_ids for o in outputs] == [oracle.greedy(model, prompt, 6) for prompt in prompts]
        assert graphs_of(llm).replays
        at_rest(llm)


class Pool:
    """A graphed model on pages that are all in use; the last is the padding's."""

    def __init__(self, folder: Any):
        self.llm = LLM(folder, device=DEVICE, kernels="triton", n_pages=4)
        model = self.llm.checkpoint.model.with_ops(TritonOps())
        self.plain = model
        self.kv = PagedKV(model.config, 13, 4, model.dtype, model.device)
        noise = torch.Generator().manual_seed(1)
        for layer in self.kv.layers:
            for tensor in layer.store.values():
                tensor.copy_(torch.randn(tensor.shape, generator=noise))
        made = graphed(model, self.kv, 3, recorder())
        assert isinstance(made, GraphModel)
        self.model = made

    def batch(self, rows: list[tuple[int, list[int]]], tokens: int = 1) -> Batch:
        return Batch.build([Row([5] * tokens, before, pages) for before, pages in rows], 4, self.kv.device)

    def snapshot(self) -> torch.Tensor:
        return torch.cat([t[:-1].flatten() for layer in self.kv.layers for t in layer.store.values()]).clone()


@pytest.mark.parametrize("tokens", [1, 2])
def test_padding_writes_nothing_but_its_own_page(checkpoints: Any, tokens: int) -> None:
    pool = Pool(checkpoints("qwen3")[0])
    full = [(5, [0, 1]), (9, [2, 3, 4]), (1, [5]), (2, [6])]
    pool.model.forward(pool.batch(full, tokens), pool.kv)  # leaves four live rows in the graph's tensors
    batch = pool.batch([(3, [7, 8]), (0, [9]), (7, [10, 11, 4])], tokens)
    before = pool.snapshot()
    expected = pool.plain.forward(batch, pool.kv)
    after = pool.snapshot()
    hidden = pool.model.forward(batch, pool.kv)
    assert len(pool.model.graphs) == 1 and pool.model.replays == 2
    torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pool.snapshot(), after, atol=1e-5, rtol=1e-5)
    assert not torch.equal(before, after)


def test_padding_that_keeps_old_rows_would_be_seen(checkpoints: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(checkpoints("qwen3")[0])
    pool.model.forward(pool.batch([(5, [0, 1]), (9, [2, 3, 4]), (1, [5]), (2, [6])]), pool.kv)
    whole = GraphModel._load
    monkeypatch.setattr(GraphModel, "_load", lambda self, own, batch, key: whole(self, own, batch, key._replace(rows=len(batch.kv_len))))
    for layer in pool.kv.layers:
        layer.store["k"][6] = 7.0  # the fourth row's page belongs to somebody else by now
    pool.model.forward(pool.batch([(3, [7, 8]), (0, [9]), (7, [10, 11, 12])]), pool.kv)
    assert any(not (layer.store["k"][6] == 7.0).all() for layer in pool.kv.layers)


def test_what_no_graph_can_compute_runs_as_it_is(checkpoints: Any) -> None:
    pool = Pool(checkpoints("llama")[0])
    uneven = Batch.build([Row([5, 6], 0, [0]), Row([5], 3, [1])], 4, pool.kv.device)
    tree = Batch.build([Row([5, 6, 7], 0, [0], [-1, -1])], 4, pool.kv.device)
    wide = Batch.build([Row([5], 0, [0, 1, 2, 3])], 4, pool.kv.device)
    other = PagedKV(pool.plain.config, 4, 4, pool.plain.dtype, pool.plain.device)
    assert [pool.model.key(batch, pool.kv) for batch in (uneven, tree, wide)] == [None, None, None]
    assert pool.model.key(pool.batch([(0, [0])]), other) is None
    assert isinstance(pool.model._record(pool.model.key(pool.batch([(0, [0])]), pool.kv)), Graph)  # type: ignore[arg-type]
    torch.testing.assert_close(pool.model.forward(uneven, pool.kv), pool.plain.forward(uneven, pool.kv))
    assert not pool.model.graphs


@pytest.mark.skipif(ON_GPU, reason="the refusal is for machines without a GPU")
def test_graphs_need_a_gpu(checkpoints: Any) -> None:
    with pytest.raises(RequestError, match="CUDA graphs need a GPU"):
        LLM(checkpoints("llama")[0], kernels="triton", graphs=True)
