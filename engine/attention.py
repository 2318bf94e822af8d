"""Paged attention in plain torch: gather the pages, then one masked softmax.

Rows with the same number of queries are computed together: their pages are gathered into one padded block and masked.
What depends only on the batch (row groups, page tables, masks) is derived in the first layer and kept in
``batch.scratch``. The G query heads that share a key/value head become extra queries, so nothing is repeated in memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.batch import Batch
from engine.kv import LayerKV

PADDING = 2.0  # rows share a block while the longest context is at most so many times the shortest


@dataclass
class Group:
    """N rows of L queries each against S padded keys."""

    index: Tensor | None  # [N * L] token indices; None = all tokens in order
    table: Tensor  # [N, P] pages
    mask: Tensor  # [N, 1, L or 1, S] additive
    rows: int
    queries: int


class TorchAttention:
    """See `engine.seams.Attention`."""

    def __call__(self, q: Tensor, kv: LayerKV, batch: Batch, scale: float, window: int | None = None) -> Tensor:
        key = ("attention", window)
        if key not in batch.scratch:
            batch.scratch[key] = _groups(batch, kv.page_size, window, q.dtype)
        groups: list[Group] = batch.scratch[key]
        if len(groups) == 1 and groups[0].index is None:
            return _attend(q, kv, groups[0], scale)
        out = torch.empty_like(q)
        for group in groups:
            out[group.index] = _attend(q[group.index], kv, group, scale)
        return out


def _attend(q: Tensor, kv: LayerKV, group: Group, scale: float) -> Tensor:
    n, length = group.rows, group.queries
    k, v = kv.read(group.table)  # [N, P, page, K, D]
    k, v = k.flatten(1, 2).transpose(1, 2), v.flatten(1, 2).transpose(1, 2)  # [N, K, S, D]
    kv_heads, dim = k.shape[1], k.shape[3]
    shared = q.shape[1] // kv_heads
    q = q.view(n, length, kv_heads, shared, dim).permute(0, 2, 3, 1, 4).reshape(n, kv_heads, shared * length, dim)
    mask = group.mask if length == 1 else group.mask.repeat(1, 1, shared, 1)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    out = out.view(n, kv_heads, shared, length, dim).permute(0, 3, 1, 2, 4)
    return out.reshape(n * length, kv_heads * shared, dim)


def _groups(batch: Batch, page_size: int, window: int | None, dtype: torch.dtype) -> list[Group]:
    q_lens, kv_lens = batch.lengths()
    order = sorted(range(len(q_lens)), key=lambda r: (q_lens[r], kv_lens[r], r))
    blocks: list[list[int]] = []
    for row in order:
        first = blocks[-1][0] if blocks else row
        # Small contexts always share: a call costs more than the padding.
        if blocks and q_lens[first] == q_lens[row] and kv_lens[row] <= max(PADDING * kv_lens[first], 256):
            blocks[-1].append(row)
        else:
            blocks.append([row])
    starts = [0]
    for length in q_lens:
        starts.append(starts[-1] + length)
    groups = []
    for rows in blocks:
        rows = sorted(rows)
        length = q_lens[rows[0]]
        longest = max(kv_lens[r] for r in rows)
        width = -(-longest // page_size)
        whole = len(rows) == len(q_lens)
        table = batch.pages[:, :width] if whole else batch.pages[torch.tensor(rows, device=batch.pages.device), :width]
        index = None
        if not whole:
            index = torch.tensor([i for r in rows for i in range(starts[r], starts[r] + length)], device=batch.pages.device)
        mask = _mask(batch, rows, length, width * page_size, window)
        additive = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, float("-inf"))
        groups.append(Group(index, table, additive[:, None], len(rows), length))
    return groups


def _mask(batch: Batch, rows: list[int], length: int, width: int, window: int | None) -> Tensor:
    """Bool ``[N, L, S]``: which stored positions each query sees."""
    device = batch.kv_len.device
    own = torch.tensor(rows, device=device)
    start = batch.kv_len[own] - length  # [N] tokens before the row's own
    key = torch.arange(width, device=device)
    query = start[:, None] + torch.arange(length, device=device)  # [N, L] slots, which are positions but in trees
    mask = key[None, None, :] <= query[:, :, None]
    if window is not None:
        mask = mask & (key[None, None, :] > query[:, :, None] - window)
    if batch.tree is None:
        return mask
    for n, row in enumerate(rows):
        tree = batch.tree[row]
        if tree is not None:
            before = int(start[n])
            at = batch.positions[int(batch.q_start[row]) : int(batch.q_start[row]) + length]
            seen = key[None, :] < before
            if window is not None:
                seen = seen & (key[None, :] > at[:, None] - window)
                tree = tree & (at[None, :] > at[:, None] - window)
            mask[n] = seen
            mask[n, :, before : before + length] = tree
    return mask
