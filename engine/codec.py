"""How keys and values are stored: as they are, as int8, or as fp8, with one scale per token and head.

A scale per token and head (not per tensor) keeps outlier channels of one token from coarsening the others, and lets a
page be written token by token without ever rescaling what it holds.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.errors import RequestError

Store = dict[str, Tensor]


class Plain:
    """Keys and values in the model's dtype."""

    name = "plain"

    def __init__(self, dtype: torch.dtype = torch.float32):
        self.dtype = dtype

    def store(self, n_pages: int, page_size: int, heads: int, dim: int, dtype: Any, device: Any) -> Store:
        shape = (n_pages, page_size, heads, dim)
        return {name: torch.zeros(shape, dtype=dtype, device=device) for name in ("k", "v")}

    def write(self, store: Store, slots: Tensor, k: Tensor, v: Tensor) -> None:
        for name, x in (("k", k), ("v", v)):
            store[name].flatten(0, 1).index_copy_(0, slots, x.to(store[name].dtype))

    def read(self, store: Store, pages: Tensor) -> tuple[Tensor, Tensor]:
        flat = pages.reshape(-1)
        k, v = (store[name].index_select(0, flat).view(*pages.shape, *store[name].shape[1:]) for name in ("k", "v"))
        return k, v

    def bytes_per_token(self, heads: int, dim: int) -> int:
        return 2 * heads * dim * self.dtype.itemsize


class Quantized:
    """Symmetric 8-bit storage: value = code * scale, scale = max |x| of the token's head / largest code (float32)."""

    def __init__(self, name: str, code: torch.dtype, largest: float, dtype: torch.dtype = torch.float32):
        self.name, self.code, self.largest, self.dtype = name, code, largest, dtype

    def store(self, n_pages: int, page_size: int, heads: int, dim: int, dtype: Any, device: Any) -> Store:
        store = {}
        for name in ("k", "v"):
            store[name] = torch.zeros((n_pages, page_size, heads, dim), dtype=self.code, device=device)
            store[f"{name}_scale"] = torch.zeros((n_pages, page_size, heads), dtype=torch.float32, device=device)
        return store

    def write(self, store: Store, slots: Tensor, k: Tensor, v: Tensor) -> None:
        for name, x in (("k", k), ("v", v)):
            x = x.float()
            scale = x.abs().amax(-1) / self.largest
            code = x / scale.clamp_min(torch.finfo(torch.float32).tiny)[..., None]  # zeros stay zeros
            if not self.code.is_floating_point:
                code = code.round()
            code = code.clamp(-self.largest, self.largest)
            store[f"{name}_scale"].flatten(0, 1)[slots] = scale
            bytes_of(store[name]).flatten(0, 1)[slots] = bytes_of(code.to(self.code))

    def read(self, store: Store, pages: Tensor) -> tuple[Tensor, Tensor]:
        k, v = (
            (bytes_of(store[name])[pages].view(self.code).float() * store[f"{name}_scale"][pages][..., None]).to(self.dtype)
            for name in ("k", "v")
        )
        return k, v

    def bytes_per_token(self, heads: int, dim: int) -> int:
        return 2 * heads * (dim + 4)


def codec_for(name: str | None, dtype: torch.dtype) -> Plain | Quantized:
    """None or "plain", "int8", "fp8" (e4m3)."""
    if name in (None, "plain"):
        return Plain(dtype)
    if name == "int8":
        return Quantized("int8", torch.int8, 127.0, dtype)
    if name == "fp8":
        return Quantized("fp8", torch.float8_e4m3fn, 448.0, dtype)
    raise RequestError(f"KV codec {name!r} is unknown; there are plain, int8 and fp8")


def bytes_of(tensor: Tensor) -> Tensor:
    """An fp8 tensor seen as bytes, any other as it is: not every indexing kernel knows fp8."""
    return tensor.view(torch.uint8) if tensor.dtype == torch.float8_e4m3fn else tensor
