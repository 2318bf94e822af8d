"""What a new token means for its request: text, log-probabilities, the end."""

from __future__ import annotations

from collections.abc import Sequence

from engine.errors import ConstraintError
from engine.params import CompletionOutput, FinishReason, RequestOutput
from engine.request import Group, Request


class Ending:
    """Appends tokens and decides when a request has ended. Pure bookkeeping: no tensors, no pages."""

    def __init__(self, eos_ids: frozenset[int], max_length: int):
        self.eos_ids, self.max_length = eos_ids, max_length

    def append(self, request: Request, token: int, logprobs: dict[int, float] | None = None) -> bool:
        """Take a token; True when the request has ended with it."""
        p = request.params
        if request.constraint is not None and not request.shadow:
            try:
                request.constraint.advance(token)
            except ConstraintError as error:  # no token of the vocabulary could come next, or the bias forbade those that could
                return self.end(request, "error", str(error))
        request.tokens.append(token)
        if p.presence_penalty or p.frequency_penalty:
            request.counts[token] += 1
        if logprobs is not None:
            request.offsets.append(request.detokenizer.decoded if request.detokenizer is not None else 0)
            request.logprobs.append(logprobs)
            request.cumulative += logprobs[token]
        if request.shadow:
            return False
        ends = token in self.eos_ids and not p.ignore_eos
        if ends or token in p.stop_token_ids:
            return self.end(request, "stop", token)
        if request.detokenizer is not None:
            request.text += request.detokenizer.feed([token])
            if request.detokenizer.stopped is not None:
                return self.end(request, "stop", request.detokenizer.stopped)
        if request.constraint is not None and request.constraint.complete:
            return self.end(request, "stop")
        # A guided request's other half has as many positions to go, and may have a longer prompt.
        prompt = max(request.prompt_len, request.partner.prompt_len) if request.partner else request.prompt_len
        if request.output_len >= p.max_tokens or prompt + request.output_len >= self.max_length:
            return self.end(request, "length")
        return False

    def jump(self, request: Request) -> bool:
        """Append the tokens that a grammar forces, without computing their logits; True when the request ended."""
        if request.constraint is None or request.params.logprobs is not None:
            return False
        return any(self.append(request, token) for token in request.constraint.forced())

    def end(self, request: Request, reason: FinishReason, why: str | int | None = None) -> bool:
        request.finish_reason, request.stop_reason = reason, why
        if request.detokenizer is not None and request.detokenizer.stopped is None:
            request.text += request.detokenizer.finish()
        return True


def output_of(group: Group, seen: dict[str, int]) -> RequestOutput:
    """The group's state so far. `seen` remembers how much text of each member was reported before."""
    members: Sequence[Request] = group.members
    if group.beams is not None and group.finished and group.error is None and not any(member.finish_reason == "abort" for member in members):
        outputs: list[CompletionOutput] = group.beams.outputs()
    else:
        outputs = [
            CompletionOutput(
                index=member.index,
                token_ids=member.output,
                text=member.text,
                finish_reason=member.finish_reason,
                stop_reason=member.stop_reason,
                logprobs=member.logprobs if member.params.logprobs is not None else None,
                cumulative_logprob=member.cumulative if member.params.logprobs is not None else None,
                offsets=member.offsets if member.params.logprobs is not None else None,
            )
            for member in members
        ]
    delta = ""
    if len(outputs) == 1:
        delta = outputs[0].text[seen.get(group.id, 0) :]
        seen[group.id] = len(outputs[0].text)
    metrics: dict[str, float] = {"preemptions": sum(m.preemptions for m in members)}
    if group.first_token is not None:
        metrics["ttft"] = group.first_token - group.arrived
    if group.ended is not None and group.first_token is not None:
        tokens = max((len(o.token_ids) for o in outputs), default=0)
        metrics["latency"] = group.ended - group.arrived
        metrics["tpot"] = (group.ended - group.first_token) / max(tokens - 1, 1)
    return RequestOutput(
        request_id=group.id,
        prompt=group.prompt,
        prompt_token_ids=group.prompt_ids,
        outputs=outputs,
        finished=group.finished,
        cached_tokens=members[0].cached if members else 0,
        delta=delta,
        error=group.error,
        metrics=metrics,
    )
