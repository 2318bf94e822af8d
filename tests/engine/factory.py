"""Small random checkpoints of every supported family, written to disk as the real ones are."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SMALL: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "initializer_range": 0.25,  # far from uniform, so that a wrong attention shows in the logits
    "tie_word_embeddings": False,
}
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
YARN = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 128}

# name -> (transformers config class, model class, changes to SMALL)
FAMILIES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM, {"head_dim": 8}),
    "llama3-rope": (LlamaConfig, LlamaForCausalLM, {"head_dim": 8, "rope_parameters": LLAMA3}),
    "llama-yarn": (LlamaConfig, LlamaForCausalLM, {"head_dim": 16, "rope_parameters": YARN}),
    "llama-bias": (LlamaConfig, LlamaForCausalLM, {"head_dim": 8, "attention_bias": True, "mlp_bias": True}),
    "llama-tied": (LlamaConfig, LlamaForCausalLM, {"head_dim": 8, "tie_word_embeddings": True}),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
    "qwen2-window": (
        Qwen2Config, Qwen2ForCausalLM,
        {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1},
    ),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 16, "num_key_value_heads": 1}),
    "qwen3-tied": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 16, "tie_word_embeddings": True}),
    "mistral": (MistralConfig, MistralForCausalLM, {"head_dim": 8, "sliding_window": None}),
    "mistral-window": (MistralConfig, MistralForCausalLM, {"head_dim": 8, "sliding_window": 9}),
}  # fmt: skip


def make(family: str, seed: int = 0, **changes: Any) -> Any:
    """A random transformers model in float32. Biases and norms are random too: zeros and ones would hide mistakes."""
    config_class, model_class, own = FAMILIES[family]
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = model_class(config_class(**{**SMALL, **own, **changes})).eval().float()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.3)
    return model


def write(model: Any, folder: Path, shard: str = "5GB") -> Path:
    """Save a checkpoint; a small `shard` size gives several safetensors files and an index."""
    model.save_pretrained(folder, max_shard_size=shard)
    return folder


def checkpoint(folder: Path, family: str = "llama", seed: int = 0, **changes: Any) -> tuple[Path, Any]:
    """Write a random checkpoint to ``folder/family``; its path and the transformers model (the oracle)."""
    model = make(family, seed, **changes)
    return write(model, folder / family), model
