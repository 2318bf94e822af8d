"""Randomness as an input: every number is a function of (seed, position, stream, lane) and of nothing else.

A request's tokens therefore don't depend on its batchmates, on scheduling, or on how often a step was repeated after a
preemption. One exception: drafts that are accepted by rejection. Which numbers decide over a token then depends on how
far the text was drafted, and that on its company; the text's law stays what it is (`engine.verify`).

The generator is counter-based: the 64-bit key of (seed, position, stream) comes from SplitMix64 (Steele et al. 2014), and
the lane (a vocabulary id) is mixed in by two rounds of a 32-bit finalizer. The same 32-bit integer arithmetic runs on any
device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.transfer import upload

SAMPLE, DRAFT, ACCEPT, RESIDUAL = range(4)  # streams
M32 = 0xFFFFFFFF
M64 = 0xFFFFFFFFFFFFFFFF


def splitmix(x: int) -> int:
    x = (x + 0x9E3779B97F4A7C15) & M64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & M64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & M64
    return x ^ (x >> 31)


def key_of(seed: int, position: int, stream: int = SAMPLE, node: int = 0) -> int:
    """The 64-bit key of one draw. `node` tells apart the nodes of a draft tree at one position."""
    return splitmix(splitmix(splitmix(seed & M64) ^ position) ^ (node << 8 | stream))


def _mix(x: Tensor) -> Tensor:
    """A 32-bit finalizer (xor-shift-multiply) on int64 that hold 32-bit values; only the low 32 bits of products count."""
    x = x ^ (x >> 16)
    x = (x * 0x21F0AAAD) & M32
    x = x ^ (x >> 15)
    x = (x * 0x735A2D97) & M32
    return x ^ (x >> 15)


def bits(keys: Tensor, lanes: Tensor) -> Tensor:
    """Keys ``[R]`` int64 (as two's complement), lanes ``[V]`` int64 -> ``[R, V]`` 32-bit numbers in int64."""
    low, high = keys & M32, (keys >> 32) & M32
    return _mix((_mix(lanes[None, :] ^ low[:, None]) + high[:, None]) & M32)


def gumbel(keys: Tensor, vocab: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard Gumbel numbers ``[R, vocab]``: the arg-max of logits + Gumbel is a sample of the softmax.

    -log(E) with E exponential. E comes from v in (0, 1) as -log1p(-v): the small E that decide the arg-max then keep
    full relative precision, and v never reaches 0 or 1, so nothing is infinite.
    """
    v = (bits(keys, torch.arange(vocab, device=keys.device)).to(dtype) + 0.5) * 2.0**-32
    return -torch.log(-torch.log1p(-v.clamp_(max=1 - 2.0**-24)))


@dataclass(frozen=True)
class Noise:
    """The noise of a step's rows: one key per row."""

    keys: Tensor  # int64 [R]

    @classmethod
    def of(cls, keys: Sequence[int], device: torch.device | str = "cpu") -> Noise:
        signed = [key - (1 << 64) if key >> 63 else key for key in keys]
        return cls(upload(signed, torch.int64, device))

    def gumbel(self, vocab: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return gumbel(self.keys, vocab, dtype)

    def uniform(self) -> Tensor:
        """``[R]`` float64 in (0, 1)."""
        return ((bits(self.keys, torch.zeros(1, dtype=torch.int64, device=self.keys.device))[:, 0].double()) + 0.5) * 2.0**-32
