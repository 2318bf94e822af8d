"""From logits to tokens. One law per row, one draw per law, and the noise comes from outside."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engine import warpers
from engine.noise import Noise
from engine.params import SamplingParams
from engine.request import Request
from engine.seams import Sampled
from engine.transfer import upload

PLAIN = SamplingParams()  # temperature 1, every filter off


class Context(NamedTuple):
    """A row of logits: whose it is, and what was drafted since the request's last token."""

    request: Request
    path: tuple[int, ...] = ()
    mask: Tensor | None = None  # of a grammar, bool [V]


class GumbelSampler:
    """See `engine.seams.Sampler`. The arg-max of the law's logits plus Gumbel noise (none for greedy rows).

    `draw` ``(logits [R, V], keys [R], temperature [R]) -> tokens [R]`` does the same in one pass where no row has filters,
    penalties or a mask (`engine.kernels.sampling.gumbel_max`).
    """

    def __init__(self, eos_ids: frozenset[int], draw: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None):
        self.eos_ids, self.draw = eos_ids, draw

    def __call__(self, logits: Tensor, requests: Sequence[Request], noise: Noise) -> Sampled:
        if self.draw is not None and not any(self._shaped(request) for request in requests):
            heat = upload([r.params.temperature for r in requests], torch.float32, logits.device)
            tokens = self.draw(logits, noise.keys, heat)
            return Sampled(tokens, logprobs_of(logits, requests, tokens))
        contexts = [Context(r, mask=r.constraint.mask() if r.constraint else None) for r in requests]
        warped = self.warp(logits, contexts)
        hot = [r.params.temperature > 0 for r in requests]
        if any(hot):
            rows = warped + noise.gumbel(warped.shape[1], warped.dtype)
            if not all(hot):
                rows = torch.where(upload(hot, torch.bool, rows.device)[:, None], rows, warped)
        else:
            rows = warped
        tokens = rows.argmax(-1)
        self.mirostat(warped, contexts, tokens)
        return Sampled(tokens, logprobs_of(logits, requests, tokens))

    def warp(self, logits: Tensor, contexts: Sequence[Context]) -> Tensor:
        """Logits ``[R, V]`` of the laws, in float32 or wider. Greedy rows keep all but what is forbidden outright."""
        logits = logits if logits.dtype == torch.float64 else logits.float()
        params = [context.request.params for context in contexts]
        logits = self.adjust(logits, contexts)
        if all(p.temperature == 0 for p in params):
            return logits

        def per_row(values: list[float]) -> Tensor:
            return upload(values, logits.dtype, logits.device)

        params = [p if p.temperature > 0 else PLAIN for p in params]  # a greedy row's own filters are off whoever is beside it: they would part its ties
        if any(p.temperature != 1 for p in params):
            heat = per_row([p.temperature for p in params])
            logits = (logits / heat[:, None]).clamp_(max=torch.finfo(logits.dtype).max)  # infinities would be no law
        if any(p.top_k for p in params):
            logits = warpers.top_k(logits, upload([p.top_k for p in params], torch.int64, logits.device))
        if any(p.top_p < 1 for p in params):
            logits = warpers.top_p(logits, per_row([p.top_p for p in params]))
        if any(p.min_p > 0 for p in params):
            logits = warpers.min_p(logits, per_row([p.min_p for p in params]))
        if any(p.typical_p < 1 for p in params):
            logits = warpers.typical(logits, per_row([p.typical_p for p in params]))
        if any(p.mirostat_tau is not None for p in params):
            mu = [c.request.mu if p.mirostat_tau is not None else math.nan for c, p in zip(contexts, params, strict=True)]
            logits = warpers.surprise_limit(logits, per_row(mu))
        return logits

    def law(self, logits: Tensor, contexts: Sequence[Context]) -> Tensor:
        """Probabilities ``[R, V]``; a greedy row has all its mass on the best token."""
        warped = self.warp(logits, contexts)
        law = warped.softmax(-1)
        cold = [i for i, context in enumerate(contexts) if context.request.params.temperature == 0]
        if cold:
            law[cold] = torch.nn.functional.one_hot(warped[cold].argmax(-1), warped.shape[1]).to(law.dtype)
        return law

    def adjust(self, logits: Tensor, contexts: Sequence[Context]) -> Tensor:
        """Penalties, bias, end-of-sequence and grammar: what applies to greedy rows too."""
        owned = False
        for row, (request, path, mask) in enumerate(contexts):
            p = request.params
            closed = self._closed(request, len(path))
            if not (p.penalized or p.logit_bias or mask is not None or closed):
                continue
            if not owned:
                logits, owned = logits.clone(), True
            if p.repetition_penalty != 1:
                warpers.repetition(logits, row, [*request.tokens, *path], p.repetition_penalty)
            if p.presence_penalty or p.frequency_penalty:
                counts = request.counts + Counter(path) if path else request.counts
                warpers.count_penalties(logits, row, counts, p.presence_penalty, p.frequency_penalty)
            if p.logit_bias:
                tokens, biases = request.bias(logits.dtype, logits.device)
                logits[row, tokens] += biases
            if closed:
                ends = self.eos_ids.union(token for token in p.stop_token_ids if 0 <= token < logits.shape[1])
                logits[row, list(ends)] = warpers.NEVER
            if mask is not None:
                allowed = mask.to(logits.device)
                width = min(len(allowed), logits.shape[1])
                logits[row, :width].masked_fill_(~allowed[:width], warpers.NEVER)
                logits[row, width:] = warpers.NEVER
        return logits

    def _closed(self, request: Request, drafted: int = 0) -> bool:
        """Whether the text must not end yet."""
        p = request.params
        return request.output_len + drafted + request.pending < p.min_tokens and bool(self.eos_ids or p.stop_token_ids)

    def _shaped(self, request: Request) -> bool:
        return request.params.filtered or request.constraint is not None or self._closed(request)

    def mirostat(self, warped: Tensor, contexts: Sequence[Context], tokens: Tensor) -> None:
        """Move each Mirostat request's mu by the surprise that it saw. A token that the grammar forces is no surprise and no choice: it moves
        nothing, as where it is jumped over."""
        for row, (request, _, mask) in enumerate(contexts):
            tau = request.params.mirostat_tau
            if tau is not None and (mask is None or int(mask.sum()) > 1):
                seen = -float(warped[row].log_softmax(-1)[tokens[row]]) / math.log(2)
                request.mu -= request.params.mirostat_eta * (seen - tau)


def logprobs_of(logits: Tensor, requests: Sequence[Request], tokens: Tensor) -> list[dict[int, float] | None]:
    """Log-probabilities under the model itself (before penalties and filters): the chosen token and the k likeliest."""
    answer: list[dict[int, float] | None] = [None] * len(requests)
    rows = [i for i, request in enumerate(requests) if request.params.logprobs is not None]
    if not rows:
        return answer
    log_law = logits[rows].float().log_softmax(-1)
    chosen = tokens[rows].tolist()
    most = max(requests[i].params.logprobs or 0 for i in rows)
    best = log_law.topk(min(most, log_law.shape[1]), dim=-1) if most else None
    for at, row in enumerate(rows):
        count = requests[row].params.logprobs or 0
        entry = {chosen[at]: float(log_law[at, chosen[at]])}
        if best is not None:
            ids, values = best.indices[at, :count].tolist(), best.values[at, :count].tolist()
            entry.update(zip(ids, values, strict=True))
        answer[row] = entry
    return answer
