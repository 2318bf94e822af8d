"""What must hold in a running engine, checked from outside: at every write, after every step, and at rest."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from typing import Any

from engine import LLM
from engine.kv import PagedKV
from engine.request import Request


def watch(llm: LLM) -> LLM:
    """Make every write of keys and values fail when its page has another owner than one table."""
    references = llm.pool.allocator.references
    page_size = llm.kv.page_size

    def check(pages: Any) -> None:
        for page in pages:
            assert references(int(page)) == 1, f"page {int(page)} is written with {references(int(page))} owners"

    def guard(kv: PagedKV) -> None:
        first, write, move, swap_in = kv.layers[0], kv.layers[0].write, kv.move_slots, kv.swap_in

        def checked_write(slots: Any, k: Any, v: Any) -> None:
            check(set((slots // page_size).tolist()))
            write(slots, k, v)

        def checked_move(source: Sequence[int], target: Sequence[int]) -> None:
            check({slot // page_size for slot in target})
            move(source, target)

        def checked_swap_in(saved: Any, pages: Sequence[int]) -> None:
            check(pages)
            swap_in(saved, pages)

        first.write, kv.move_slots, kv.swap_in = checked_write, checked_move, checked_swap_in  # type: ignore[method-assign]

    for kv in llm.engine.runner.caches:
        guard(kv)
    return llm


def holders(llm: LLM) -> list[Request]:
    """Every request that can hold pages, shadows included."""
    members = [member for group in llm.engine.groups.values() for member in group.members]
    return members + [member.partner for member in members if member.partner is not None]


def audit(llm: LLM) -> None:
    """Every reference is a table's or the cache's; what is shared is full; what counts as available can be had."""
    allocator, size = llm.pool.allocator, llm.pool.page_size
    held = Counter(page for request in holders(llm) for page in request.table.pages)
    extra = [allocator.references(page) - held[page] for page in range(allocator.n_pages)]
    assert set(extra) <= {0, 1}, "a page lost or won a reference"
    cache = llm.pool.cache
    assert sum(extra) == (cache.stats().pages if cache else 0)
    assert allocator.free_count == sum(1 for page in range(allocator.n_pages) if not allocator.references(page))
    for request in holders(llm):
        for index, page in enumerate(request.table.pages):
            # A fork's last page is shared until one of them writes to it; it is never written before it is copied.
            if held[page] > 1 and (index + 1) * size > request.computed:
                kin = request.group.members if request.group else []
                assert sum(page in member.table.pages for member in kin) == held[page]
    if cache is not None:
        twin_allocator, twin = copy.deepcopy((allocator, cache))
        claimed = twin.evictable
        assert twin.evict(twin_allocator.n_pages) == claimed, "what counts as evictable can't be evicted"
        assert all(twin_allocator.references(page) for page in held)


def at_rest(llm: LLM) -> None:
    """All pages are free or only the cache's, and every reference is accounted for."""
    allocator = llm.pool.allocator
    cached = llm.pool.cache.stats().pages if llm.pool.cache else 0
    assert llm.pool.available == allocator.n_pages
    assert allocator.free_count + cached == allocator.n_pages
    assert sum(allocator.references(page) for page in range(allocator.n_pages)) == cached
    assert llm.engine.scheduler.idle and llm.idle and llm.engine.scheduler.swapped_pages == 0
