"""What one forward pass computes: the ragged tokens of several requests, and where their keys and values lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.errors import RequestError
from engine.transfer import upload


class Row(NamedTuple):
    """One request's part of a batch: `tokens` follow the `start` tokens whose keys and values `pages` already hold."""

    tokens: Sequence[int]
    start: int
    pages: Sequence[int]
    parents: Sequence[int] | None = None  # a draft tree hangs from the tokens' end: see Batch.build
    adapter: Any = None  # engine.lora.Adapter


@dataclass
class Batch:
    """T tokens of R requests, flat.

    `tokens`, `positions`, `slots`: ``[T]`` int64; slot = page * page_size + offset, where the token's K and V go.
    `q_start`: ``[R + 1]`` int64, row r owns tokens ``q_start[r]:q_start[r + 1]``.
    `kv_len`: ``[R]`` int64, context of row r including its own tokens.
    `pages`: ``[R, P]`` int64, page tables padded with 0.
    `tree`: None, or per row None or a bool ``[q, q]``: which of the row's own tokens each of them sees.
    """

    tokens: Tensor
    positions: Tensor
    q_start: Tensor
    kv_len: Tensor
    pages: Tensor
    slots: Tensor
    tree: list[Tensor | None] | None = None
    adapters: list[Any] | None = None  # per row, engine.lora.Adapter or None
    scratch: dict[Any, Any] = field(default_factory=dict, repr=False)  # what attention derives once for all layers

    def __post_init__(self) -> None:
        rows = self.kv_len.shape[0]
        if self.q_start.shape[0] != rows + 1 or self.pages.shape[0] != rows:
            raise RequestError(f"batch of {rows} rows has q_start {tuple(self.q_start.shape)}, pages {tuple(self.pages.shape)}")
        if not len(self.tokens) == len(self.positions) == len(self.slots):
            raise RequestError("batch: tokens, positions and slots differ in length")

    @property
    def rows(self) -> int:
        return int(self.kv_len.shape[0])

    def lengths(self) -> tuple[list[int], list[int]]:
        """Query lengths and context lengths as Python numbers, fetched once."""
        if "lengths" not in self.scratch:
            starts = self.q_start.tolist()
            self.scratch["lengths"] = ([b - a for a, b in pairwise(starts)], self.kv_len.tolist())
        lengths: tuple[list[int], list[int]] = self.scratch["lengths"]
        return lengths

    def last_rows(self) -> Tensor:
        """Index of each row's last token: the rows of the hidden states that give next-token logits."""
        return self.q_start[1:] - 1

    @classmethod
    def build(cls, rows: Sequence[Row], page_size: int, device: torch.device | str = "cpu") -> Batch:
        """Lay out rows. With `parents`, the row's last ``len(parents)`` tokens are tree nodes: node i hangs from node
        ``parents[i]``, or from the token before the tree when that is -1; its position is its depth's, while its slot
        is simply the next one."""
        tokens: list[int] = []
        positions: list[int] = []
        slots: list[int] = []
        q_start, kv_len = [0], []
        trees: list[Tensor | None] = []
        width = max((len(row.pages) for row in rows), default=1) or 1
        for row in rows:
            count, end = len(row.tokens), row.start + len(row.tokens)
            if not count:
                raise RequestError("batch: a row needs at least one token")
            if end > len(row.pages) * page_size:
                raise RequestError(f"batch: {end} tokens don't fit in {len(row.pages)} pages of {page_size}")
            tokens.extend(row.tokens)
            slots.extend([row.pages[i // page_size] * page_size + i % page_size for i in range(row.start, end)])
            if row.parents is None:
                positions.extend(range(row.start, end))
                trees.append(None)
            else:
                own, mask = tree_layout(row.parents, count)
                positions.extend([row.start + depth for depth in own])
                trees.append(mask.to(device))
            q_start.append(q_start[-1] + count)
            kv_len.append(end)
        table = [list(row.pages) + [0] * (width - len(row.pages)) for row in rows]
        adapters = [row.adapter for row in rows]

        ids = _together([tokens, positions, q_start, kv_len, [page for line in table for page in line], slots], device)
        batch = cls(
            tokens=ids[0],
            positions=ids[1],
            q_start=ids[2],
            kv_len=ids[3],
            pages=ids[4].view(len(rows), width),
            slots=ids[5],
            tree=trees if any(tree is not None for tree in trees) else None,
            adapters=adapters if any(adapter is not None for adapter in adapters) else None,
        )
        batch.scratch["lengths"] = ([b - a for a, b in pairwise(q_start)], kv_len)
        return batch


def _together(parts: Sequence[list[int]], device: torch.device | str) -> list[Tensor]:
    """Lists of ids as int64 tensors, all in one transfer. Each begins on 16 bytes, as compiled kernels may expect."""
    flat: list[int] = []
    for part in parts:
        flat += part
        flat += [0] * (len(part) % 2)
    whole, at, views = upload(flat, torch.int64, device), 0, []
    for part in parts:
        views.append(whole[at : at + len(part)])
        at += len(part) + len(part) % 2
    return views


def tree_layout(parents: Sequence[int], count: int) -> tuple[list[int], Tensor]:
    """Offsets (positions relative to the row's start) and the bool ``[count, count]`` ancestor mask of a row whose last
    ``len(parents)`` tokens form a tree."""
    before = count - len(parents)
    offsets = list(range(before))
    mask = torch.zeros(count, count, dtype=torch.bool)
    mask[:before, :before] = torch.ones(before, before, dtype=torch.bool).tril()
    for node, parent in enumerate(parents):
        if not -1 <= parent < node:
            raise RequestError(f"tree: node {node} hangs from {parent}; parents come before their children")
        above = before + parent  # -1 is the token before the tree
        if above >= 0:
            mask[before + node] = mask[above]
        mask[before + node, before + node] = True
        offsets.append(offsets[above] + 1 if above >= 0 else 0)
    return offsets, mask
