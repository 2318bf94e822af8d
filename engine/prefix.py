"""A prefix cache by hash chain: the n-th whole page is known by its tokens and the digest of all pages before it.

The chain starts from what else decides the content (adapter and salt, see `CacheKey`). Entries keep their parent and
tokens and are compared on every hit, so a hash collision costs a miss and never a wrong context. Pages are entered when
their keys and values are computed, not when they are allocated.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.pages import PageAllocator
from engine.seams import CacheKey, CacheStats

Hash = Callable[[bytes], bytes]


def blake(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def root_of(key: CacheKey) -> bytes:
    """The start of a chain. Every part is tagged and its length fixed or told, so no two keys spell the same bytes."""
    salt = b"-" if key.salt is None else b"+" + key.salt.encode("utf-8", "surrogatepass")
    return f"adapter={key.adapter};salt:{len(salt)}=".encode() + salt


@dataclass(frozen=True)
class Entry:
    page: int
    parent: bytes
    tokens: tuple[int, ...]


class HashPrefixCache:
    """See `engine.seams.PrefixCache`."""

    def __init__(self, allocator: PageAllocator, page_size: int, digest: Hash = blake):
        self.allocator, self.page_size, self.digest = allocator, page_size, digest
        self._entries: dict[bytes, Entry] = {}
        self._names: dict[int, bytes] = {}  # page -> digest
        self._idle: OrderedDict[int, None] = OrderedDict()  # pages that only the cache holds, oldest first
        self._queried = self._hit = self._evicted = 0
        allocator.watcher = self

    @property
    def evictable(self) -> int:
        return len(self._idle)

    def match(self, tokens: Sequence[int], key: CacheKey) -> tuple[list[int], int]:
        pages: list[int] = []
        parent = root_of(key)
        for part in self._parts(tokens):
            name = self._name(parent, part)
            entry = self._entries.get(name)
            if entry is None or entry.tokens != part or entry.parent != parent:
                break
            pages.append(entry.page)
            parent = name
        self.allocator.share(pages)
        hit = len(pages) * self.page_size
        self._queried += len(tokens)
        self._hit += hit
        return pages, hit

    def uncount(self, queried: int, hit: int) -> None:
        self._queried -= queried
        self._hit -= hit

    def insert(self, tokens: Sequence[int], pages: Sequence[int], key: CacheKey) -> list[int]:
        known: list[int] = []
        parent = root_of(key)
        for part, page in zip(self._parts(tokens), pages, strict=False):
            name = self._name(parent, part)
            entry = self._entries.get(name)
            if entry is None and page not in self._names:
                entry = self._entries[name] = Entry(page, parent, part)
                self._names[page] = name
                self.allocator.hold(page)
            elif entry is None or entry.tokens != part or entry.parent != parent:
                break  # a page has one name and a name one page: the first stays, and what follows can't be reached
            known.append(entry.page)
            parent = name
        return known

    def evict(self, n: int) -> int:
        freed = 0
        while freed < n and self._idle:
            page, _ = self._idle.popitem(last=False)
            del self._entries[self._names.pop(page)]
            self.allocator.free([page])
            freed += 1
        self._evicted += freed
        return freed

    def stats(self) -> CacheStats:
        return CacheStats(self._queried, self._hit, self._evicted, len(self._entries))

    def idle(self, page: int) -> None:
        self._idle[page] = None

    def busy(self, page: int) -> None:
        del self._idle[page]

    def _parts(self, tokens: Sequence[int]) -> list[tuple[int, ...]]:
        size = self.page_size
        return [tuple(tokens[i : i + size]) for i in range(0, len(tokens) - size + 1, size)]

    def _name(self, parent: bytes, part: tuple[int, ...]) -> bytes:
        return self.digest(parent + array("q", part).tobytes())
