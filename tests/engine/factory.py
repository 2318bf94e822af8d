"""Small random checkpoints of every supported family, written to disk as the real ones are."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
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


def write_adapter(folder: Path, model: Any, seed: int, rank: int = 3, alpha: float = 6.0, only: str = "") -> Path:
    """Save a random LoRA adapter for every projection (whose name contains `only`) in the PEFT layout."""
    dice = torch.Generator().manual_seed(seed + 100)
    tensors = {}
    for name, module in model.named_modules():
        if name.endswith("_proj") and only in name:
            stem = f"base_model.model.{name}"
            tensors[f"{stem}.lora_A.weight"] = torch.randn(rank, module.in_features, generator=dice) * 0.2
            tensors[f"{stem}.lora_B.weight"] = torch.randn(module.out_features, rank, generator=dice) * 0.2
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank, "lora_alpha": alpha, "peft_type": "LORA"}))
    return folder


def merged(model: Any, folder: Path) -> Any:
    """A copy of a transformers model with an adapter's weights added to its own."""
    settings = json.loads((folder / "adapter_config.json").read_text())
    tensors = load_file(folder / "adapter_model.safetensors")
    twin = copy.deepcopy(model)
    for name, module in twin.named_modules():
        stem = f"base_model.model.{name}"
        if f"{stem}.lora_A.weight" in tensors:
            scale = settings["lora_alpha"] / settings["r"]
            with torch.no_grad():
                module.weight += scale * tensors[f"{stem}.lora_B.weight"] @ tensors[f"{stem}.lora_A.weight"]
    return twin
