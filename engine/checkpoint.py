"""A checkpoint folder becomes a model and its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from engine.config import ModelConfig
from engine.errors import CheckpointError
from engine.model import Transformer
from engine.seams import Ops
from engine.tokenizer import CheckpointTokenizer
from engine.weights import load_weights

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SHIPPED = Path(__file__).parent / "checkpoints"


@dataclass
class Checkpoint:
    config: ModelConfig
    model: Transformer
    tokenizer: CheckpointTokenizer | None


def checkpoint_path(name: str) -> Path:
    """The folder of a checkpoint that ships with the engine: "target", or "draft" (distilled from it)."""
    path = SHIPPED / name
    if not (path / "config.json").is_file():
        known = sorted(p.parent.name for p in SHIPPED.glob("*/config.json"))
        raise CheckpointError(f"no shipped checkpoint {name!r}; there are {', '.join(known) or 'none'}")
    return path


def load_checkpoint(path: str | Path, dtype: str = "float32", device: str = "cpu", ops: Ops | None = None) -> Checkpoint:
    """Load ``config.json``, ``*.safetensors`` and, when there, ``tokenizer.json`` from a folder.

    `dtype` is float32, bfloat16 or float16. CheckpointError names the file and the key that is missing, broken or
    not supported.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder")
    if dtype not in DTYPES:
        raise CheckpointError(f"dtype {dtype!r} is unknown; there are {', '.join(DTYPES)}")
    config = ModelConfig.load(folder)
    weights = load_weights(folder, config, DTYPES[dtype], device)
    tokenizer = CheckpointTokenizer.load(folder, config.eos_ids, config.vocab_size)
    return Checkpoint(config, Transformer(config, weights, ops), tokenizer)
