"""A model of the pool: sequences that are matched, computed, published, forked, rolled back, swapped and released at random.

The model knows for every slot of every page whose keys and values it holds: the key and all tokens up to that position.
So a page that is found but holds another context, one that is written while somebody else reads it, or one that is
freed while a table names it, shows at once.
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.errors import OutOfPages
from engine.pages import PageAllocator, PageTable, Pool
from engine.prefix import HashPrefixCache
from engine.radix import RadixPrefixCache
from engine.seams import CacheKey

KEYS = st.sampled_from([CacheKey(), CacheKey(), CacheKey(1), CacheKey(None, "1")])
WHO = st.integers(0, 7)  # modulo the number of live sequences
# Prefixes that meet: a run of zeros, and a tail.
TOKENS = st.builds(lambda zeros, tail: [0] * zeros + tail, st.integers(1, 10), st.lists(st.integers(0, 1), max_size=3))
KEYS = st.sampled_from([CacheKey(), CacheKey(), CacheKey(1), CacheKey(None, "1")])
WHO = st.integers(0, 7)  # modulo the number of live sequences
TOKENS = st.one_of(st.lists(st.integers(0, 1), min_size=1, max_size=12), st.integers(1, 12).map(lambda n: [0] * n))  # prefixes meet often


@dataclass(eq=False)
class Sequence:
    tokens: list[int]
    key: CacheKey
    table: PageTable = field(default_factory=PageTable)
    computed: int = 0
    published: int = 0
    saved: list[Any] | None = None  # contents of its pages while it is swapped out
    kin: list[PageTable] = field(default_factory=list)  # tables forked from each other

    def __post_init__(self) -> None:
        self.kin.append(self.table)


class PoolMachine(RuleBasedStateMachine):
    """Subclasses may override `adopt`, to show what happens without it."""

    @initialize(kind=st.sampled_from(["hash", "radix"]), size=st.sampled_from([1, 2, 4]), pages=st.integers(4, 20))
    def start(self, kind: str, size: int, pages: int) -> None:
        self.size = size
        self.allocator = PageAllocator(pages)
        cache = HashPrefixCache if kind == "hash" else RadixPrefixCache
        self.cache = cache(self.allocator, size)
        self.pool = Pool(self.allocator, size, self.cache)
        self.slots: list[list[Any]] = [[None] * size for _ in range(pages)]
        self.alive: list[Sequence] = []
        self.queried = self.hit = 0

    # -- what requests do --------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.alive) < 7)
    @rule(tokens=TOKENS, key=KEYS, go=st.integers(0, 2))
    def admit(self, tokens: list[int], key: CacheKey, go: int) -> None:
        seq = Sequence(list(tokens), key)
        seq.table.pages, hit = self.cache.match(tokens[:-1], key)
        assert hit == len(seq.table.pages) * self.size <= len(tokens) - 1
        self.queried += len(tokens) - 1
        self.hit += hit
        seq.computed = hit
        self.alive.append(seq)
        if go:
            self.compute(len(self.alive) - 1, len(tokens))
        if go > 1:
            self.publish(len(self.alive) - 1)

    @rule(tokens=TOKENS, key=KEYS)
    def look_and_give_up(self, tokens: list[int], key: CacheKey) -> None:
        pages, hit = self.cache.match(tokens, key)
        self.allocator.free(pages[::-1])
        self.cache.uncount(len(tokens), hit)

    @precondition(lambda self: self.alive)
    @rule(who=WHO, count=st.integers(1, 6))
    def compute(self, who: int, count: int) -> None:
        seq = self.alive[who % len(self.alive)]
        end = min(seq.computed + count, len(seq.tokens))
        if seq.saved is None and end > seq.computed and self.reserve(seq, seq.computed, end):
            for position in range(seq.computed, end):
                self.write(seq, position)
            seq.computed = end

    @precondition(lambda self: self.alive)
    @rule(who=WHO, tokens=TOKENS)
    def append(self, who: int, tokens: list[int]) -> None:
        self.alive[who % len(self.alive)].tokens += tokens[-5:]
        self.compute(who, 5)

    @precondition(lambda self: self.alive)
    @rule(who=WHO, drafted=st.integers(1, 5), accepted=st.integers(0, 5))
    def speculate(self, who: int, drafted: int, accepted: int) -> None:
        """Slots past the known tokens are written, some of them kept, the rest rolled back."""
        seq = self.alive[who % len(self.alive)]
        if seq.saved is None and seq.computed == len(seq.tokens) and self.reserve(seq, seq.computed, seq.computed + drafted):
            known = len(seq.tokens) + min(accepted, drafted)
            seq.tokens += [0] * drafted
            for position in range(seq.computed, len(seq.tokens)):
                self.write(seq, position)
            del seq.tokens[known:]
            seq.computed = known
            seq.table.truncate(self.pool, known)

    @precondition(lambda self: self.alive)
    @rule(who=WHO)
    def publish(self, who: int) -> None:
        seq = self.alive[who % len(self.alive)]
        if seq.saved is None and seq.table.pages:
            known = self.cache.insert(seq.tokens[: seq.computed], seq.table.pages, seq.key)
            assert len(known) == seq.computed // self.size
            seq.published = len(known) * self.size
            self.adopt(seq, known)

    def adopt(self, seq: Sequence, known: list[int]) -> None:
        seq.table.adopt(self.pool, known, seq.kin)

    @precondition(lambda self: 0 < len(self.alive) < 7)
    @rule(who=WHO)
    def fork(self, who: int) -> None:
        seq = self.alive[who % len(self.alive)]
        if seq.saved is None:
            self.alive.append(Sequence(list(seq.tokens), seq.key, seq.table.fork(self.pool), seq.computed, seq.published, None, seq.kin))

    @precondition(lambda self: self.alive)
    @rule(who=WHO)
    def swap(self, who: int) -> None:
        seq = self.alive[who % len(self.alive)]
        if seq.saved is None:
            pages = seq.table.pages[: self.pool.pages_for(seq.computed)]
            seq.saved, seq.published = [list(self.slots[page]) for page in pages], 0
            seq.table.release(self.pool)
        elif len(seq.saved) <= self.pool.available:
            seq.table.pages = self.pool.alloc(len(seq.saved))  # what is available can be had
            for page, content in zip(seq.table.pages, seq.saved, strict=True):
                self.slots[page] = list(content)
            seq.saved = None

    @precondition(lambda self: self.alive)
    @rule(who=WHO, publish=st.booleans())
    def end(self, who: int, publish: bool) -> None:
        if publish:
            self.publish(who)
        self.alive.pop(who % len(self.alive)).table.release(self.pool)

    @rule(count=st.integers(0, 5))
    def evict(self, count: int) -> None:
        free, most = self.allocator.free_count, self.cache.evictable
        freed = self.cache.evict(count)
        assert freed == min(count, most) == self.allocator.free_count - free

    # -- what the engine's parts do for them ---------------------------------------------------------------------------

    def reserve(self, seq: Sequence, start: int, end: int) -> bool:
        before = list(seq.table.pages), self.allocator.free_count
        try:
            copies = seq.table.reserve(self.pool, start, end)
        except OutOfPages:
            assert before == (seq.table.pages, self.allocator.free_count)
            assert len(self.shared_or_new(seq, start, end)) > self.pool.available
            return False
        contents = [list(self.slots[source]) for source, _ in copies]
        for (_, target), content in zip(copies, contents, strict=True):
            self.slots[target] = content
        return True

    def shared_or_new(self, seq: Sequence, start: int, end: int) -> list[int]:
        indices = range(start // self.size, self.pool.pages_for(end))
        return [i for i in indices if i >= len(seq.table.pages) or self.allocator.references(seq.table.pages[i]) > 1]

    def write(self, seq: Sequence, position: int) -> None:
        page = seq.table.pages[position // self.size]
        assert self.allocator.references(page) == 1, "written while shared"
        self.slots[page][position % self.size] = self.content(seq, position)

    @staticmethod
    def content(seq: Sequence, position: int) -> Any:
        return seq.key, tuple(seq.tokens[: position + 1])

    # -- what must hold at any time ------------------------------------------------------------------------------------

    @invariant()
    def every_reference_is_accounted_for(self) -> None:
        held = Counter(page for seq in self.alive for page in seq.table.pages)
        extra = [self.allocator.references(page) - held[page] for page in range(self.allocator.n_pages)]
        assert set(extra) <= {0, 1}, "a page lost or won a reference"
        assert sum(extra) == self.cache.stats().pages
        assert self.allocator.free_count == sum(not self.allocator.references(page) for page in range(self.allocator.n_pages))

    @invariant()
    def every_table_holds_its_own_context(self) -> None:
        for seq in self.alive:
            if seq.saved is None:
                for position in range(seq.computed):
                    assert self.slots[seq.table.pages[position // self.size]][position % self.size] == self.content(seq, position)

    @invariant()
    def a_cached_page_is_full(self) -> None:
        held = Counter(page for seq in self.alive for page in seq.table.pages)
        for page in range(self.allocator.n_pages):
            if self.allocator.references(page) > held[page]:
                assert None not in self.slots[page]

    @invariant()
    def what_counts_as_evictable_can_be_evicted(self) -> None:
        allocator, cache = copy.deepcopy((self.allocator, self.cache))
        claimed, busy = cache.evictable, [page for seq in self.alive for page in seq.table.pages]
        assert cache.evict(allocator.n_pages) == claimed, "what counts as evictable is not"
        assert all(allocator.references(page) for page in busy)
        assert cache.stats().pages == len({page for page in busy if allocator.references(page) > busy.count(page)})

    @invariant()
    def what_a_sequence_published_is_found_while_it_lives(self) -> None:
        cache = copy.deepcopy(self.cache)
        for seq in self.alive:
            assert cache.match(seq.tokens[: seq.published], seq.key)[1] == seq.published

    @invariant()
    def statistics_are_true(self) -> None:
        stats = self.cache.stats()
        assert (stats.queried, stats.hit) == (self.queried, self.hit)
        assert stats.hit_rate == (self.hit / self.queried if self.queried else 0.0)

    @precondition(lambda self: not self.alive)
    @invariant()
    def at_rest_everything_is_available(self) -> None:
        assert self.pool.available == self.allocator.n_pages

    def teardown(self) -> None:
        for seq in getattr(self, "alive", []):
            seq.table.release(self.pool)
        if hasattr(self, "pool"):
            self.cache.evict(self.allocator.n_pages)
            assert self.allocator.free_count == self.allocator.n_pages
