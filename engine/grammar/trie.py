"""The vocabulary as a trie of bytes, laid out in arrays, breadth first: the children of a node are neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]


class VocabularyTrie:
    """Tokens without bytes are left out. Node 0 is the root. `byte [N]`: the byte that leads to a node. `child [N + 1]`: the children of node n
    are ``child[n]:child[n + 1]``. `tokens`: ids in the order of their nodes; those of node n (several when their bytes are equal) are
    ``tokens[first[n]:first[n + 1]]``, with `first [N + 1]`."""

    def __init__(self, token_bytes: Sequence[bytes]):
        self.token_bytes = list(token_bytes)
        words = sorted((data, token) for token, data in enumerate(self.token_bytes) if data)
        byte, depth, parent, ends = [0], [0], [0], []
        path: list[int] = [0]
        before = b""
        for data, _ in words:
            same = 0
            for x, y in zip(before, data, strict=False):
                if x != y:
                    break
                same += 1
            del path[same + 1 :]
            for at in range(same, len(data)):
                parent.append(path[-1])
                path.append(len(byte))
                byte.append(data[at])
                depth.append(at + 1)
            ends.append(path[-1])
            before = data
        # Words come sorted, so within a depth nodes are in the order of their parents.
        order = np.argsort(np.array(depth), kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        self.size = len(order)
        self.byte: NDArray[np.uint8] = np.array(byte, dtype=np.uint8)[order]
        above = place[np.array(parent)[order]][1:]
        self.child: Ints = (1 + np.searchsorted(above, np.arange(self.size + 1))).astype(np.int32)
        at_node = place[np.array(ends, dtype=np.int64)] if ends else np.empty(0, dtype=np.int64)
        by_node = np.argsort(at_node, kind="stable")
        self.tokens: Ints = np.array([token for _, token in words], dtype=np.int32)[by_node] if words else np.empty(0, dtype=np.int32)
        self.first: Ints = np.searchsorted(at_node[by_node], np.arange(self.size + 1)).astype(np.int32)


def spans(start: Ints, nodes: Ints) -> tuple[Ints, Ints]:
    """All of ``start[n]:start[n + 1]`` for each of `nodes`, one after the other, and how many each has."""
    low = start[nodes]
    count = start[nodes + 1] - low
    ends = count.cumsum()
    total = int(ends[-1]) if len(ends) else 0
    return (np.arange(total, dtype=np.int32) + np.repeat(low - (ends - count), count)).astype(np.int32), count
