"""Low-rank adapters (Hu et al. 2021), several in one batch.

y = x W^T + scale * (x A^T) B^T, with A and B those of the row's adapter. An adapter's parts of a fused matrix are fused
too: their A are stacked and their B form a block diagonal, so each module costs two thin products per adapter present.
"""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.batch import Batch
from engine.checks import check_weights
from engine.config import ModelConfig
from engine.errors import CheckpointError

_numbers = itertools.count(1)  # identities only: never reused, so a reload under an old name can't hit old pages


class Pair(NamedTuple):
    a: Tensor  # [rank, in]
    b: Tensor  # [out, rank], scale included


@dataclass
class Adapter:
    """Loaded adapter weights. `uid` is new for every load and keys the prefix cache; `name` is only for people."""

    name: str
    modules: dict[tuple[int, str], Pair]  # (layer, fused module)
    uid: int = field(default_factory=lambda: next(_numbers))


def add_lora(y: Tensor, x: Tensor, batch: Batch, layer: int, module: str) -> Tensor:
    """Add each row's adapter term to ``y [T, out]`` (in place) for inputs ``x [T, in]``."""
    for adapter, index in _segments(batch):
        pair = adapter.modules.get((layer, module))
        if pair is not None:
            y[index] += (x[index] @ pair.a.T) @ pair.b.T
    return y


def _segments(batch: Batch) -> list[tuple[Adapter, Tensor]]:
    """The adapters present and the token indices of their rows; derived once per batch."""
    if "lora" not in batch.scratch:
        starts = batch.q_start.tolist()
        tokens: dict[int, list[int]] = {}
        present: dict[int, Adapter] = {}
        for row, adapter in enumerate(batch.adapters or ()):
            if adapter is not None:
                present[adapter.uid] = adapter
                tokens.setdefault(adapter.uid, []).extend(range(starts[row], starts[row + 1]))
        device = batch.tokens.device
        batch.scratch["lora"] = [(present[uid], torch.tensor(at, device=device)) for uid, at in tokens.items()]
    segments: list[tuple[Adapter, Tensor]] = batch.scratch["lora"]
    return segments


# fused module -> (name in the checkpoint, its parts)
_FUSED = {
    "qkv": ("self_attn", ("q_proj", "k_proj", "v_proj")),
    "out": ("self_attn", ("o_proj",)),
    "gate_up": ("mlp", ("gate_proj", "up_proj")),
    "down": ("mlp", ("down_proj",)),
}


def load_adapter(
    folder: str | Path, config: ModelConfig, dtype: torch.dtype, device: torch.device | str, name: str | None = None
) -> Adapter:
    """Read ``adapter_config.json`` and ``adapter_model.safetensors`` (the PEFT layout)."""
    folder = Path(folder)
    settings_path, path = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    try:
        settings = json.loads(settings_path.read_text(encoding="utf-8"))
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: not a readable adapter: {error}") from None
    if not isinstance(settings, dict):
        raise CheckpointError(f"{settings_path}: must hold a JSON object")
    for key in ("use_dora", "alpha_pattern", "rank_pattern", "modules_to_save", "fan_in_fan_out"):
        if settings.get(key):
            raise CheckpointError(f"{settings_path}: key {key!r}: not supported")
    rank = settings.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise CheckpointError(f"{settings_path}: key 'r': {'missing' if rank is None else f'must be a positive integer, not {rank!r}'}")
    alpha = settings.get("lora_alpha", rank)
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not math.isfinite(alpha):
        raise CheckpointError(f"{settings_path}: key 'lora_alpha': must be a number, not {alpha!r}")
    for key, tensor in tensors.items():
        check_weights(tensor, path, key)
    scale = alpha / (math.sqrt(rank) if settings.get("use_rslora") else rank)
    modules: dict[tuple[int, str], Pair] = {}
    used: set[str] = set()
    for layer in range(config.n_layers):
        for fused, (block, parts) in _FUSED.items():
            pair = _fuse(tensors, path, layer, block, parts, _shapes(config, fused, rank), scale, used)
            if pair is not None:
                modules[layer, fused] = Pair(pair.a.to(device, dtype), pair.b.to(device, dtype))
    left = sorted(set(tensors) - used)
    if left:
        raise CheckpointError(f"{path}: key {left[0]!r}: no such module to adapt")
    return Adapter(name or folder.name, modules)


Shape = tuple[int, int]


def _shapes(config: ModelConfig, fused: str, rank: int) -> list[tuple[Shape, Shape]]:
    """Of A and B, for each part of a fused module."""
    q, kv = config.n_heads * config.head_dim, config.n_kv_heads * config.head_dim
    hidden, inner = config.hidden_size, config.intermediate_size
    outs = {"qkv": (q, kv, kv), "out": (hidden,), "gate_up": (inner, inner), "down": (hidden,)}[fused]
    into = {"qkv": hidden, "out": q, "gate_up": hidden, "down": inner}[fused]
    return [((rank, into), (out, rank)) for out in outs]


def _fuse(
    tensors: dict[str, Tensor], path: Path, layer: int, block: str, parts: tuple[str, ...], shapes: list[tuple[Shape, Shape]],
    scale: float, used: set[str],
) -> Pair | None:  # fmt: skip
    stacked, blocks = [], []
    for part, wanted in zip(parts, shapes, strict=True):
        stem = f"base_model.model.model.layers.{layer}.{block}.{part}"
        a, b = tensors.get(f"{stem}.lora_A.weight"), tensors.get(f"{stem}.lora_B.weight")
        if a is None and b is None:
            blocks.append(torch.zeros(wanted[1][0], 0))
            continue
        if a is None or b is None:
            raise CheckpointError(f"{path}: key '{stem}': has only one of lora_A and lora_B")
        if (tuple(a.shape), tuple(b.shape)) != wanted:
            raise CheckpointError(f"{path}: key '{stem}': lora_A {tuple(a.shape)} and lora_B {tuple(b.shape)}, but model and r want {wanted[0]}, {wanted[1]}")
        used |= {f"{stem}.lora_A.weight", f"{stem}.lora_B.weight"}
        stacked.append(a.float())
        blocks.append(b.float() * scale)
    if not stacked:
        return None
    return Pair(torch.cat(stacked), torch.block_diag(*blocks))  # type: ignore[no-untyped-call]
