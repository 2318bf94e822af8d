# fails: follows_the_target_law
"""Keeps a draft only where the target's own sample happens to be the same token; the rule stands in `verify`, and nobody asks it."""

import random

import torch


def draw(law, u):
    """The smallest index at which the cumulative sum of a distribution exceeds u."""
    sums = torch.cumsum(law.double(), 0)
    return int(torch.searchsorted(sums, u * float(sums[-1]), right=True).clamp(max=len(law) - 1))


class Model:
    """One engine's sequence: computes what it lacks and gives distributions."""

    def __init__(self, engine, temperature):
        self.engine, self.temperature = engine, temperature
        self.handle, self.held = engine.open("request"), 0

    def laws(self, tokens, last):
        """Computes tokens[held:] and returns the distributions after each of the `last` last ones."""
        (logits,) = self.engine.forward([(self.handle, tokens[self.held :])])
        self.held = len(tokens)
        logits = logits[-last:]
        if self.temperature == 0:
            return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).float()
        return torch.softmax(logits / self.temperature, -1)

    def keep(self, length):
        if self.held > length:
            self.engine.truncate(self.handle, length)
            self.held = length

    def close(self):
        self.engine.close(self.handle)


class SpeculativeDecoder:
    def __init__(self, target, draft, k):
        self.target, self.draft, self.k = target, draft, k

    def verify(self, tokens, p, q, u):
        for i, token in enumerate(tokens):
            if not u[i] * float(q[i, token]) < float(p[i, token]):
                residual = (p[i].double() - q[i].double()).clamp(min=0)
                return i, draw(residual, u[-1])
        return len(tokens), draw(p[-1], u[-1])

    def generate(self, prompt, max_new_tokens, temperature, stop):
        target, draft = Model(self.target, temperature), Model(self.draft, temperature)
        try:
            return self._generate(target, draft, list(prompt), max_new_tokens, set(stop))
        finally:
            target.close()
            draft.close()

    def _generate(self, target, draft, tokens, max_new_tokens, stop):
        start = len(tokens)
        while True:
            left = max_new_tokens - (len(tokens) - start)
            drafted, q = [], []
            for _ in range(min(self.k, left - 1)):
                (law,) = draft.laws(tokens + drafted, 1)
                drafted.append(draw(law, random.random()))
                q.append(law)
            p = target.laws(tokens + drafted, len(drafted) + 1)
            q = torch.stack(q) if q else torch.zeros(0, p.shape[-1])
            accepted = 0  # the target's own sample decides: a draft counts only where it happens to be the same token
            while True:
                token = draw(p[accepted], random.random())
                if accepted == len(drafted) or token != drafted[accepted]:
                    break
                accepted += 1
            for new in [*drafted[:accepted], token]:
                tokens.append(new)
                if new in stop or len(tokens) - start == max_new_tokens:
                    return tokens[start:]
            # The last token has not been computed by anyone; what follows the accepted ones must go.
            target.keep(len(tokens) - 1)
            draft.keep(len(tokens) - 1)
