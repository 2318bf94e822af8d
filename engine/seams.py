"""The engine's seams: one protocol per part that can be replaced without touching the others.

Shapes: T tokens in a step, R requests (rows) in a step, H query heads, K key/value heads, D head size, V vocabulary.
State is passed in, never global. The scheduler never touches the model's tensors; the cache never touches requests.

The step that joins them (``Engine.step``)::

    Scheduler.plan -> Drafter.propose -> Batch -> Model.forward -> Model.logits -> Sampler | Verifier -> Scheduler.done
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from engine.batch import Batch
    from engine.kv import LayerKV, PagedKV
    from engine.noise import Noise
    from engine.request import Request


class CacheKey(NamedTuple):
    """What besides the tokens decides the content of a page. `adapter` identifies loaded weights, not a name."""

    adapter: int | None = None
    salt: str | None = None


@dataclass(frozen=True)
class CacheStats:
    """Counts since the start, in tokens except `evicted` and `pages` (pages). An admission counts once, however often it
    was tried; a preempted request that comes back is one more."""

    queried: int = 0
    hit: int = 0
    evicted: int = 0
    pages: int = 0

    @property
    def hit_rate(self) -> float:
        return self.hit / self.queried if self.queried else 0.0


@dataclass
class Draft:
    """Proposed tokens as a tree in topological order: `parents[i] < i`, and -1 hangs from the request's last token.

    `q[i]` is the law (``[V]``, sums to 1) that token i was drawn from, given that its earlier siblings were drawn and
    removed. `q` is None for a drafter that proposes with certainty (n-gram): the law is then all mass on the token.
    """

    tokens: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    q: Tensor | None = None

    @property
    def is_chain(self) -> bool:
        return all(parent == i - 1 for i, parent in enumerate(self.parents))


class Scheduled(NamedTuple):
    """One row of a plan: compute `n_tokens` of `request` from its `computed` on, `n_draft` more if proposed."""

    request: Request
    n_tokens: int
    n_draft: int = 0


@dataclass
class Plan:
    """What one step does. `copies` are (source page, target page) to copy before the forward pass."""

    rows: list[Scheduled] = field(default_factory=list)
    preempted: list[Request] = field(default_factory=list)
    resumed: list[Request] = field(default_factory=list)
    copies: list[tuple[int, int]] = field(default_factory=list)


class Sampled(NamedTuple):
    """Tokens ``[R]`` int64, and per row the raw log-probabilities asked for (None where nobody asked)."""

    tokens: Tensor
    logprobs: list[dict[int, float] | None]


class Model(Protocol):
    """No scheduling and no sampling inside."""

    def forward(self, batch: Batch, kv: PagedKV) -> Tensor:
        """Hidden states ``[T, hidden]`` after the last norm; writes the keys and values of the batch's tokens."""

    def logits(self, rows: Tensor) -> Tensor:
        """``[n, hidden]`` -> ``[n, V]``."""


class Allocator(Protocol):
    """Pages with reference counts. `alloc` raises OutOfPages and then has changed nothing."""

    def alloc(self, n: int) -> list[int]: ...
    def share(self, pages: Sequence[int]) -> None: ...
    def free(self, pages: Sequence[int]) -> None: ...
    def references(self, page: int) -> int: ...
    @property
    def free_count(self) -> int: ...


class PrefixCache(Protocol):
    """Finds pages that already hold a prefix. It holds one reference on every page that it knows."""

    def match(self, tokens: Sequence[int], key: CacheKey) -> tuple[list[int], int]:
        """Longest cached prefix in whole pages and its token count; the caller owns one new reference on each page."""

    def insert(self, tokens: Sequence[int], pages: Sequence[int], key: CacheKey) -> list[int]:
        """Remember the whole pages of `tokens`. Only tokens whose keys and values are computed may be inserted.

        Answers the pages under which the prefix is known now, in order: the caller's own, or equal ones that were known
        before. Whoever holds such a page must hold those before it too, else they could be evicted from under it: the
        caller adopts the answer (`PageTable.adopt`).
        """

    def uncount(self, queried: int, hit: int) -> None:
        """Take a match out of the statistics: its request could not be admitted, and will ask again."""

    def evict(self, n: int) -> int:
        """Give back up to `n` pages that nobody else holds, least recently used first; answers how many."""

    @property
    def evictable(self) -> int:
        """How many pages `evict` could give back now."""

    def stats(self) -> CacheStats: ...


class Scheduler(Protocol):
    def add(self, request: Request) -> None: ...
    def abort(self, request: Request) -> None: ...
    def plan(self) -> Plan: ...
    def done(self, request: Request) -> None:
        """The request is finished: release all that it holds."""


class Sampler(Protocol):
    def __call__(self, logits: Tensor, requests: Sequence[Request], noise: Noise) -> Sampled:
        """Logits ``[R, V]`` float. Pure but for the state of Mirostat, which is the request's."""


class Drafter(Protocol):
    def propose(self, requests: Sequence[Request], k: Sequence[int]) -> list[Draft]:
        """At most ``k[i]`` tokens (nodes of a tree) for each request, batched."""

    def follow(self, batch: Batch) -> None:
        """See a prefill chunk that the target computes, so that the drafter's own cache keeps step."""


class Verifier(Protocol):
    def __call__(self, draft: Draft, p: Tensor, u: Tensor, noise: Tensor) -> tuple[list[int], int]:
        """Accepted node indices from the root on, and the token that follows them.

        `p`: ``[1 + n, V]`` target laws, row 0 after the request's last token, row 1 + i after node i.
        `u`: ``[n]`` uniform numbers. `noise`: ``[1 + n, V]`` Gumbel numbers for the token drawn after the last
        accepted node (row as in `p`).
        """


class Constraint(Protocol):
    """A language over tokens, at one state. End-of-sequence ids are in the mask exactly where the text may end."""

    def mask(self) -> Tensor:
        """Bool ``[V]`` on the CPU, True = allowed. The caller doesn't change it."""

    def advance(self, token: int) -> None:
        """Take an allowed token; ConstraintError if it isn't. An end-of-sequence id ends the text."""

    def rollback(self, n: int) -> None:
        """Undo the last `n` advances."""

    def forced(self) -> list[int]:
        """Tokens that must come next, in order (may be empty); safe to append without sampling."""

    @property
    def complete(self) -> bool:
        """Nothing but an end-of-sequence id may follow."""


class Attention(Protocol):
    def __call__(self, q: Tensor, kv: LayerKV, batch: Batch, scale: float, window: int | None = None) -> Tensor:
        """``q [T, H, D]`` -> ``[T, H, D]``. Row r's queries are its last ``q_len`` of ``kv_len[r]`` positions.

        Key j is seen from position i when ``j <= i`` and, with a window, ``j > i - window``; inside a tree's part,
        when ``batch.tree`` says so.
        """


class Codec(Protocol):
    """How keys and values are stored. A store is a dict of tensors whose first dimension is the page."""

    name: str

    def store(self, n_pages: int, page_size: int, heads: int, dim: int, dtype: object, device: object) -> dict[str, Tensor]: ...

    def write(self, store: dict[str, Tensor], slots: Tensor, k: Tensor, v: Tensor) -> None:
        """``k, v [T, K, D]`` to slots ``[T]`` (slot = page * page_size + offset)."""

    def read(self, store: dict[str, Tensor], pages: Tensor) -> tuple[Tensor, Tensor]:
        """Pages ``[...]`` -> keys and values ``[..., page_size, K, D]`` in the model's dtype."""

    def bytes_per_token(self, heads: int, dim: int) -> int: ...


class Ops(Protocol):
    """The fusable pieces of a layer. `engine.ops` has them in torch."""

    attention: Attention

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """``x [..., in] @ weight [out, in]^T + bias``."""

    def norm(self, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """RMSNorm over the last dimension, computed in float32."""

    def add_norm(self, x: Tensor, residual: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """``(norm(x + residual), x + residual)``."""

    def silu_mul(self, gate_up: Tensor) -> Tensor:
        """``[T, 2F]`` (gate first, then up) -> ``silu(gate) * up [T, F]``."""

    def rope_write(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        q_weight: Tensor | None,
        k_weight: Tensor | None,
        eps: float,
        cos: Tensor,
        sin: Tensor,
        batch: Batch,
        kv: LayerKV,
    ) -> Tensor:
        """QK-norm (when weights are given), rotation, and the write of k and v to the batch's slots; rotated q.

        ``q [T, H, D]``, ``k, v [T, K, D]``, ``cos, sin [T, D]`` in the half-split ("neox") layout: rotate_half.
        """


class Tokenizer(Protocol):
    """What the engine needs of a tokenizer; `engine.tokenizer` wraps a checkpoint's ``tokenizer.json``."""

    vocab_size: int
    eos_ids: frozenset[int]
    special_ids: frozenset[int]

    def encode(self, text: str, special: bool = True, plain: bool = False) -> list[int]: ...
    def decode(self, ids: Sequence[int], skip_special: bool = True) -> str: ...
    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token adds to the text; empty for special and unused ids."""


class Detokenizer(Protocol):
    """Streaming text of one request. Never gives half a character, nor text that may become a stop string."""

    stopped: str | None
    decoded: int  # characters so far, those that are held back included

    def feed(self, tokens: Sequence[int]) -> str:
        """The new text that is now certain. Sets `stopped` when a stop string is reached."""

    def finish(self) -> str:
        """All that was held back."""
