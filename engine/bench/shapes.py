"""Shapes to measure with: a `config.json` each, no weights."""

from __future__ import annotations

from typing import Any

import torch

from engine.checkpoint import DTYPES, Checkpoint
from engine.config import ModelConfig
from engine.errors import RequestError
from engine.model import Transformer
from engine.weights import random_weights

_QWEN3 = {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "rms_norm_eps": 1e-6, "rope_theta": 1_000_000.0, "hidden_act": "silu",
          "attention_bias": False, "eos_token_id": 1, "bos_token_id": 0}  # fmt: skip
SHAPES: dict[str, dict[str, Any]] = {
    "small": {**_QWEN3, "vocab_size": 8192, "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 6, "num_attention_heads": 8,
              "num_key_value_heads": 4, "head_dim": 32, "max_position_embeddings": 2048, "tie_word_embeddings": True},
    "tiny": {**_QWEN3, "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 1024, "tie_word_embeddings": True},
    "qwen3-0.6b": {**_QWEN3, "vocab_size": 151_936, "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
                   "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 40_960, "tie_word_embeddings": True},
    "llama-3.1-8b": {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "rms_norm_eps": 1e-5, "rope_theta": 500_000.0, "hidden_act": "silu",
                     "attention_bias": False, "vocab_size": 128_256, "hidden_size": 4096, "intermediate_size": 14_336, "num_hidden_layers": 32,
                     "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 131_072,
                     "tie_word_embeddings": False, "eos_token_id": 128_001, "bos_token_id": 128_000},
}  # fmt: skip


def build(shape: str, dtype: str, device: str, seed: int = 0) -> Checkpoint:
    """A model of a shape with random weights, and no tokenizer."""
    if dtype not in DTYPES:
        raise RequestError(f"dtype {dtype!r} is unknown; there are {', '.join(DTYPES)}")
    config = ModelConfig.from_dict(SHAPES[shape], shape)
    return Checkpoint(config, Transformer(config, random_weights(config, DTYPES[dtype], device, seed)), None)


def weight_bytes(checkpoint: Checkpoint) -> int:
    """Bytes that a decode pass reads: all matrices, the head once, of the embedding a row."""
    weights = checkpoint.model.weights
    parts = [weights.head, *(t for layer in weights.layers for t in vars(layer).values() if isinstance(t, torch.Tensor))]
    return sum(t.numel() * t.element_size() for t in parts)
