"""The fusable pieces of a layer, in torch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from engine.attention import TorchAttention
from engine.batch import Batch
from engine.kv import LayerKV
from engine.rope import rotate
from engine.seams import Attention


class TorchOps:
    """See `engine.seams.Ops`."""

    def __init__(self, attention: Attention | None = None):
        self.attention: Attention = attention or TorchAttention()

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.linear(x, weight, bias)

    def norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), weight, eps)

    def add_norm(self, x: Tensor, residual: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        residual = x + residual
        return self.norm(residual, weight, eps), residual

    def silu_mul(self, gate_up: Tensor) -> Tensor:
        gate, up = gate_up.chunk(2, dim=-1)
        return F.silu(gate) * up

    def rope_write(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        q_weight: Tensor | None,
        k_weight: Tensor | None,
        eps: float,
        cos: Tensor,
        sin: Tensor,
        batch: Batch,
        kv: LayerKV,
    ) -> Tensor:
        if q_weight is not None and k_weight is not None:
            q, k = self.norm(q, q_weight, eps), self.norm(k, k_weight, eps)
        kv.write(batch.slots, rotate(k, cos, sin), v)
        return rotate(q, cos, sin)
