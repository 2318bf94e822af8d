"""What transformers generates, for comparison."""

from __future__ import annotations

import warnings
from typing import Any

import torch


def greedy(model: Any, prompt: list[int], max_tokens: int, **options: Any) -> list[int]:
    """Greedy continuation (with the end-of-sequence token, as the engine reports it)."""
    options = {"do_sample": False, "num_beams": 1, **options}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = model.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), max_new_tokens=max_tokens,
            pad_token_id=0, **options,
        )  # fmt: skip
    return out[0, len(prompt) :].tolist()
