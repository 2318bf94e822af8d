"""What a caller asks for and what comes back."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from engine.errors import RequestError

FinishReason = Literal["stop", "length", "abort", "error"]
MOST = 1e30  # of what logits are changed by: float32 holds it and, beside any logit, its inverse


@dataclass
class SamplingParams:
    """How one request is sampled. Checked on creation; a bad value raises RequestError naming the field.

    The filters apply in this order, each to the law that the one before left (the order of transformers):
    guidance, penalties, logit bias, grammar, temperature, top-k, top-p, min-p, typical, Mirostat.
    """

    temperature: float = 1.0  # 0 = greedy
    max_tokens: int = 16
    min_tokens: int = 0  # end-of-sequence and `stop_token_ids` are masked until then, and no stop string counts
    ignore_eos: bool = False
    seed: int | None = None  # None: drawn from the engine's seed and the request's number
    n: int = 1
    stop: str | list[str] = field(default_factory=list)
    stop_token_ids: list[int] = field(default_factory=list)
    include_stop: bool = False  # the text ends behind the stop string, not before it
    top_k: int = 0  # 0 = off
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0  # Meister et al. 2022, "Locally typical sampling"
    mirostat_tau: float | None = None  # Basu et al. 2021, Mirostat v2; target surprise in bits
    mirostat_eta: float = 0.1
    repetition_penalty: float = 1.0  # Keskar et al. 2019 (CTRL), over prompt and output
    presence_penalty: float = 0.0  # over the output
    frequency_penalty: float = 0.0
    logit_bias: dict[int, float] = field(default_factory=dict)
    logprobs: int | None = None  # None = no; k = the chosen token and the k likeliest
    guidance_scale: float = 1.0  # classifier-free guidance, Sanchez et al. 2023; 1 = off
    negative_prompt: str | list[int] | None = None
    beam_width: int | None = None
    length_penalty: float = 1.0
    early_stopping: bool | Literal["never"] = False
    grammar: str | None = None  # GBNF
    json_schema: dict[str, Any] | bool | str | None = None
    heal: bool = False  # token healing: the prompt's last token may be replaced by a longer one
    skip_special_tokens: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.stop, str):
            self.stop = [self.stop]
        checks = {
            "temperature": self.temperature == 0 or 1 / MOST <= self.temperature <= MOST,
            "max_tokens": self.max_tokens >= 1,
            "min_tokens": 0 <= self.min_tokens <= self.max_tokens,
            "n": self.n >= 1,
            "stop": all(self.stop),
            "top_k": 0 <= self.top_k < 1 << 63,
            "top_p": 0 < self.top_p <= 1,
            "min_p": 0 <= self.min_p <= 1,
            "typical_p": 0 < self.typical_p <= 1,
            "mirostat_tau": self.mirostat_tau is None or 0 < self.mirostat_tau < math.inf,
            "mirostat_eta": 0 < self.mirostat_eta < math.inf,
            "repetition_penalty": 1 / MOST <= self.repetition_penalty <= MOST,
            "presence_penalty": abs(self.presence_penalty) <= MOST,
            "frequency_penalty": abs(self.frequency_penalty) <= MOST,
            "logprobs": self.logprobs is None or self.logprobs >= 0,
            "logit_bias": all(bias <= MOST for bias in self.logit_bias.values()),  # -inf forbids a token, NaN spoils all
            "guidance_scale": 1 <= self.guidance_scale <= MOST,
            "beam_width": self.beam_width is None or self.beam_width >= 1,
            "grammar": self.grammar is None or self.json_schema is None,
        }
        for name, ok in checks.items():
            if not ok:
                raise RequestError(f"SamplingParams.{name} = {getattr(self, name)!r} is out of range")
        if self.beam_width is not None:
            clash = [
                name
                for name, on in {
                    "n > 1": self.n > 1,
                    "a grammar": self.constrained,
                    "guidance": self.guidance_scale != 1,
                    "Mirostat": self.mirostat_tau is not None,
                    "stop strings": bool(self.stop),
                    "healing": self.heal,
                    "log-probabilities": self.logprobs is not None,
                }.items()
                if on
            ]
            if clash:
                raise RequestError(f"beam search can't be combined with {', '.join(clash)}")
        if self.guidance_scale != 1 and self.n > 1:
            raise RequestError("guidance can't be combined with n > 1: send n requests")
        if self.heal and self.constrained:
            raise RequestError("token healing can't be combined with a grammar: the grammar says how the text begins")

    @property
    def constrained(self) -> bool:
        return self.grammar is not None or self.json_schema is not None

    @property
    def penalized(self) -> bool:
        return self.repetition_penalty != 1 or self.presence_penalty != 0 or self.frequency_penalty != 0

    @property
    def filtered(self) -> bool:
        """Whether the law is anything else than the softmax of the logits over the temperature."""
        cut = self.top_k > 0 or self.top_p < 1 or self.min_p > 0 or self.typical_p < 1 or self.mirostat_tau is not None
        return self.penalized or bool(self.logit_bias) or (self.temperature > 0 and cut)

    def clone(self, **changes: Any) -> SamplingParams:
        return replace(self, **changes)


@dataclass
class CompletionOutput:
    """One of a request's `n` continuations (or beams). `logprobs[i]` and `offsets[i]` belong to `token_ids[i]`."""

    index: int
    token_ids: list[int]
    text: str
    finish_reason: FinishReason | None = None
    stop_reason: str | int | None = None  # the stop string or token id that ended it
    logprobs: list[dict[int, float]] | None = None
    offsets: list[int] | None = None  # with `logprobs`: the character of the text at which each token begins
    cumulative_logprob: float | None = None


@dataclass
class RequestOutput:
    """A request's result, or while streaming its state so far; then `delta` is the text that is new."""

    request_id: str
    prompt: str | None
    prompt_token_ids: list[int]
    outputs: list[CompletionOutput]
    finished: bool
    cached_tokens: int = 0
    delta: str = ""
    error: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
