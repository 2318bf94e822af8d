"""Rotary position embedding and its context extensions.

Su et al. 2021 (RoFormer); linear interpolation: Chen et al. 2023; llama3: the frequency ramp of Llama 3.1's release;
YaRN: Peng et al. 2023, "NTK-by-parts" (section 3.2) with its attention temperature (section 3.4).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.config import RopeConfig


def inverse_frequencies(rope: RopeConfig, dim: int) -> tuple[Tensor, float]:
    """Inverse frequencies ``[dim / 2]`` float32 (radians per position), and the factor on cos and sin."""
    exponent = torch.arange(0, dim, 2, dtype=torch.float32) / dim
    plain = 1.0 / rope.theta**exponent
    if rope.kind == "linear":
        return plain / rope.factor, 1.0
    if rope.kind == "llama3":
        return _llama3(rope, plain), 1.0
    if rope.kind == "yarn":
        return _yarn(rope, plain, dim), _yarn_temperature(rope)
    return plain, 1.0


def _llama3(rope: RopeConfig, plain: Tensor) -> Tensor:
    """Long waves are slowed by `factor`, short ones kept, those between blended."""
    turns = rope.original_max_position * plain / (2 * math.pi)  # of each pair within the trained context
    keep = ((turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)).clamp(0, 1)
    return (1 - keep) * plain / rope.factor + keep * plain


def _yarn(rope: RopeConfig, plain: Tensor, dim: int) -> Tensor:
    def pair_turning(turns: float) -> float:
        """The (fractional) pair index that makes `turns` turns within the trained context."""
        return dim * math.log(rope.original_max_position / (turns * 2 * math.pi)) / (2 * math.log(rope.theta))

    low, high = pair_turning(rope.beta_fast), pair_turning(rope.beta_slow)
    if rope.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    if low == high:
        high += 0.001
    slowed = ((torch.arange(dim // 2, dtype=torch.float32) - low) / (high - low)).clamp(0, 1)
    return plain / rope.factor * slowed + plain * (1 - slowed)


def _yarn_temperature(rope: RopeConfig) -> float:
    if rope.attention_factor is not None:
        return float(rope.attention_factor)

    def scale(m: float) -> float:
        return 0.1 * m * math.log(rope.factor) + 1.0 if rope.factor > 1 else 1.0

    if rope.mscale and rope.mscale_all_dim:
        return scale(rope.mscale) / scale(rope.mscale_all_dim)
    return scale(1.0)


class RopeTable:
    """cos and sin for every position, computed in float32 and kept in the model's dtype: ``[positions, dim]`` each."""

    def __init__(self, rope: RopeConfig, dim: int, positions: int, dtype: torch.dtype, device: torch.device | str):
        inverse, factor = inverse_frequencies(rope, dim)
        angles = torch.outer(torch.arange(positions, dtype=torch.float32), inverse)
        angles = torch.cat((angles, angles), dim=-1)
        self.cos = (angles.cos() * factor).to(device, dtype)
        self.sin = (angles.sin() * factor).to(device, dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """``x [T, heads, D]``, ``cos, sin [T, D]`` -> rotated x; pairs are (i, i + D/2)."""
    half = x.shape[-1] // 2
    turned = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
    return x * cos[:, None] + turned * sin[:, None]
