"""What turns logits into the law that is sampled: pure functions on ``[R, V]`` with one parameter per row.

Filters set what they forbid to -inf. Each parameter tensor is ``[R]``; rows for which a filter is off pass through.
The masks equal those of transformers' warpers, ties included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

NEVER = float("-inf")


def repetition(logits: Tensor, row: int, seen: Sequence[int], penalty: float) -> None:
    """Keskar et al. 2019: logits of tokens in `seen` shrink towards unlikely, once however often they occur (in place)."""
    index = torch.tensor(sorted(set(seen)), device=logits.device)
    index = index[index < logits.shape[1]]
    values = logits[row, index]
    logits[row, index] = torch.where(values < 0, values * penalty, values / penalty)


def count_penalties(logits: Tensor, row: int, counts: Mapping[int, int], presence: float, frequency: float) -> None:
    """Subtract `presence` once and `frequency` per occurrence in the output (in place)."""
    if counts:
        index = torch.tensor(list(counts), device=logits.device)
        times = torch.tensor(list(counts.values()), dtype=logits.dtype, device=logits.device)
        logits[row, index] -= presence + frequency * times


def top_k(logits: Tensor, k: Tensor) -> Tensor:
    """Keep the k largest of each row (0 = all) and what ties with the k-th."""
    size = logits.shape[1]
    k = torch.where(k <= 0, size, k).clamp(max=size)
    largest = int(k.max())
    if largest == size and bool((k == size).all()):
        return logits
    bounded = torch.where(k == size, 1, k)
    best = logits.topk(int(bounded.max()), dim=-1).values
    least = best.gather(1, (bounded - 1)[:, None])
    return logits.masked_fill((logits < least) & (k < size)[:, None], NEVER)


def top_p(logits: Tensor, p: Tensor) -> Tensor:
    """Holtzman et al. 2020: drop the tail of tokens whose joint probability is at most 1 - p; the best always stays."""
    values, order = logits.sort(dim=-1)
    drop = values.softmax(-1).cumsum(-1) <= (1 - p)[:, None]
    drop[:, -1] = False
    drop &= (p < 1)[:, None]
    return logits.masked_fill(torch.zeros_like(drop).scatter_(1, order, drop), NEVER)


def min_p(logits: Tensor, p: Tensor) -> Tensor:
    """Nguyen et al. 2024: drop tokens less likely than p times the likeliest."""
    law = logits.softmax(-1)
    return logits.masked_fill((law < p[:, None] * law.amax(-1, keepdim=True)) & (p > 0)[:, None], NEVER)


def typical(logits: Tensor, mass: Tensor) -> Tensor:
    """Meister et al. 2022: keep the tokens whose surprise is nearest to the entropy, up to `mass`."""
    log_law = logits.log_softmax(-1)
    law = log_law.exp()
    entropy = -(law * log_law).nansum(-1, keepdim=True)
    distance, order = (-log_law - entropy).abs().sort(dim=-1)
    cumulative = logits.gather(1, order).softmax(-1).cumsum(-1)
    last = (cumulative < mass[:, None]).sum(-1, keepdim=True).clamp(max=logits.shape[1] - 1)
    drop = (distance > distance.gather(1, last)) & (mass < 1)[:, None]
    return logits.masked_fill(torch.zeros_like(drop).scatter_(1, order, drop), NEVER)


def surprise_limit(logits: Tensor, mu: Tensor) -> Tensor:
    """Mirostat v2 (Basu et al. 2021): drop tokens with a surprise above mu bits; the best always stays. NaN = off."""
    surprise = -logits.log_softmax(-1) / math.log(2)
    drop = (surprise > mu[:, None]) & (logits < logits.amax(-1, keepdim=True))
    return logits.masked_fill(drop, NEVER)


def guide(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (Sanchez et al. 2023) on log-probabilities; `scale` 1 is the conditional law."""
    base = unconditional.log_softmax(-1)
    return base + scale * (conditional.log_softmax(-1) - base)
