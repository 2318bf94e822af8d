"""Pages: who owns them, and the tables that map a request's positions to them.

A page may be written only while it has one owner. Forks share pages; the first write to a shared page copies it
(copy-on-write), and whole pages that are never written again stay shared for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from engine.errors import OutOfPages, PageError
from engine.seams import PrefixCache


class Watcher(Protocol):
    """Hears when a page that the cache holds has no other owner (idle), and when it has one again (busy)."""

    def idle(self, page: int) -> None: ...
    def busy(self, page: int) -> None: ...


class PageAllocator:
    """Reference counts over `n_pages` pages; every operation is O(1) per page. See `engine.seams.Allocator`."""

    def __init__(self, n_pages: int):
        self.n_pages = n_pages
        self._free = list(range(n_pages - 1, -1, -1))
        self._count = [0] * n_pages
        self._held: set[int] = set()
        self.watcher: Watcher | None = None

    @property
    def free_count(self) -> int:
        return len(self._free)

    def references(self, page: int) -> int:
        return self._count[page]

    def alloc(self, n: int) -> list[int]:
        """`n` pages with one reference each; OutOfPages (and no change) when fewer are free."""
        if n > len(self._free):
            raise OutOfPages(f"{n} pages wanted, {len(self._free)} of {self.n_pages} are free")
        pages = [self._free.pop() for _ in range(n)]
        for page in pages:
            self._count[page] = 1
        return pages

    def share(self, pages: Sequence[int]) -> None:
        """One more reference on each page; PageError (and no change) when one of them is free."""
        for page in pages:
            if not self._count[page]:
                raise PageError(f"page {page} is free; it can't be shared")
        for page in pages:
            self._count[page] += 1
            if self._count[page] == 2 and page in self._held and self.watcher:
                self.watcher.busy(page)

    def free(self, pages: Sequence[int]) -> None:
        """One reference less on each page, in order; PageError when one of them is free already."""
        for page in pages:
            if not self._count[page]:
                raise PageError(f"page {page} is freed twice")
            self._count[page] -= 1
            if not self._count[page]:
                self._held.discard(page)
                self._free.append(page)
            elif self._count[page] == 1 and page in self._held and self.watcher:
                self.watcher.idle(page)

    def hold(self, page: int) -> None:
        """The cache's own reference: `watcher` hears when it becomes the only one."""
        self.share([page])
        self._held.add(page)


class Pool:
    """An allocator and the prefix cache that fills its idle part: allocation evicts cached pages when it must."""

    def __init__(self, allocator: PageAllocator, page_size: int, cache: PrefixCache | None = None):
        self.allocator, self.page_size, self.cache = allocator, page_size, cache

    @property
    def available(self) -> int:
        return self.allocator.free_count + (self.cache.evictable if self.cache else 0)

    def pages_for(self, tokens: int) -> int:
        return -(-tokens // self.page_size)

    def alloc(self, n: int) -> list[int]:
        short = n - self.allocator.free_count
        if short > 0 and self.cache and short <= self.cache.evictable:
            self.cache.evict(short)
        return self.allocator.alloc(n)


class PageTable:
    """The pages of one sequence, in order of position. Owns one reference on each."""

    __slots__ = ("pages",)

    def __init__(self, pages: Sequence[int] = ()):
        self.pages = list(pages)

    def reserve(self, pool: Pool, start: int, end: int) -> list[tuple[int, int]]:
        """Make positions ``start:end`` writable: append pages and replace shared ones.

        Answers the (source, target) pages to copy before the write. OutOfPages leaves everything as it was.
        """
        size, references = pool.page_size, pool.allocator.references
        more = pool.pages_for(end) - len(self.pages)
        last = min(len(self.pages), pool.pages_for(end))
        shared = [i for i in range(start // size, last) if references(self.pages[i]) > 1]
        if more <= 0 and not shared:
            return []
        fresh = pool.alloc(max(more, 0) + len(shared))
        copies = []
        for index in shared:
            page = fresh.pop()
            if index * size < start:  # only then does it hold something of ours
                copies.append((self.pages[index], page))
            pool.allocator.free([self.pages[index]])
            self.pages[index] = page
        self.pages += fresh
        return copies

    def fork(self, pool: Pool) -> PageTable:
        """A table of the same pages, shared."""
        pool.allocator.share(self.pages)
        return PageTable(self.pages)

    def adopt(self, pool: Pool, pages: Sequence[int], kin: Iterable[PageTable] = ()) -> None:
        """Hold `pages`, equal in content, in place of the first of our own, and give the duplicates back. So do our forks
        (`kin`): who shares a page of ours must go on to share those before it."""
        changes = [(index, own, page) for index, (own, page) in enumerate(zip(self.pages, pages, strict=False)) if own != page]
        for table in {id(table): table for table in (self, *kin)}.values() if changes else ():
            for index, own, page in changes:
                if index < len(table.pages) and table.pages[index] == own:
                    pool.allocator.share([page])
                    pool.allocator.free([own])
                    table.pages[index] = page

    def truncate(self, pool: Pool, tokens: int) -> None:
        """Give back the pages past the first `tokens` positions."""
        keep = pool.pages_for(tokens)
        if keep < len(self.pages):
            pool.allocator.free(self.pages[: keep - 1 if keep else None : -1])
            del self.pages[keep:]

    def release(self, pool: Pool) -> None:
        """Give back everything, the last page first: of cached pages the deepest then grow old first."""
        pool.allocator.free(self.pages[::-1])
        self.pages.clear()
