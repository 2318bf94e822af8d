"""A matrix product whose rows don't depend on how many there are.

Vendor libraries choose tiles, and with them the order of additions, by the shape of the whole product, so a token's
numbers change with its batchmates. Here every element is summed over the inner dimension in steps of `BLOCK_K`, in
order, in tiles of one shape, with no split of the inner dimension (He et al. 2025).
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.kernels.jit import INTERPRETED, dot, tl, triton

BLOCK_M, BLOCK_N, BLOCK_K = 64, 64, 64


@triton.jit
def _linear(
    x, w, bias, y, rows, columns, inner,
    BIAS: tl.constexpr, INTERPRETED: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    m = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    n = tl.program_id(1).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    acc = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for start in range(0, inner, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        a = tl.load(x + m[:, None] * inner + k[None, :], mask=(m[:, None] < rows) & (k[None, :] < inner), other=0.0)
        b = tl.load(w + n[:, None] * inner + k[None, :], mask=(n[:, None] < columns) & (k[None, :] < inner), other=0.0)
        acc += dot(a, tl.trans(b), INTERPRETED)
    if BIAS:
        acc += tl.load(bias + n, mask=n < columns, other=0.0).to(tl.float32)[None, :]
    tl.store(y + m[:, None] * columns + n[None, :], acc.to(y.dtype.element_ty), mask=(m[:, None] < rows) & (n[None, :] < columns))


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x [..., K] @ weight [N, K]^T + bias``, summed in float32."""
    flat, weight = x.reshape(-1, x.shape[-1]).contiguous(), weight.contiguous()
    rows, inner = flat.shape
    columns = weight.shape[0]
    y = torch.empty(rows, columns, dtype=x.dtype, device=x.device)
    if rows:
        _linear[(triton.cdiv(rows, BLOCK_M), triton.cdiv(columns, BLOCK_N))](
            flat, weight, bias, y, rows, columns, inner, BIAS=bias is not None, INTERPRETED=INTERPRETED, BLOCK_M=BLOCK_M, BLOCK_N=BLOCK_N, BLOCK_K=BLOCK_K
        )
    return y.view(*x.shape[:-1], columns)
