"""CUDA graphs for decode: the launches of a whole forward pass are recorded once and replayed as one.

A batch-1 pass over 28 layers is some 250 launches; launched one by one they cost more time than the arithmetic. A graph
replays fixed kernels on fixed addresses with fixed launch constants, so a batch is copied into the graph's own tensors
and everything that shapes a launch is in the graph's key: the number of rows (a bucket, the rest is padding), the tokens
of each row, and the number of context splits. Padding rows read and write one page that belongs to nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from engine.batch import Batch
from engine.errors import RequestError
from engine.kv import PagedKV
from engine.model import Transformer
from engine.seams import Model, Ops

LARGEST = 512  # tokens of a pass; above it the arithmetic hides the launches


class Capture(Protocol):
    def __call__(self, run: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        """Record what `run` launches: the tensor that it writes, and what launches it all again."""


class CudaCapture:
    """Graphs of one memory pool: they never run at the same time."""

    def __init__(self) -> None:
        self.pool: Any = None

    def __call__(self, run: Callable[[], Tensor]) -> tuple[Tensor, Callable[[], None]]:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # compiles kernels and makes workspaces, which a recording must not
            run()
            run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool):
            out = run()
        self.pool = graph.pool()
        return out, graph.replay


def ops_of(kernels: str, batch_invariant: bool) -> tuple[Ops | None, Callable[[Tensor, Tensor, Tensor], Tensor] | None]:
    """The layer's pieces and the one-pass sampler of a set of kernels; None for torch's own."""
    if kernels not in ("torch", "triton"):
        raise RequestError(f"kernels {kernels!r} are unknown; there are torch and triton")
    if kernels == "torch":
        if batch_invariant:
            raise RequestError("batch_invariant needs kernels='triton': torch's matrix products depend on how many rows there are")
        return None, None
    from engine import kernels as triton_kernels  # Triton is optional

    return triton_kernels.TritonOps(batch_invariant), triton_kernels.gumbel_max


def capture_of(graphs: bool | Capture | None, kernels: str, on_gpu: bool) -> Capture | None:
    """How passes are recorded; None for not at all. Only Triton's attention reads all that it needs from the device."""
    if graphs is None:
        graphs = on_gpu and kernels == "triton"
    if graphs is False:
        return None
    if kernels != "triton":
        raise RequestError("graphs need kernels='triton': torch's attention derives its masks on the host")
    if graphs is True and not on_gpu:
        raise RequestError("CUDA graphs need a GPU")
    return CudaCapture() if graphs is True else graphs


def graphed(model: Transformer, kv: PagedKV, width: int, capture: Capture | None) -> Model:
    """`model` behind graphs when `capture` says how; `width` is the most pages of a row, the last page of `kv` the padding's."""
    if capture is None:
        return model
    from engine.kernels.attention import SPLIT, splits_of

    return GraphModel(model, kv, kv.n_pages - 1, width, splits_of, SPLIT, capture)


class Key(NamedTuple):
    rows: int  # a bucket
    tokens: int  # of each row
    splits: int  # of the longest context


@dataclass
class Graph:
    batch: Batch  # what the recorded launches read
    hidden: Tensor  # what they write
    replay: Callable[[], None]


def bucket(rows: int) -> int:
    """1, 2, 4, 8, then multiples of 16."""
    return 1 << (rows - 1).bit_length() if rows <= 8 else -(-rows // 16) * 16


class GraphModel:
    """See `engine.seams.Model`: passes whose rows all have the same few tokens are replayed, others run as they are.

    `page` is the padding rows' page in `kv`, `width` the most pages of a row, `splits_of` what attention makes of a context
    length (`engine.kernels.attention.splits_of`), `split` the tokens of one. Draft trees and adapters are not recorded.
    """

    def __init__(self, model: Model, kv: PagedKV, page: int, width: int, splits_of: Callable[[int], int], split: int, capture: Capture):
        self.model, self.kv, self.page, self.width = model, kv, page, width
        self.splits_of, self.split, self.capture = splits_of, split, capture
        self.graphs: dict[Key, Graph] = {}
        self.replays = 0

    def logits(self, rows: Tensor) -> Tensor:
        return self.model.logits(rows)

    @torch.inference_mode()
    def forward(self, batch: Batch, kv: PagedKV) -> Tensor:
        """As `Transformer.forward`. The answer is the graph's own memory: good until the next pass."""
        key = self.key(batch, kv)
        if key is None:
            return self.model.forward(batch, kv)
        if key not in self.graphs:
            self.graphs[key] = self._record(key)
        graph = self.graphs[key]
        self._load(graph.batch, batch, key)
        graph.replay()
        self.replays += 1
        return graph.hidden[: len(batch.tokens)]

    def key(self, batch: Batch, kv: PagedKV) -> Key | None:
        """The graph that a batch needs; None when no graph can compute it."""
        q_lens, kv_lens = batch.lengths()
        rows, tokens = bucket(len(q_lens)), q_lens[0]
        if kv is not self.kv or batch.tree is not None or batch.adapters is not None or batch.pages.shape[1] > self.width:
            return None
        if rows * tokens > LARGEST or any(length != tokens for length in q_lens):
            return None
        return Key(rows, tokens, self.splits_of(max(kv_lens)))

    def _record(self, key: Key) -> Graph:
        rows, tokens, splits = key
        device = self.kv.device

        def full(shape: tuple[int, ...], value: int) -> Tensor:
            return torch.full(shape, value, dtype=torch.int64, device=device)

        count = rows * tokens
        batch = Batch(
            tokens=full((count,), 0),
            positions=full((count,), 0),
            q_start=torch.arange(rows + 1, device=device) * tokens,
            kv_len=full((rows,), tokens),
            pages=full((rows, self.width), self.page),
            slots=full((count,), self.page * self.kv.page_size),
            scratch={"lengths": ([tokens] * rows, [splits * self.split if splits > 1 else tokens] * rows)},
        )
        return Graph(batch, *self.capture(lambda: self.model.forward(batch, self.kv)))

    def _load(self, own: Batch, batch: Batch, key: Key) -> None:
        """Copy a batch in; rows that it doesn't fill become padding: one-token contexts in a page of their own."""
        rows, count = len(batch.kv_len), len(batch.tokens)
        own.tokens[:count], own.positions[:count], own.slots[:count] = batch.tokens, batch.positions, batch.slots
        own.kv_len[:rows], own.pages[:rows, : batch.pages.shape[1]] = batch.kv_len, batch.pages
        if rows < key.rows:
            own.tokens[count:] = own.positions[count:] = 0
            own.slots[count:] = self.page * self.kv.page_size
            own.kv_len[rows:], own.pages[rows:] = key.tokens, self.page
