"""The pool of pages that holds every request's keys and values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.codec import Plain, Store, bytes_of, codec_for
from engine.config import ModelConfig
from engine.errors import RequestError
from engine.seams import Codec
from engine.transfer import upload


@dataclass
class LayerKV:
    """One layer's part of the pool. `store` is the codec's; ``store["k"]`` is ``[n_pages, page_size, K, D]``."""

    store: Store
    codec: Codec
    page_size: int

    def write(self, slots: Tensor, k: Tensor, v: Tensor) -> None:
        """``k, v [T, K, D]`` into slots ``[T]``."""
        self.codec.write(self.store, slots, k, v)

    def read(self, pages: Tensor) -> tuple[Tensor, Tensor]:
        """Pages ``[...]`` -> k, v ``[..., page_size, K, D]``."""
        return self.codec.read(self.store, pages)


class PagedKV:
    """`n_pages` pages of `page_size` tokens for every layer. It knows pages, never requests.

    Holds no counts: who owns which page is the allocator's business (`engine.pages`).
    """

    def __init__(
        self,
        config: ModelConfig,
        n_pages: int,
        page_size: int = 16,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        codec: str | Codec | None = None,
    ):
        if n_pages < 1 or page_size < 1:
            raise RequestError(f"PagedKV needs at least one page and one slot, not {n_pages} pages of {page_size}")
        self.config, self.n_pages, self.page_size, self.dtype = config, n_pages, page_size, dtype
        self.device = torch.device(device)
        chosen: Codec = codec_for(codec, dtype) if codec is None or isinstance(codec, str) else codec
        self.codec = chosen
        shape = (n_pages, page_size, config.n_kv_heads, config.head_dim)
        self.layers = [LayerKV(chosen.store(*shape, dtype, self.device), chosen, page_size) for _ in range(config.n_layers)]

    @property
    def plain(self) -> bool:
        return isinstance(self.codec, Plain)

    @property
    def bytes_per_page(self) -> int:
        per_token = self.codec.bytes_per_token(self.config.n_kv_heads, self.config.head_dim)
        return per_token * self.page_size * self.config.n_layers

    def layer(self, index: int) -> LayerKV:
        return self.layers[index]

    def copy_pages(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copy whole pages, (source, target) each: the copy of copy-on-write. Sources are read before any write."""
        if not pairs:
            return
        source, target = upload(pairs, torch.int64, self.device).T
        for layer in self.layers:
            for tensor in layer.store.values():
                bytes_of(tensor)[target] = bytes_of(tensor)[source]

    def move_slots(self, source: Sequence[int], target: Sequence[int]) -> None:
        """Move tokens between slots: the accepted path of a draft tree becomes contiguous."""
        if list(source) == list(target):
            return
        at, to = (upload(list(x), torch.int64, self.device) for x in (source, target))
        for layer in self.layers:
            for tensor in layer.store.values():
                flat = bytes_of(tensor).flatten(0, 1)
                flat[to] = flat[at]

    def swap_out(self, pages: Sequence[int]) -> list[Store]:
        """Copies of pages in host memory, one store per layer."""
        index = upload(list(pages), torch.int64, self.device)
        return [{name: bytes_of(x)[index].to("cpu", copy=True) for name, x in layer.store.items()} for layer in self.layers]

    def swap_in(self, saved: Sequence[Store], pages: Sequence[int]) -> None:
        """Write copies made by `swap_out` to (other) pages."""
        index = upload(list(pages), torch.int64, self.device)
        for layer, store in zip(self.layers, saved, strict=True):
            for name, tensor in layer.store.items():
                bytes_of(tensor)[index] = store[name].to(self.device)
