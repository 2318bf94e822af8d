"""Which drafted tokens stay: acceptance rules that leave the target's law exactly as it was.

Leviathan et al. 2023 and Chen et al. 2023 for chains; for trees the rule is applied to the children of a node in turn,
with what was rejected taken out of the law (Miao et al. 2024, SpecInfer; Jeon et al. 2024, recursive rejection).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from engine.seams import Draft


class RejectionVerifier:
    """See `engine.seams.Verifier`.

    Child x of a node, drawn from q, is accepted with probability min(1, p(x) / q(x)); a rejection replaces p by the
    normalized positive part of p - q. The token after the last accepted node is drawn from what p is then. A chain
    accepts each token with probability sum(min(p, q)), the most that any rule can.
    """

    def __call__(self, draft: Draft, p: Tensor, u: Tensor, noise: Tensor) -> tuple[list[int], int]:
        accepted: list[int] = []
        node = -1
        while True:
            law = p[1 + node]
            found = None
            for child, parent in enumerate(draft.parents):
                if parent != node:
                    continue
                token = draft.tokens[child]
                mass = float(law[token])
                if draft.q is None:
                    if float(u[child]) < mass:
                        found = child
                        break
                    law = law.clone()
                    law[token] = 0.0
                else:
                    q = draft.q[child]
                    # q(token) > 0, for the token was drawn from q; written without a division, u = 0 stays right.
                    if float(u[child]) * float(q[token]) < mass:
                        found = child
                        break
                    law = (law - q).clamp_min(0.0)
                total = law.sum()
                if float(total) <= 0.0:  # p = q up to rounding: nothing is left over, and p itself is right
                    law = p[1 + node].clone()
                    total = law.sum()
                law = law / total
            if found is None:
                return accepted, int((law.log() + noise[1 + node]).argmax())
            accepted.append(found)
            node = found


class CoupledVerifier:
    """Draw the target's token as if nothing had been drafted, and accept the child that happens to be it.

    The output is token for token what it would be without a drafter, at any temperature. Against a drafter that is
    certain (n-gram, greedy) it accepts as often as rejection does; against one that samples with the same noise,
    nearly as often (Daliri et al. 2025, Gumbel coupling).
    """

    def __call__(self, draft: Draft, p: Tensor, u: Tensor, noise: Tensor) -> tuple[list[int], int]:
        accepted: list[int] = []
        node = -1
        while True:
            token = int((p[1 + node].log() + noise[1 + node]).argmax())
            children = [i for i, parent in enumerate(draft.parents) if parent == node and draft.tokens[i] == token]
            if not children:
                return accepted, token
            node = children[0]
            accepted.append(node)


@dataclass
class SpeculationStats:
    """Counts since the start. `rows` are verifications; each emits its accepted tokens and one more."""

    rows: int = 0
    proposed: int = 0
    accepted: int = 0
    emitted: int = 0
    by_depth: list[list[int]] | None = None  # per depth: [reached, accepted]

    def record(self, draft: Draft, accepted: list[int]) -> None:
        self.rows += 1
        self.proposed += len(draft.tokens)
        self.accepted += len(accepted)
        self.emitted += len(accepted) + 1
        table = self.by_depth = self.by_depth or []
        parents, node = set(draft.parents), -1
        for depth in range(len(accepted) + 1):
            if node in parents:
                while len(table) <= depth:
                    table.append([0, 0])
                table[depth][0] += 1
                table[depth][1] += depth < len(accepted)
            if depth < len(accepted):
                node = accepted[depth]

    @property
    def acceptance(self) -> float:
        """Share of tried tokens that were accepted, over all depths (chains: the usual acceptance rate)."""
        tried = sum(reached for reached, _ in self.by_depth or [])
        return self.accepted / tried if tried else 0.0

    @property
    def tokens_per_pass(self) -> float:
        return self.emitted / self.rows if self.rows else 0.0


def expected_tokens(acceptance: float, k: int) -> float:
    """Tokens per target pass of a chain of k with independent acceptance: (1 - a^(k+1)) / (1 - a)."""
    return float(k + 1) if acceptance >= 1 else (1 - acceptance ** (k + 1)) / (1 - acceptance)


def path_to(draft: Draft, node: int) -> tuple[int, ...]:
    """Tokens from the root of the tree to `node`, it included; empty for -1."""
    path: list[int] = []
    while node >= 0:
        path.append(draft.tokens[node])
        node = draft.parents[node]
    return tuple(reversed(path))
