"""Paged attention in one Triton kernel for prefill chunks, decode and draft trees.

One program answers a block of one row's queries for one key/value head over one split of the context: the G query heads
that share the head are extra rows of the block, so keys and values are read once for all of them. Softmax is computed
online (Milakov and Gimelshein 2018; Dao et al. 2022, algorithm 1). Splits are cut at fixed positions of the context,
every `SPLIT` tokens, never by how busy the GPU is, and merged in order (Flash-Decoding, Dao et al. 2023): what a row
gets is a function of the row alone, whatever its batchmates are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.batch import Batch
from engine.errors import RequestError
from engine.kernels.jit import INTERPRETED, dot, tl, triton
from engine.kv import LayerKV
from engine.transfer import upload

SPLIT = 512  # tokens of context that one program reads
BLOCK_N = 64  # keys of one step of its loop; divides SPLIT
NARROW, WIDE = 16, 64  # rows of a block (queries x G) for short rows and for long ones: a matrix unit takes at least 16


@triton.jit
def _block(work, q_start, kv_len, item):
    """A program's block of queries: (its row, its first query in the row, the row's first token, queries and context)."""
    row = tl.load(work + 2 * item)
    start = tl.load(q_start + row)
    return row, tl.load(work + 2 * item + 1), start, tl.load(q_start + row + 1) - start, tl.load(kv_len + row)


@triton.jit
def _attend(
    q, k, v, k_scale, v_scale, out, partial, lse, pages, q_start, kv_len, positions, work, tree, tree_at, scale, q_stride, width,
    H: tl.constexpr, K: tl.constexpr, D: tl.constexpr, PAGE: tl.constexpr, SPLIT: tl.constexpr, SPLITS: tl.constexpr,
    BLOCK_Q: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_D: tl.constexpr,
    WINDOW: tl.constexpr, TREE: tl.constexpr, SCALED: tl.constexpr, INTERPRETED: tl.constexpr,
):  # fmt: skip
    item, head, split = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row, first, start, length, context = _block(work, q_start, kv_len, item)
    before = context - length  # tokens whose keys were stored by earlier steps
    G: tl.constexpr = H // K
    m = tl.arange(0, BLOCK_M)
    query = first + m // G
    live = (m < BLOCK_Q * G) & (query < length)
    token = start + tl.where(live, query, 0)
    q_head = head * G + m % G
    low = split * SPLIT
    high = tl.minimum(low + SPLIT, tl.minimum(context, before + first + BLOCK_Q))  # later keys are in nobody's past
    if low < high:
        d = tl.arange(0, BLOCK_D)
        x = tl.load(q + token[:, None] * q_stride + q_head[:, None] * D + d[None, :], mask=live[:, None] & (d[None, :] < D), other=0.0)
        at = tl.load(positions + token)
        top = tl.full([BLOCK_M], float("-inf"), tl.float32)
        total = tl.zeros([BLOCK_M], tl.float32)
        acc = tl.zeros([BLOCK_M, BLOCK_D], tl.float32)
        if TREE:
            own_tree = tl.load(tree_at + row)
            trunk = tl.where(own_tree >= 0, before, context)  # where the row's tree begins, if it has one
        begin = low
        if WINDOW > 0:  # whole steps before the window of the block's earliest query are skipped
            earliest = before if TREE else before + first
            begin = tl.maximum(low, (earliest - WINDOW + 1) // BLOCK_N * BLOCK_N)
        for n in range(begin, high, BLOCK_N):
            j = n + tl.arange(0, BLOCK_N)
            stored = j < high
            page = tl.load(pages + row * width + j // PAGE, mask=stored, other=0)
            slot = (page * PAGE + j % PAGE) * K + head
            inside = stored[:, None] & (d[None, :] < D)
            keys = tl.load(k + slot[:, None] * D + d[None, :], mask=inside, other=0.0)
            values = tl.load(v + slot[:, None] * D + d[None, :], mask=inside, other=0.0)
            if SCALED:
                keys = (keys.to(tl.float32) * tl.load(k_scale + slot, mask=stored, other=0.0)[:, None]).to(x.dtype)
                values = (values.to(tl.float32) * tl.load(v_scale + slot, mask=stored, other=0.0)[:, None]).to(x.dtype)
            s = dot(x, tl.trans(keys), INTERPRETED) * scale
            seen = j[None, :] <= (before + query)[:, None]
            position = j
            if TREE:
                branch = (j >= trunk) & stored
                cell = own_tree + query[:, None] * length + (j - before)[None, :]
                seen = tl.where(branch[None, :], tl.load(tree + cell, mask=live[:, None] & branch[None, :], other=0) != 0, seen)
                position = tl.where(branch, tl.load(positions + start + j - before, mask=branch, other=0), j)
            if WINDOW > 0:
                seen = seen & (position[None, :] > (at - WINDOW)[:, None])
            s = tl.where(seen & stored[None, :] & live[:, None], s, float("-inf"))
            higher = tl.maximum(top, tl.max(s, 1))
            safe = tl.where(higher == float("-inf"), 0.0, higher)  # a query that has seen nothing yet
            p = tl.exp(s - safe[:, None])
            fade = tl.exp(top - safe)
            total = total * fade + tl.sum(p, 1)
            acc = acc * fade[:, None] + dot(p.to(values.dtype), values, INTERPRETED)
            top = higher
        acc = acc / tl.where(total > 0, total, 1.0)[:, None]
        if SPLITS == 1:
            to = out + (token * H + q_head)[:, None] * D + d[None, :]
            tl.store(to, acc.to(out.dtype.element_ty), mask=live[:, None] & (d[None, :] < D))
        else:
            cell = (token * H + q_head) * SPLITS + split
            tl.store(partial + cell[:, None] * D + d[None, :], acc, mask=live[:, None] & (d[None, :] < D))
            tl.store(lse + cell, top + tl.log(tl.where(total > 0, total, 1.0)), mask=live)


@triton.jit
def _merge(
    partial, lse, out, q_start, kv_len, work,
    H: tl.constexpr, D: tl.constexpr, SPLIT: tl.constexpr, SPLITS: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Join a query's splits in order, weighted by their log-sum-exp. Only the splits that `_attend` wrote are read."""
    item, head, within = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    _, first, start, length, context = _block(work, q_start, kv_len, item)
    high = tl.minimum(context, context - length + first + BLOCK_Q)
    if first + within < length:
        d = tl.arange(0, BLOCK_D)
        cell = (start + first + within) * H + head
        top = float("-inf")
        total = 0.0
        acc = tl.zeros([BLOCK_D], tl.float32)
        for split in range(tl.cdiv(high, SPLIT)):
            weight = tl.load(lse + cell * SPLITS + split)
            higher = tl.maximum(top, weight)
            safe = tl.where(higher == float("-inf"), 0.0, higher)
            part = tl.load(partial + (cell * SPLITS + split) * D + d, mask=d < D, other=0.0)
            fade, share = tl.exp(top - safe), tl.exp(weight - safe)
            acc = acc * fade + part * share
            total = total * fade + share
            top = higher
        tl.store(out + cell * D + d, (acc / tl.where(total > 0, total, 1.0)).to(out.dtype.element_ty), mask=d < D)


@dataclass
class Launch:
    """What a batch's launches need besides its tensors; made once per batch, for all layers. Under a CUDA graph the
    numbers are constants of the graph (`engine.graphs` keys them), the tensors are read anew at each replay."""

    narrow: Tensor | None  # int64 [blocks, 2]: (row, its first query) of each program
    wide: Tensor | None
    splits: int
    tree: Tensor | None  # uint8, the rows' [q, q] masks one after another
    tree_at: Tensor | None  # int64 [R]: where a row's mask begins; -1 = a chain


def splits_of(longest: int) -> int:
    """Splits that a context of `longest` tokens is cut into, rounded up to a power of two to have few variants."""
    return 1 << (-(-longest // SPLIT) - 1).bit_length() if longest > SPLIT else 1


def launch_of(batch: Batch, shared: int, uniform: bool) -> Launch:
    """Cut each row's queries into blocks. `uniform`: one shape of block for all rows, so that not even a row's chunk
    lengths, which depend on its batchmates, choose the arithmetic."""
    q_lens, kv_lens = batch.lengths()
    device = batch.tokens.device
    blocks: dict[bool, list[list[int]]] = {False: [], True: []}
    for row, length in enumerate(q_lens):
        wide = not uniform and length * shared > NARROW
        step = block_of(shared, wide)[0]
        blocks[wide] += [[row, first] for first in range(0, length, step)]
    narrow, wide_ = (upload(blocks[kind], torch.int64, device) if blocks[kind] else None for kind in (False, True))
    tree = tree_at = None
    if batch.tree is not None:
        starts, at, parts = [], 0, list[Tensor]()
        for mask in batch.tree:
            starts.append(-1 if mask is None else at)
            if mask is not None:
                parts.append(mask.reshape(-1))
                at += mask.numel()
        tree, tree_at = torch.cat(parts).to(torch.uint8), upload(starts, torch.int64, device)
    return Launch(narrow, wide_, splits_of(max(kv_lens)), tree, tree_at)


def block_of(shared: int, wide: bool) -> tuple[int, int]:
    """(queries, rows) of a block when `shared` query heads share a key/value head; rows are a power of two."""
    rows = max(WIDE if wide else NARROW, triton.next_power_of_2(shared))
    return max(1, rows // shared), rows


class TritonAttention:
    """See `engine.seams.Attention`. Float32, bfloat16 or float16 queries; keys and values plain, int8 or fp8."""

    def __init__(self, batch_invariant: bool = False):
        self.uniform = batch_invariant

    def __call__(self, q: Tensor, kv: LayerKV, batch: Batch, scale: float, window: int | None = None) -> Tensor:
        tokens, heads, dim = q.shape
        kv_heads = kv.store["k"].shape[2]
        if heads % kv_heads:
            raise RequestError(f"{heads} query heads can't share {kv_heads} key/value heads evenly")
        shared = heads // kv_heads
        if "launch" not in batch.scratch:
            batch.scratch["launch"] = launch_of(batch, shared, self.uniform)
        plan: Launch = batch.scratch["launch"]
        out = torch.empty(tokens, heads, dim, dtype=q.dtype, device=q.device)
        partial = lse = out  # not touched when there is one split
        if plan.splits > 1:
            partial = torch.empty(tokens, heads, plan.splits, dim, dtype=torch.float32, device=q.device)
            lse = torch.empty(tokens, heads, plan.splits, dtype=torch.float32, device=q.device)
        if q.stride(2) != 1 or q.stride(1) != dim:
            q = q.contiguous()
        store, block_d = kv.store, max(16, triton.next_power_of_2(dim))
        scaled = "k_scale" in store
        for work, wide in ((plan.narrow, False), (plan.wide, True)):
            if work is None:
                continue
            queries, rows = block_of(shared, wide)
            options: dict[str, Any] = {"num_warps": 4, "num_stages": 3}
            _attend[(len(work), kv_heads, plan.splits)](
                q, store["k"], store["v"], store.get("k_scale"), store.get("v_scale"), out, partial, lse, batch.pages, batch.q_start, batch.kv_len,
                batch.positions, work, plan.tree, plan.tree_at, scale, q.stride(0), batch.pages.stride(0),
                H=heads, K=kv_heads, D=dim, PAGE=kv.page_size, SPLIT=SPLIT, SPLITS=plan.splits, BLOCK_Q=queries, BLOCK_M=rows, BLOCK_N=BLOCK_N,
                BLOCK_D=block_d, WINDOW=window or 0, TREE=plan.tree is not None, SCALED=scaled, INTERPRETED=INTERPRETED, **options,
            )  # fmt: skip
            if plan.splits > 1:
                _merge[(len(work), heads, queries)](
                    partial, lse, out, batch.q_start, batch.kv_len, work,
                    H=heads, D=dim, SPLIT=SPLIT, SPLITS=plan.splits, BLOCK_Q=queries, BLOCK_D=block_d,
                )  # fmt: skip
        return out
