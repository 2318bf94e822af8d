"""A prefix cache as a radix tree over whole pages (Zheng et al. 2023, SGLang's RadixAttention).

An edge holds a run of pages and their tokens; children are told apart by their first page's tokens. A node whose pages
are in use is never evicted, nor are its ancestors: a request that holds a page holds all pages before it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from engine.pages import PageAllocator
from engine.seams import CacheKey, CacheStats

Part = tuple[int, ...]  # one page of tokens


@dataclass(eq=False)
class Node:
    parts: list[Part]
    pages: list[int]
    parent: Node | None
    used: int = 0  # logical time of the last match or insert
    children: dict[Part, Node] = field(default_factory=dict)


class RadixPrefixCache:
    """See `engine.seams.PrefixCache`."""

    def __init__(self, allocator: PageAllocator, page_size: int):
        self.allocator, self.page_size = allocator, page_size
        self._roots: dict[CacheKey, Node] = {}
        self._idle: set[int] = set()
        self._pages: set[int] = set()
        self._clock = self._queried = self._hit = self._evicted = 0
        allocator.watcher = self

    @property
    def evictable(self) -> int:
        return len(self._idle)

    def match(self, tokens: Sequence[int], key: CacheKey) -> tuple[list[int], int]:
        pages: list[int] = []
        root = self._roots.get(key)
        if root is not None:
            for node, count in self._walk(root, self._parts(tokens)):
                pages += node.pages[:count]
        self.allocator.share(pages)
        hit = len(pages) * self.page_size
        self._queried += len(tokens)
        self._hit += hit
        return pages, hit

    def uncount(self, queried: int, hit: int) -> None:
        self._queried -= queried
        self._hit -= hit

    def insert(self, tokens: Sequence[int], pages: Sequence[int], key: CacheKey) -> list[int]:
        parts = self._parts(tokens)[: len(pages)]
        if not parts:
            return []
        node = self._roots.setdefault(key, Node([], [], None))
        known: list[int] = []
        for below, count in self._walk(node, parts):
            known += below.pages[:count]
            node = below if count == len(below.parts) else self._split(below, count)
        done = len(known)
        # A page known under another prefix can't be entered twice: what follows it stays out.
        fresh = next((i for i, page in enumerate(pages[done : len(parts)]) if page in self._pages), len(parts) - done)
        if fresh:
            run = list(pages[done : done + fresh])
            node.children[parts[done]] = Node(parts[done : done + fresh], run, node, self._clock)
            for page in run:
                self._pages.add(page)
                self.allocator.hold(page)
            known += run
        return known

    def evict(self, n: int) -> int:
        """Leaves go first, the least recently used first, page by page from the end."""
        leaves = [(node.used, id(node), node) for root in self._roots.values() for node in self._leaves(root)]
        heapq.heapify(leaves)
        freed = 0
        while freed < n and leaves:
            _, _, node = heapq.heappop(leaves)
            while freed < n and node.pages and node.pages[-1] in self._idle:
                page = node.pages.pop()
                first = node.parts.pop()
                self._idle.discard(page)
                self._pages.discard(page)
                self.allocator.free([page])
                freed += 1
                if not node.pages and node.parent is not None:
                    del node.parent.children[first]
                    if not node.parent.children and node.parent.parent is not None:
                        heapq.heappush(leaves, (node.parent.used, id(node.parent), node.parent))
        self._roots = {key: root for key, root in self._roots.items() if root.children}
        self._evicted += freed
        return freed

    def stats(self) -> CacheStats:
        return CacheStats(self._queried, self._hit, self._evicted, len(self._pages))

    def idle(self, page: int) -> None:
        self._idle.add(page)

    def busy(self, page: int) -> None:
        self._idle.discard(page)

    def _walk(self, root: Node, parts: list[Part]) -> Iterator[tuple[Node, int]]:
        """Nodes along `parts` from the root down, each with how many of its pages match; touches them."""
        self._clock += 1
        node, at = root, 0
        while at < len(parts) and parts[at] in node.children:
            node = node.children[parts[at]]
            node.used = self._clock
            count = 1
            while count < len(node.parts) and at + count < len(parts) and node.parts[count] == parts[at + count]:
                count += 1
            whole = count == len(node.parts)
            yield node, count
            if not whole:
                return
            at += count

    def _split(self, node: Node, count: int) -> Node:
        """Cut `node` after `count` pages; the upper half takes its place and is the answer."""
        parent = node.parent
        assert parent is not None  # roots are empty and never matched in part
        upper = Node(node.parts[:count], node.pages[:count], parent, node.used)
        parent.children[upper.parts[0]] = upper
        node.parts, node.pages, node.parent = node.parts[count:], node.pages[count:], upper
        upper.children[node.parts[0]] = node
        return upper

    def _leaves(self, root: Node) -> Iterator[Node]:
        stack = list(root.children.values())
        while stack:
            node = stack.pop()
            if node.children:
                stack.extend(node.children.values())
            else:
                yield node

    def _parts(self, tokens: Sequence[int]) -> list[Part]:
        size = self.page_size
        return [tuple(tokens[i : i + size]) for i in range(0, len(tokens) - size + 1, size)]
