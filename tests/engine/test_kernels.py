"""Triton's kernels compute what torch does: interpreted here, or compiled where there is a GPU; and they compile for one anywhere."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import LLM, SamplingParams
from engine.batch import Batch, Row
from engine.config import ModelConfig
from engine.errors import RequestError
from engine.kernels import TritonOps, attention, gumbel_max
from engine.kernels.matmul import linear
from engine.kv import PagedKV
from engine.noise import Noise, key_of
from engine.ops import TorchOps
from tests.engine import factory, oracle
from tests.engine.audit import at_rest

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
FEW = settings(max_examples=16, deadline=None, suppress_health_check=list(HealthCheck))
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}


def config_of(heads: int, kv_heads: int, dim: int) -> ModelConfig:
    return ModelConfig.from_dict(
        {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 32, "hidden_size": heads * dim, "intermediate_size": 16,
         "num_hidden_layers": 1, "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": dim, "max_position_embeddings": 4096,
         "rms_norm_eps": 1e-6, "hidden_act": "silu"}, "made up")  # fmt: skip


class Case:
    """Rows (queries, tokens before them) on scattered pages whose unused slots hold what nobody may see."""

    def __init__(self, rows: list[tuple[int, int]], heads: int = 4, kv_heads: int = 2, dim: int = 16, dtype: torch.dtype = torch.float32,
                 page: int = 16, codec: str | None = None, tree: bool = False, seed: int = 0):  # fmt: skip
        noise = torch.Generator(DEVICE).manual_seed(seed)
        self.heads, self.kv_heads, self.dim, self.dtype, dice = heads, kv_heads, dim, dtype, random.Random(seed)
        count = sum(-(-(n + before) // page) for n, before in rows) + 2
        self.kv = PagedKV(config_of(heads, kv_heads, dim), count, page, dtype, DEVICE, codec)
        free = list(range(count))
        dice.shuffle(free)
        self.parts = []
        for n, before in rows:
            pages = [free.pop() for _ in range(-(-(n + before) // page))]
            parents = [dice.randint(-1, i - 1) for i in range(dice.randint(1, n))] if tree and dice.random() < 0.7 else None
            self.parts.append(Row([1] * n, before, pages, parents))
        for name in ("k", "v"):
            if codec is None:
                self.kv.layer(0).store[name].fill_(1e4)
        for part in self.parts:
            slots = torch.tensor([part.pages[i // page] * page + i % page for i in range(part.start)], dtype=torch.int64, device=DEVICE)
            self.kv.layer(0).write(slots, *(self.random(noise, part.start, kv_heads, dim) for _ in "kv"))
        total = sum(n for n, _ in rows)
        qkv = self.random(noise, total, heads + 2 * kv_heads, dim)
        self.q, self.k, self.v = torch.split(qkv, [heads, kv_heads, kv_heads], dim=1)
        self.cos, self.sin = self.random(noise, total, dim), self.random(noise, total, dim)
        self.weights = [self.random(noise, dim) for _ in "qk"]

    def random(self, noise: torch.Generator, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=noise, device=DEVICE).to(self.dtype)

    def turn(self, ops: Any, norm: bool = True) -> torch.Tensor:
        weights = self.weights if norm else [None, None]
        return ops.rope_write(self.q, self.k, self.v, *weights, 1e-6, self.cos, self.sin, self.batch(), self.kv.layer(0))

    def batch(self, only: slice = slice(None)) -> Batch:
        return Batch.build(self.parts[only], self.kv.page_size, DEVICE)

    def attend(self, ops: Any, q: torch.Tensor, window: int | None = None, only: slice = slice(None)) -> torch.Tensor:
        return ops.attention(q, self.kv.layer(0), self.batch(only), 0.3, window)


def near(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    bound = TOLERANCE[theirs.dtype]
    torch.testing.assert_close(ours, theirs, atol=bound, rtol=bound, check_dtype=True)


@FEW
@given(
    rows=st.lists(st.tuples(st.sampled_from([1, 1, 2, 5, 40]), st.integers(0, 90)), min_size=1, max_size=4),
    shape=st.sampled_from([(4, 4, 16), (4, 2, 8), (6, 2, 16), (8, 1, 32), (2, 1, 24), (3, 1, 16)]),
    page=st.sampled_from([1, 4, 16, 32]), window=st.sampled_from([None, 1, 7, 64]), tree=st.booleans(), codec=st.sampled_from([None, None, "int8", "fp8"]),
    dtype=st.sampled_from([torch.float32, torch.float32, torch.bfloat16, torch.float16]), uniform=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_attention_equals_torchs(rows: Any, shape: Any, page: int, window: Any, tree: bool, codec: Any, dtype: Any, uniform: bool, seed: int) -> None:
    case = Case(rows, *shape, dtype, page, codec, tree, seed)
    q = case.turn(TorchOps())
    near(case.attend(TritonOps(uniform), q, window), case.attend(TorchOps(), q, window))


@pytest.mark.parametrize("window", [None, 300])
def test_long_contexts_are_split_and_merged(window: int | None) -> None:
    size = attention.SPLIT
    case = Case([(1, size - 1), (1, size), (3, size + 1), (1, 2 * size + 40), (2, 0), (70, 1)])
    q = case.turn(TorchOps())
    near(case.attend(TritonOps(), q, window), case.attend(TorchOps(), q, window))


@pytest.mark.parametrize("window", [None, 30])
def test_a_row_gets_the_same_bits_in_any_company(monkeypatch: pytest.MonkeyPatch, window: int | None) -> None:
    monkeypatch.setattr(attention, "SPLIT", 64)
    case = Case([(1, 20), (1, 300), (1, 63), (1, 64), (1, 127)])
    q = case.turn(TorchOps())
    together = case.attend(TritonOps(), q, window)
    for row in range(len(case.parts)):
        assert torch.equal(case.attend(TritonOps(), q[row : row + 1], window, slice(row, row + 1))[0], together[row])


@FEW
@given(
    rows=st.lists(st.tuples(st.integers(1, 5), st.integers(0, 20)), min_size=1, max_size=3), shape=st.sampled_from([(4, 2, 16), (2, 2, 8), (6, 2, 24)]),
    dtype=st.sampled_from(list(TOLERANCE)), codec=st.sampled_from([None, "int8", "fp8"]), norm=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_rope_write_turns_and_stores_and_touches_nothing_else(rows: Any, shape: Any, dtype: Any, codec: Any, norm: bool, seed: int) -> None:
    ours, theirs = Case(rows, *shape, dtype, 4, codec, seed=seed), Case(rows, *shape, dtype, 4, codec, seed=seed)
    near(ours.turn(TritonOps(), norm), theirs.turn(TorchOps(), norm))
    everywhere = torch.arange(ours.kv.n_pages, device=DEVICE)
    step = TOLERANCE[dtype] * (1 if codec is None else 8)  # a last bit may turn a code over
    for a, b in zip(ours.kv.layer(0).read(everywhere), theirs.kv.layer(0).read(everywhere), strict=True):
        torch.testing.assert_close(a, b, atol=step if codec is None else 0.3, rtol=step, equal_nan=True)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("tokens", "width"), [(1, 8), (3, 96), (5, 1000)])
def test_the_small_pieces_equal_torchs(dtype: torch.dtype, tokens: int, width: int) -> None:
    noise = torch.Generator(DEVICE).manual_seed(width)
    x, residual, gate_up = (torch.randn(tokens, n, generator=noise, device=DEVICE).to(dtype) for n in (width, width, 2 * width))
    weight = torch.rand(width, generator=noise, device=DEVICE).to(dtype)
    ours, theirs = TritonOps(), TorchOps()
    near(ours.norm(x, weight, 1e-6), theirs.norm(x, weight, 1e-6))
    for a, b in zip(ours.add_norm(x, residual, weight, 1e-6), theirs.add_norm(x, residual, weight, 1e-6), strict=True):
        near(a, b)
    near(ours.silu_mul(gate_up), theirs.silu_mul(gate_up))
    rows = torch.randn(70, width, generator=noise, device=DEVICE).to(dtype)
    for bias in (None, rows[:, 0].contiguous()):
        torch.testing.assert_close(linear(x, rows, bias), theirs.linear(x, rows, bias), atol=TOLERANCE[dtype] * width**0.5, rtol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("vocab", [7, 97, 8192, 20_011])
def test_one_pass_draws_the_tokens_that_the_noise_says(dtype: torch.dtype, vocab: int) -> None:
    noise = torch.Generator(DEVICE).manual_seed(vocab)
    logits = (3 * torch.randn(24, vocab, generator=noise, device=DEVICE)).to(dtype)
    logits[torch.rand(24, vocab, generator=noise, device=DEVICE) < 0.3] = float("-inf")
    logits[:, vocab // 2] = 1
    heat = torch.tensor([(0.0, 0.3, 1.0, 2.5)[i % 4] for i in range(24)], device=DEVICE)
    draws = Noise.of([key_of(seed=i * 7919, position=i) for i in range(24)], DEVICE)
    scores = logits.float() / torch.where(heat > 0, heat, 1.0)[:, None]
    scores = torch.where(heat[:, None] > 0, scores + draws.gumbel(vocab), scores)
    ours, best = gumbel_max(logits, draws.keys, heat), scores.argmax(-1)
    # Logarithms differ in their last bit between libraries: another token may win only by as little.
    lost = scores.gather(1, best[:, None]) - scores.gather(1, ours[:, None])
    assert float(lost.max()) < 1e-5
    assert (ours == best).float().mean() > 0.9
    assert not torch.isinf(logits.gather(1, ours[:, None])).any()


@pytest.mark.parametrize("family", ["llama3-rope", "qwen2-window", "qwen3", "mistral-window", "llama-bias"])
def test_tokens_equal_transformers(checkpoints: Any, family: str) -> None:
    folder, model = checkpoints(family)
    dice = random.Random(3)
    prompts = [[dice.randrange(2, 97) for _ in range(n)] for n in (1, 11, 6)]
    llm = LLM(folder, device=DEVICE, kernels="triton", n_pages=40, page_size=4, chunk=5)
    outputs = llm.generate(prompts, SamplingParams(temperature=0, max_tokens=5))
    for prompt, output in zip(prompts, outputs, strict=True):
        assert output.outputs[0].token_ids == oracle.greedy(model, prompt, 5)
    at_rest(llm)


def test_draft_trees_and_samples_equal_the_torch_path(checkpoints: Any) -> None:
    folder, draft = checkpoints("llama")[0], checkpoints("llama", 7)[0]
    prompts = [[5, 9, 4], [7, 7, 8, 3, 2]]
    for params in (SamplingParams(temperature=0, max_tokens=6), SamplingParams(temperature=0.8, max_tokens=6, seed=4, ignore_eos=True)):
        answers = []
        for kernels in ("torch", "triton"):
            llm = LLM(folder, device=DEVICE, kernels=kernels, mode="exact", n_pages=40, page_size=4, draft=draft, draft_tree=(2, 1))
            answers.append([o.outputs[0].token_ids for o in llm.generate(prompts, params)])
            at_rest(llm)
        assert answers[0] == answers[1]


def needle_alone_and_in_company(folder: Path, **options: Any) -> tuple[list[Any], list[Any]]:
    dice = random.Random(11)
    needle = SamplingParams(temperature=0.7, seed=5, max_tokens=3, ignore_eos=True, logprobs=4)
    prompt = [dice.randrange(2, 97) for _ in range(9)]
    crowd = [[dice.randrange(2, 97) for _ in range(dice.randint(1, 14))] for _ in range(6)]
    answers = []
    for prompts, at in (([prompt], 0), ([*crowd[:4], prompt, *crowd[4:]], 4)):
        llm = LLM(folder, device=DEVICE, n_pages=60, prefix_cache=None, **options)
        answers.append(llm.generate(prompts, needle)[at].outputs[0].logprobs)
    return answers[0], answers[1]


def test_batch_invariance_is_to_the_bit_and_is_not_for_free(tmp_path: Path) -> None:
    # Wide enough for a library to change its tiles with the number of rows.
    folder, _ = factory.checkpoint(tmp_path, "qwen3", 5, hidden_size=256, intermediate_size=320, num_hidden_layers=1)
    alone, together = needle_alone_and_in_company(folder, kernels="triton", batch_invariant=True)
    assert alone == together
    alone, together = needle_alone_and_in_company(folder, kernels="torch")
    assert alone != together  # what the flag is for


def test_every_kernel_compiles_for_a_gpu() -> None:
    script = Path(__file__).with_name("compile_kernels.py")
    env = {**os.environ, "PYTHONPATH": str(script.parents[2])}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=env, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    made = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(made) == 22
    # bfloat16 products run on the matrix units; float32 ones must not, for there they would be tf32.
    for one in made:
        product = one["kernel"].split()[0] in ("decode", "prefill", "draft", "linear")
        assert one["matrix_unit"] == (product and one["dtype"] == "bf16"), one


def test_refusals_say_what_to_do(checkpoints: Any) -> None:
    folder, _ = checkpoints("llama")
    with pytest.raises(RequestError, match="there are torch and triton"):
        LLM(folder, kernels="cutlass")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="batch_invariant needs kernels='triton'"):
        LLM(folder, kernels="torch", batch_invariant=True)
    with pytest.raises(RequestError, match="graphs need kernels='triton'"):
        LLM(folder, kernels="torch", graphs=True)
    script = f"import sys; sys.modules['triton'] = None; from engine import LLM; LLM({str(folder)!r}, kernels='triton')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert "RequestError: kernels 'triton' need the package triton" in done.stderr
