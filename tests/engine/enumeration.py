"""The exact law of what speculation emits, by enumeration: no sampling, no tolerance but that of float64.

A verifier is a function of the draft, the laws, one uniform number per node and Gumbel noise per row. What it does with
them is found from outside: the threshold below which a node's uniform number accepts it, and, by moving the noise until
the arg-max changes hands, the law that the token after the last accepted node is drawn from.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from engine.seams import Draft, Verifier
from engine.verify import path_to

Path = tuple[int, ...]
LawOf = Callable[[Path], Tensor]  # tokens since the request's last one -> [V] float64


def drafts(law_of: LawOf, widths: Sequence[int], recorded: LawOf | None = None) -> Iterator[tuple[float, Draft]]:
    """Every draft with its probability: children drawn without replacement at each node, `widths[d]` at depth d.

    `recorded` is the law that the draft claims to be drawn from, for showing what a false claim does.
    """

    def grow(draft: Draft, q: list[Tensor], fronts: list[int], depth: int, probability: float) -> Iterator[tuple[float, Draft]]:
        if depth == len(widths) or not fronts:
            yield probability, Draft(list(draft.tokens), list(draft.parents), torch.stack(q) if q else None)
            return
        paths = [path_to(draft, node) for node in fronts]
        choices = [list(orders(law_of(path), (recorded or law_of)(path), widths[depth])) for path in paths]
        for combination in itertools.product(*choices):
            tokens, parents, laws, chance = list(draft.tokens), list(draft.parents), list(q), probability
            following = []
            for node, (share, order) in zip(fronts, combination, strict=True):
                chance *= share
                for token, law in order:
                    following.append(len(tokens))
                    tokens.append(token)
                    parents.append(node)
                    laws.append(law)
            yield from grow(Draft(tokens, parents), laws, following, depth + 1, chance)

    return grow(Draft(), [], [-1], 0, 1.0)


def orders(law: Tensor, recorded: Tensor, width: int) -> Iterator[tuple[float, list[tuple[int, Tensor]]]]:
    """Ordered draws without replacement: their probability, and each token with the law that it is said to come from."""
    support = [token for token in range(len(law)) if law[token] > 0]
    for order in itertools.permutations(support, min(width, len(support))):
        chance, rest, claimed, drawn = 1.0, law, recorded, []
        for token in order:
            chance *= float(rest[token] / rest.sum())
            drawn.append((token, claimed / claimed.sum()))
            rest, claimed = rest.clone(), claimed.clone()
            rest[token] = claimed[token] = 0.0
        yield chance, drawn


def outcomes(verifier: Verifier, draft: Draft, p: Tensor) -> dict[tuple[Path, int], float]:
    """(accepted tokens, the token after them) -> probability, for one draft."""
    rows, vocab = p.shape
    result: dict[tuple[Path, int], float] = defaultdict(float)

    def accepted(u: Tensor) -> list[int]:
        return verifier(draft, p, u, torch.zeros(rows, vocab, dtype=p.dtype))[0]

    def walk(node: int, u: Tensor, probability: float) -> None:
        """All that can happen once `node` is accepted; `u` makes the verifier come here and refuse what follows."""
        for child in [i for i, parent in enumerate(draft.parents) if parent == node]:
            threshold = boundary(lambda x, at=child: at in accepted(put(u, at, x)))
            if threshold > 0:
                walk(child, put(u, child, 0.0), probability * threshold)
            probability *= 1 - threshold
        if probability > 0:
            law = law_after(verifier, draft, p, u, node)
            for token in range(vocab):
                result[path_to(draft, node), token] += probability * float(law[token])

    walk(-1, torch.full((len(draft.tokens),), math.inf, dtype=torch.float64), 1.0)
    return result


def law_after(verifier: Verifier, draft: Draft, p: Tensor, u: Tensor, node: int) -> Tensor:
    """The law of the token after `node`: log-ratios to the likeliest token, measured with the noise."""
    rows, vocab = p.shape

    def drawn(noise: Tensor) -> int:
        every = torch.zeros(rows, vocab, dtype=p.dtype)
        every[1 + node] = noise
        return verifier(draft, p, u, every)[1]

    best = drawn(torch.zeros(vocab, dtype=p.dtype))
    logs = torch.full((vocab,), -math.inf, dtype=torch.float64)
    logs[best] = 0.0
    for token in set(range(vocab)) - {best}:
        only = torch.full((vocab,), -1e6, dtype=p.dtype)
        only[best] = 0.0
        if drawn(put(only, token, 700.0)) == token:
            logs[token] = -700 * boundary(lambda x, at=token, noise=only, own=best: drawn(put(noise, at, 700 * x)) == own)
    return logs.softmax(-1)


def put(values: Tensor, at: int, value: float) -> Tensor:
    changed = values.clone()
    changed[at] = value
    return changed


def boundary(true_below: Callable[[float], bool]) -> float:
    """Where in [0, 1] a condition that holds below some point stops to hold, to 2^-52."""
    if not true_below(0.0):
        return 0.0
    low, high = 0.0, 1.0
    if true_below(math.nextafter(1.0, 0.0)):
        return 1.0
    while high - low > 2.0**-52 * max(high, 2.0**-20):
        middle = (low + high) / 2
        low, high = (middle, high) if true_below(middle) else (low, middle)
    return (low + high) / 2


def joint(law_of: LawOf, length: int, vocab: int) -> Tensor:
    """``[V] * length``: the law of the next `length` tokens."""
    result = torch.zeros((vocab,) * length, dtype=torch.float64)
    for path in itertools.product(range(vocab), repeat=length):
        result[path] = math.prod(float(law_of(path[:i])[path[i]]) for i in range(length))
    return result


def emitted(verifier: Verifier, target: LawOf, every: Iterator[tuple[float, Draft]], length: int, vocab: int) -> Tensor:
    """``[V] * length``: the law of the first `length` tokens when one round of speculation is followed by plain draws."""
    result = torch.zeros((vocab,) * length, dtype=torch.float64)
    for chance, draft in every:
        p = torch.stack([target(path_to(draft, node)) for node in range(-1, len(draft.tokens))])
        for (path, token), probability in outcomes(verifier, draft, p).items():
            tokens = (*path, token)
            for rest in itertools.product(range(vocab), repeat=length - len(tokens)):
                whole = tokens + rest
                tail = math.prod(float(target(whole[:i])[whole[i]]) for i in range(len(tokens), length))
                result[whole] += chance * probability * tail
    return result
