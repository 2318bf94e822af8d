"""The pieces of a layer, each one kernel: one read and one write of what it works on.

Reductions run within one program over a whole row, in a fixed order, so a token's numbers don't depend on its batch.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.batch import Batch
from engine.codec import Plain
from engine.kernels.attention import TritonAttention
from engine.kernels.jit import tl, triton
from engine.kernels.matmul import linear
from engine.kv import LayerKV
from engine.seams import Attention


@triton.jit
def _add_norm(x, residual, weight, y, total, eps, ADD: tl.constexpr, N: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * N
    n = tl.arange(0, BLOCK)
    inside = n < N
    a = tl.load(x + row + n, mask=inside, other=0.0).to(tl.float32)
    if ADD:
        a += tl.load(residual + row + n, mask=inside, other=0.0).to(tl.float32)
        kept = a.to(total.dtype.element_ty)
        tl.store(total + row + n, kept, mask=inside)
        a = kept.to(tl.float32)  # what the residual stream holds is what is normalised
    scale = 1.0 / tl.sqrt_rn(tl.sum(a * a, 0) / N + eps)
    w = tl.load(weight + n, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + row + n, (a * scale * w).to(y.dtype.element_ty), mask=inside)


@triton.jit
def _silu_mul(gate_up, y, N: tl.constexpr, BLOCK: tl.constexpr):
    row, n = tl.program_id(0).to(tl.int64), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = n < N
    gate = tl.load(gate_up + row * 2 * N + n, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(gate_up + row * 2 * N + N + n, mask=inside, other=0.0).to(tl.float32)
    act = (gate / (1.0 + tl.exp(-gate))).to(y.dtype.element_ty).to(tl.float32)
    tl.store(y + row * N + n, (act * up).to(y.dtype.element_ty), mask=inside)


@triton.jit
def _weight(q_weight, k_weight, i, inside, query):
    """The norm's weights of a query's head or of a key's."""
    of_q, of_k = tl.load(q_weight + i, mask=inside, other=0.0), tl.load(k_weight + i, mask=inside, other=0.0)
    return tl.where(query, of_q, of_k).to(tl.float32)


@triton.jit
def _rope_write(
    q, k, v, q_weight, k_weight, cos, sin, slots, q_out, k_store, v_store, eps, q_stride, k_stride, v_stride,
    H: tl.constexpr, K: tl.constexpr, D: tl.constexpr, HALF: tl.constexpr, NORM: tl.constexpr,
):  # fmt: skip
    """One program turns one head of one token: heads 0..H-1 are queries, the next K keys, the last K values."""
    token, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    i = tl.arange(0, HALF)
    inside = i < D // 2
    if head < H:
        source, target = q + token * q_stride + head * D, q_out + (token * H + head) * D
    elif head < H + K:
        source, target = k + token * k_stride + (head - H) * D, k_store + (tl.load(slots + token) * K + head - H) * D
    else:
        source, target = v + token * v_stride + (head - H - K) * D, v_store + (tl.load(slots + token) * K + head - H - K) * D
    low = tl.load(source + i, mask=inside, other=0.0).to(tl.float32)
    high = tl.load(source + D // 2 + i, mask=inside, other=0.0).to(tl.float32)
    if head < H + K:
        if NORM:
            scale = 1.0 / tl.sqrt_rn((tl.sum(low * low, 0) + tl.sum(high * high, 0)) / D + eps)
            low = (low * scale * _weight(q_weight, k_weight, i, inside, head < H)).to(q_out.dtype.element_ty).to(tl.float32)
            high = (high * scale * _weight(q_weight, k_weight, D // 2 + i, inside, head < H)).to(q_out.dtype.element_ty).to(tl.float32)
        c = tl.load(cos + token * D + i, mask=inside, other=0.0).to(tl.float32)
        s = tl.load(sin + token * D + i, mask=inside, other=0.0).to(tl.float32)
        c2 = tl.load(cos + token * D + D // 2 + i, mask=inside, other=0.0).to(tl.float32)
        s2 = tl.load(sin + token * D + D // 2 + i, mask=inside, other=0.0).to(tl.float32)
        low, high = low * c - high * s, high * c2 + low * s2
    tl.store(target + i, low.to(q_out.dtype.element_ty), mask=inside)
    tl.store(target + D // 2 + i, high.to(q_out.dtype.element_ty), mask=inside)


class TritonOps:
    """See `engine.seams.Ops`. With `batch_invariant`, matrix products have fixed tiles too, and attention one block shape
    (He et al. 2025, "Defeating nondeterminism in LLM inference")."""

    def __init__(self, batch_invariant: bool = False, attention: Attention | None = None):
        self.batch_invariant = batch_invariant
        self.attention: Attention = attention or TritonAttention(batch_invariant)

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return linear(x, weight, bias) if self.batch_invariant else F.linear(x, weight, bias)

    def norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        x = x.contiguous()
        y = torch.empty_like(x)
        _rows(x, x, weight, y, x, eps, False)
        return y

    def add_norm(self, x: Tensor, residual: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        x, residual = x.contiguous(), residual.contiguous()
        y, total = torch.empty_like(x), torch.empty_like(x)
        _rows(x, residual, weight, y, total, eps, True)
        return y, total

    def silu_mul(self, gate_up: Tensor) -> Tensor:
        gate_up = gate_up.contiguous()
        tokens, width = gate_up.shape[0], gate_up.shape[1] // 2
        y = torch.empty(tokens, width, dtype=gate_up.dtype, device=gate_up.device)
        block = min(1024, triton.next_power_of_2(width))
        _silu_mul[(tokens, triton.cdiv(width, block))](gate_up, y, N=width, BLOCK=block, num_warps=4)
        return y

    def rope_write(
        self, q: Tensor, k: Tensor, v: Tensor, q_weight: Tensor | None, k_weight: Tensor | None, eps: float,
        cos: Tensor, sin: Tensor, batch: Batch, kv: LayerKV,
    ) -> Tensor:  # fmt: skip
        tokens, heads, dim = q.shape
        kv_heads = k.shape[1]
        out = torch.empty(tokens, heads, dim, dtype=q.dtype, device=q.device)
        plain = isinstance(kv.codec, Plain)
        slots = batch.slots
        keys, values = kv.store["k"], kv.store["v"]
        if not plain:  # turned keys and values go to rows of their own; the codec finds their scales
            slots = torch.arange(tokens, device=q.device)
            keys, values = (torch.empty(tokens, kv_heads, dim, dtype=q.dtype, device=q.device) for _ in "kv")
        norm = q_weight is not None and k_weight is not None
        _rope_write[(tokens, heads + 2 * kv_heads)](
            _dense(q), _dense(k), _dense(v), q_weight, k_weight, cos, sin, slots, out, keys, values, eps,
            _dense(q).stride(0), _dense(k).stride(0), _dense(v).stride(0),
            H=heads, K=kv_heads, D=dim, HALF=triton.next_power_of_2(dim // 2), NORM=norm, num_warps=1,
        )  # fmt: skip
        if not plain:
            kv.write(batch.slots, keys, values)
        return out


def _rows(x: Tensor, residual: Tensor, weight: Tensor, y: Tensor, total: Tensor, eps: float, add: bool) -> None:
    width = x.shape[-1]
    block = triton.next_power_of_2(width)
    warps: dict[str, Any] = {"num_warps": min(16, max(1, block // 256))}
    _add_norm[(x.numel() // width,)](x, residual, weight, y, total, eps, ADD=add, N=width, BLOCK=block, **warps)


def _dense(x: Tensor) -> Tensor:
    """`x [T, heads, D]` with its heads one after another; the tokens may lie apart, as in a part of a fused projection."""
    return x if x.stride(2) == 1 and x.stride(1) == x.shape[2] else x.contiguous()
