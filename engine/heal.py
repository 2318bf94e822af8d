"""Token healing (Lundberg 2023): a prompt cut inside what the model knows as one token is continued with the whole token.

The last tokens of the prompt are taken back, and the first bytes of the continuation must spell them again: the model may then choose a token that
goes on behind the cut ("http:" and then "//" becomes "http" and then "://").
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import torch
from torch import Tensor

from engine.errors import ConstraintError

LONGEST = 8  # tokens taken back at most


class Vocabulary:
    """The bytes of each token, and which tokens begin with given bytes. `special` tokens spell nothing."""

    def __init__(self, token_bytes: Sequence[bytes]):
        self.token_bytes = list(token_bytes)
        order = sorted((data, token) for token, data in enumerate(self.token_bytes) if data)
        self._bytes, self._tokens = [data for data, _ in order], [token for _, token in order]

    def __len__(self) -> int:
        return len(self.token_bytes)

    def starting_with(self, prefix: bytes) -> list[int]:
        """Tokens whose bytes begin with `prefix` (all with bytes, when it is empty)."""
        first = bisect_left(self._bytes, prefix)
        last = bisect_right(self._bytes, prefix + b"\xff" * 64, lo=first)
        return [token for data, token in zip(self._bytes[first:last], self._tokens[first:last], strict=True) if data.startswith(prefix)]

    def extends(self, data: bytes) -> bool:
        """Whether some token begins with `data` and goes on."""
        at = bisect_right(self._bytes, data)
        return at < len(self._bytes) and self._bytes[at].startswith(data)

    def spelling(self, rest: bytes) -> list[int]:
        """Tokens that may come first in spelling `rest`: those that begin it, and those that begin with it."""
        inside = [token for end in range(1, len(rest)) for token in self._exactly(rest[:end])]
        return inside + self.starting_with(rest)

    def _exactly(self, data: bytes) -> list[int]:
        return self._tokens[bisect_left(self._bytes, data) : bisect_right(self._bytes, data)]


def cut(tokens: Sequence[int], vocabulary: Vocabulary) -> tuple[list[int], bytes]:
    """(the tokens that stay, the bytes to be spelled again). The first token always stays, and so does a special one.

    Taken back are the most tokens whose bytes together begin a longer token; none when nothing could replace them.
    """
    taken, data, back = 0, b"", 0
    for token in reversed(tokens[1:][-LONGEST:]):
        own = vocabulary.token_bytes[token] if token < len(vocabulary) else b""
        if not own:
            break
        data, back = own + data, back + 1
        if vocabulary.extends(data):
            taken = back
    kept = list(tokens[: len(tokens) - taken])
    return kept, b"".join(vocabulary.token_bytes[token] for token in tokens[len(tokens) - taken :])


class Spelling:
    """An `engine.seams.Constraint`: the first bytes are given, everything may follow. `width`: size of the model's vocabulary."""

    complete = False

    def __init__(self, vocabulary: Vocabulary, rest: bytes, width: int):
        self.vocabulary, self.width = vocabulary, width
        self._rest = [rest]
        self._free = torch.ones(width, dtype=torch.bool)

    def mask(self) -> Tensor:
        rest = self._rest[-1]
        if not rest:
            return self._free
        mask = torch.zeros(self.width, dtype=torch.bool)
        mask[self.vocabulary.spelling(rest)] = True
        return mask

    def advance(self, token: int) -> None:
        rest = self._rest[-1]
        data = self.vocabulary.token_bytes[token] if token < len(self.vocabulary) else b""
        if rest and not (data and (rest.startswith(data) or data.startswith(rest))):
            raise ConstraintError(f"token {token} does not spell the end of the prompt")
        self._rest.append(rest[len(data) :])

    def rollback(self, n: int) -> None:
        if n:
            del self._rest[-n:]

    def forced(self) -> list[int]:
        return []
