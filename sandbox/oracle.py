"""What the right answers are, computed by the judge alone: one request at a time, on a cache of its own, never metered."""

import random
from collections.abc import Sequence
from typing import Any

import torch

from engine import Batch, PagedKV
from engine.batch import Row
from sandbox.meter import shipped

BLOCK = 16
MARGIN = 2e-3  # logits closer than this could swap places in another batch shape, in float32


class Solo:
    """One sequence on a model by itself."""

    def __init__(self, model: Any, length: int) -> None:
        pages = -(-length // BLOCK)
        self._model, self._kv, self._pages = model, PagedKV(model.config, pages, BLOCK), list(range(pages))
        self._held = 0

    def feed(self, tokens: Sequence[int]) -> torch.Tensor:
        """Logits `[len(tokens), vocab]`, float32."""
        batch = Batch.build([Row(list(tokens), self._held, self._pages)], BLOCK)
        hidden = self._model.forward(batch, self._kv)
        self._held += len(tokens)
        logits: torch.Tensor = self._model.logits(hidden).float()
        return logits


def greedy(prompt: Sequence[int], count: int, stop: Sequence[int] = (), model: str = "target") -> tuple[list[int], float]:
    """The greedy continuation, up to and including the first stop token, and the smallest gap between best and second."""
    solo = Solo(shipped(model), len(prompt) + count)
    logits = solo.feed(prompt)[-1]
    made: list[int] = []
    margin = float("inf")
    while True:
        top = logits.topk(2)
        margin = min(margin, float(top.values[0] - top.values[1]))
        made.append(int(top.indices[0]))
        if len(made) == count or made[-1] in stop:
            return made, margin
        logits = solo.feed(made[-1:])[-1]


def prompt(rng: random.Random, length: int, count: int, model: str = "target") -> tuple[list[int], list[int]]:
    """A random prompt, and its greedy continuation of `count` tokens, which no rounding can change."""
    vocabulary = int(shipped(model).config.vocab_size)
    for _ in range(50):
        tokens = [rng.randrange(vocabulary) for _ in range(length)]
        made, margin = greedy(tokens, count, model=model)
        if margin > MARGIN:
            return tokens, made
    raise RuntimeError("no prompt with a clear greedy continuation was found")


def law(prompt: Sequence[int], temperature: float, model: str = "target") -> torch.Tensor:
    """The distribution `[vocab]` of the next token in float64."""
    solo = Solo(shipped(model), len(prompt))
    return torch.softmax(solo.feed(prompt)[-1].double() / temperature, dim=-1)
