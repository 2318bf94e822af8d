"""The transformer: one class for every supported family, because they differ only in what `ModelConfig` says.

Query, key and value projections are one matrix, gate and up another: fewer, larger products. The model holds no state
but its weights; keys and values go to the `PagedKV` that is passed in.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.batch import Batch
from engine.config import ModelConfig
from engine.errors import RequestError
from engine.kv import PagedKV
from engine.lora import add_lora
from engine.ops import TorchOps
from engine.rope import RopeTable
from engine.seams import Ops


@dataclass
class LayerWeights:
    """One layer. Matrices are ``[out, in]``; qkv stacks q, k, v, gate_up stacks gate, up."""

    norm: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    q_norm: Tensor | None
    k_norm: Tensor | None
    out: Tensor
    out_bias: Tensor | None
    mlp_norm: Tensor
    gate_up: Tensor
    gate_up_bias: Tensor | None
    down: Tensor
    down_bias: Tensor | None


@dataclass
class Weights:
    embedding: Tensor  # [V, hidden]
    layers: list[LayerWeights]
    norm: Tensor
    head: Tensor  # [V, hidden]; the embedding itself when tied


class Transformer:
    """See `engine.seams.Model`."""

    def __init__(self, config: ModelConfig, weights: Weights, ops: Ops | None = None):
        self.config, self.weights = config, weights
        self.ops: Ops = ops or TorchOps()
        self.dtype, self.device = weights.embedding.dtype, weights.embedding.device
        self.rope = RopeTable(config.rope, config.head_dim, config.max_position, self.dtype, self.device)

    def with_ops(self, ops: Ops) -> Transformer:
        """The same weights behind other kernels."""
        other = copy.copy(self)
        other.ops = ops
        return other

    @torch.inference_mode()
    def forward(self, batch: Batch, kv: PagedKV) -> Tensor:
        """Hidden states ``[T, hidden]`` after the last norm; writes the batch's keys and values to its slots.

        Raises RequestError when a position lies past ``max_position`` or a token outside the vocabulary (CPU only: on
        a GPU the check would make the host wait).
        """
        config, ops, weights = self.config, self.ops, self.weights
        if self.device.type == "cpu":
            self._check(batch)
        heads, kv_heads, dim = config.n_heads, config.n_kv_heads, config.head_dim
        cos, sin = self.rope.cos[batch.positions], self.rope.sin[batch.positions]
        residual = F.embedding(batch.tokens, weights.embedding)
        x = ops.norm(residual, weights.layers[0].norm, config.rms_eps)
        for index, layer in enumerate(weights.layers):
            layer_kv = kv.layer(index)
            qkv = self._linear(x, layer.qkv, layer.qkv_bias, batch, index, "qkv")
            q, k, v = torch.split(qkv.view(-1, heads + 2 * kv_heads, dim), [heads, kv_heads, kv_heads], dim=1)
            q = ops.rope_write(q, k, v, layer.q_norm, layer.k_norm, config.rms_eps, cos, sin, batch, layer_kv)
            x = ops.attention(q, layer_kv, batch, config.scale, config.window(index)).flatten(1)
            x = self._linear(x, layer.out, layer.out_bias, batch, index, "out")
            x, residual = ops.add_norm(x, residual, layer.mlp_norm, config.rms_eps)
            x = self._linear(x, layer.gate_up, layer.gate_up_bias, batch, index, "gate_up")
            x = self._linear(ops.silu_mul(x), layer.down, layer.down_bias, batch, index, "down")
            following = weights.layers[index + 1].norm if index + 1 < len(weights.layers) else weights.norm
            x, residual = ops.add_norm(x, residual, following, config.rms_eps)
        return x

    @torch.inference_mode()
    def logits(self, rows: Tensor) -> Tensor:
        """Hidden states ``[n, hidden]`` -> logits ``[n, V]`` in the model's dtype."""
        return self.ops.linear(rows, self.weights.head)

    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor | None, batch: Batch, layer: int, name: str) -> Tensor:
        y = self.ops.linear(x, weight, bias)
        return y if batch.adapters is None else add_lora(y, x, batch, layer, name)

    def _check(self, batch: Batch) -> None:
        if not batch.tokens.numel():
            raise RequestError("batch: no tokens")
        last, token = int(batch.positions.max()), int(batch.tokens.max())
        if last >= self.config.max_position:
            raise RequestError(f"position {last} is past max_position_embeddings = {self.config.max_position}")
        if token >= self.config.vocab_size or int(batch.tokens.min()) < 0:
            raise RequestError(f"a token id is outside the vocabulary of {self.config.vocab_size}")
