"""What is asked of every tensor that is read from a file."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from engine.errors import CheckpointError


def check_weights(tensor: Tensor, path: Path, key: str) -> None:
    """CheckpointError, naming file and key, for weights that are integers, or no numbers: with NaN every text ends before it begins, without an error."""
    if not tensor.is_floating_point():
        raise CheckpointError(f"{path}: key {key!r}: dtype {tensor.dtype}; only floating-point weights are supported")
    if not tensor.sum(dtype=torch.float32).isfinite():  # a sum, unlike a mask of the elements, needs no memory
        raise CheckpointError(f"{path}: key {key!r}: holds NaN or infinity")
