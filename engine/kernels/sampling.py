"""Gumbel-max sampling in one pass over the logits: temperature, noise and arg-max without a copy of the vocabulary.

The noise is that of `engine.noise`, bit for bit up to the logarithms: the same key, lane and 32-bit mixing, so a seed
gives the same tokens on either path (but where two candidates lie within a rounding error of each other).
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.kernels.jit import tl, triton

BLOCK, STEPS = 1024, 8  # lanes of one step; steps of one program


@triton.jit
def _mix(x):
    x = x ^ (x >> 16)
    x = x * 0x21F0AAAD
    x = x ^ (x >> 15)
    x = x * 0x735A2D97
    return x ^ (x >> 15)


@triton.jit
def _log1p_of_minus(v):
    """log(1 - v) with full relative precision for small v (Kahan; Higham 2002, section 1.14.1)."""
    u = 1.0 - v
    return tl.where(u == 1.0, -v, tl.log(u) * tl.div_rn(v, tl.where(u == 1.0, 1.0, 1.0 - u)))


@triton.jit
def _gumbel_max(logits, keys, heat, best, where, vocab, stride, parts, BLOCK: tl.constexpr, STEPS: tl.constexpr):
    row, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    key = tl.load(keys + row)
    low, high = (key & 0xFFFFFFFF).to(tl.uint32), ((key >> 32) & 0xFFFFFFFF).to(tl.uint32)
    t = tl.load(heat + row)
    top = float("-inf")
    at = tl.zeros([], tl.int64)
    for step in range(STEPS):
        lane = (part * STEPS + step) * BLOCK + tl.arange(0, BLOCK)
        inside = lane < vocab
        x = tl.load(logits + row * stride + lane, mask=inside, other=float("-inf")).to(tl.float32)
        if t > 0:
            bits = _mix(_mix(lane.to(tl.uint32) ^ low) + high)
            v = tl.minimum((bits.to(tl.float32) + 0.5) * 2.0**-32, 1.0 - 2.0**-24)
            x = tl.div_rn(x, t) - tl.log(-_log1p_of_minus(v))
            x = tl.where(inside, x, float("-inf"))
        value, index = tl.max(x, 0, return_indices=True, return_indices_tie_break_left=True)
        at = tl.where(value > top, ((part * STEPS + step) * BLOCK + index).to(tl.int64), at)
        top = tl.maximum(top, value)
    tl.store(best + row * parts + part, top)
    tl.store(where + row * parts + part, at)


def gumbel_max(logits: Tensor, keys: Tensor, temperature: Tensor) -> Tensor:
    """Tokens ``[R]`` int64 drawn from softmax(logits / temperature); the best one where the temperature is 0.

    `logits` ``[R, V]`` float32, bfloat16 or float16; `keys` ``[R]`` int64 of `engine.noise.Noise`; `temperature` ``[R]`` float32.
    """
    rows, vocab = logits.shape
    if logits.stride(1) != 1:
        logits = logits.contiguous()
    parts = triton.cdiv(vocab, BLOCK * STEPS)
    best = torch.empty(rows, parts, dtype=torch.float32, device=logits.device)
    where = torch.empty(rows, parts, dtype=torch.int64, device=logits.device)
    _gumbel_max[(rows, parts)](logits, keys, temperature, best, where, vocab, logits.stride(0), parts, BLOCK=BLOCK, STEPS=STEPS, num_warps=4)
    return where.gather(1, best.argmax(1, keepdim=True))[:, 0]
