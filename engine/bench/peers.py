"""What the bench compares with. These libraries are no dependencies of the engine: they are looked up when a row asks for them."""

from __future__ import annotations

import importlib
import json
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from engine.bench.shapes import SHAPES
from engine.checkpoint import Checkpoint, load_checkpoint


@dataclass
class TransformersPeer:
    """The same random weights in both libraries, float32 on the CPU."""

    model: Any
    checkpoint: Checkpoint

    def generate(self, prompts: Sequence[Sequence[int]], lengths: Sequence[int]) -> list[list[int]]:
        """Greedy answers of one left-padded batch, each cut to its length."""
        width = max(map(len, prompts))
        ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        with torch.inference_mode():
            made = self.model.generate(input_ids=ids, attention_mask=mask, do_sample=False, max_new_tokens=max(lengths), min_new_tokens=max(lengths),
                                       pad_token_id=0)  # fmt: skip
        return [row[width : width + n] for row, n in zip(made.tolist(), lengths, strict=True)]


def transformers_model(shape: str, seed: int) -> TransformersPeer | None:
    """None when transformers is not installed."""
    try:
        transformers = importlib.import_module("transformers")
    except ModuleNotFoundError:
        return None
    transformers.utils.logging.set_verbosity_error()
    raw = {key: value for key, value in SHAPES[shape].items() if key not in ("architectures", "rope_theta")}
    raw["rope_parameters"] = {"rope_type": "default", "rope_theta": SHAPES[shape]["rope_theta"]}
    torch.manual_seed(seed)
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(**raw)).eval().float()
        model.save_pretrained(folder)
        return TransformersPeer(model, load_checkpoint(folder))


class _Words:
    bos_token_id = None

    def __init__(self, tokens: Sequence[bytes]):
        self.tokens = [*tokens, b"<|end|>"]
        self.eos_token_id = len(tokens)
        self.special_token_ids = [len(tokens)]
        self.single = {word: token for token, word in enumerate(tokens) if len(word) == 1}

    def __call__(self, text: bytes) -> list[int]:
        return [self.single[bytes([byte])] for byte in text]


def llguidance_masks(schema: dict[str, Any], tokens: Sequence[bytes], steps: int, seed: int) -> dict[str, float]:
    """Compile and mask times of llguidance along texts of the same schema over the same vocabulary."""
    llguidance, arrays = importlib.import_module("llguidance"), importlib.import_module("llguidance.numpy")
    tokenizer = llguidance.LLTokenizer(llguidance.TokenizerWrapper(_Words(tokens)))
    options = {"whitespace_flexible": False, "key_separator": ":", "item_separator": ","}
    compiled, times = [], []
    for run in range(3):
        start = time.perf_counter()
        matcher = llguidance.LLMatcher(tokenizer, llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema), defaults=options))
        compiled.append(1e3 * (time.perf_counter() - start))
        bits, choose = arrays.allocate_token_bitmask(1, len(tokens) + 1), random.Random(seed + run)
        for _ in range(steps):
            start = time.perf_counter()
            arrays.fill_next_token_bitmask(matcher, bits, 0)
            times.append(1e6 * (time.perf_counter() - start))
            words = torch.from_numpy(bits[0]).view(torch.uint8)
            allowed = ((words[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1).flatten()[: len(tokens)].nonzero().flatten().tolist()
            if not allowed or not matcher.consume_token(choose.choice(allowed)):
                break
    return {"llguidance_compile_ms_p50": statistics.median(compiled), "llguidance_mask_us_p50": statistics.median(times),
            "llguidance_mask_us_p95": sorted(times)[int(0.95 * (len(times) - 1))]}  # fmt: skip
