"""OpenAI's request and response shapes as pure functions. A bad field is a BadRequest that names it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import EngineError, RequestError
from engine.llm import Prompt
from engine.params import CompletionOutput, RequestOutput, SamplingParams
from engine.tokenizer import CheckpointTokenizer

MAX_LOGPROBS, MAX_STOPS, MAX_PROMPTS = 20, 16, 64


class BadRequest(EngineError):
    """A request that can't be read; `param` is the field at fault."""

    def __init__(self, message: str, param: str | None = None, code: str = "invalid_value"):
        super().__init__(message)
        self.param, self.code = param, code


# Field of the request -> (field of SamplingParams, what it must be).
SAMPLING: dict[str, tuple[str, tuple[type, ...]]] = {
    "temperature": ("temperature", (int, float)), "top_p": ("top_p", (int, float)), "top_k": ("top_k", (int,)), "min_p": ("min_p", (int, float)),
    "typical_p": ("typical_p", (int, float)), "seed": ("seed", (int,)), "n": ("n", (int,)), "min_tokens": ("min_tokens", (int,)),
    "presence_penalty": ("presence_penalty", (int, float)), "frequency_penalty": ("frequency_penalty", (int, float)),
    "repetition_penalty": ("repetition_penalty", (int, float)), "ignore_eos": ("ignore_eos", (bool,)),
    "include_stop_str_in_output": ("include_stop", (bool,)), "skip_special_tokens": ("skip_special_tokens", (bool,)),
    "mirostat_tau": ("mirostat_tau", (int, float)), "mirostat_eta": ("mirostat_eta", (int, float)), "heal": ("heal", (bool,)),
    "guidance_scale": ("guidance_scale", (int, float)), "negative_prompt": ("negative_prompt", (str,)), "grammar": ("grammar", (str,)),
}  # fmt: skip
COMMON = {*SAMPLING, "model", "stream", "stream_options", "stop", "stop_token_ids", "logit_bias", "max_tokens", "logprobs", "response_format",
          "priority", "cache_salt", "user", "metadata", "store"}  # fmt: skip
FIELDS = {"completions": {*COMMON, "prompt", "echo", "best_of", "suffix"},
          "chat": {*COMMON, "messages", "max_completion_tokens", "top_logprobs", "add_generation_prompt", "chat_template_kwargs"}}  # fmt: skip
# Of OpenAI's API, with the only value that this server serves.
ONLY: dict[str, Any] = {"echo": False, "suffix": None, "best_of": None}


@dataclass(frozen=True)
class Call:
    """A request that was read: one prompt or several, and how each is answered."""

    kind: str  # "completions" or "chat"
    model: str
    prompts: list[Prompt]
    params: SamplingParams
    stream: bool
    usage: bool  # a last chunk with the token counts
    extra: dict[str, Any]  # for `LLM.submit`


Render = Callable[..., list[int]]
Room = Callable[[Sequence[int], Mapping[str, Any]], int]


def read_call(kind: str, body: Any, models: Sequence[str], render: Render, room: Room) -> Call:
    """Check a request's JSON. `models`: names served, the base model first, then adapters. `render` makes a prompt of messages; `room` says
    how many tokens fit behind it for these fields of SamplingParams, the limit of a chat that names none."""
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    unknown = sorted(body.keys() - FIELDS[kind])
    if unknown:
        raise BadRequest(f"unknown field {unknown[0]!r}", unknown[0], "unknown_field")
    for name, only in ONLY.items():
        if body.get(name, only) not in (only, None):
            raise BadRequest(f"{name} is not served", name, "not_served")
    model = _get(body, "model", (str,)) or models[0]
    if model not in models:
        raise BadRequest(f"no model {model!r}; there are {', '.join(models)}", "model", "model_not_found")
    chat = _messages(body, render) if kind == "chat" else []
    prompts: list[Prompt] = [chat] if kind == "chat" else _prompts(body.get("prompt"))
    stream = bool(_get(body, "stream", (bool,)))
    options = _get(body, "stream_options", (dict,)) or {}
    usage = _get(options, "include_usage", (bool,))
    if options and not stream:
        raise BadRequest("stream_options needs stream", "stream_options")
    extra: dict[str, Any] = {"priority": _get(body, "priority", (int,)) or 0, "salt": _get(body, "cache_salt", (str,))}
    if model != models[0]:
        extra["adapter"] = model
    return Call(kind, model, prompts, _params(kind, body, chat, room), stream, bool(usage), extra)


def _get(body: Mapping[str, Any], name: str, kinds: tuple[type, ...]) -> Any:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise BadRequest(f"{name} must be {' or '.join(kind.__name__ for kind in kinds)}, not {type(value).__name__}", name, "invalid_type")
    return value


def _params(kind: str, body: Mapping[str, Any], chat: Sequence[int], room: Room) -> SamplingParams:
    fields: dict[str, Any] = {}
    for name, (field, kinds) in SAMPLING.items():
        value = _get(body, name, kinds)
        if value is not None:
            fields[field] = value
    stop = body.get("stop")
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or len(stops) > MAX_STOPS or not all(isinstance(s, str) and s for s in stops):
        raise BadRequest(f"stop must be a text or up to {MAX_STOPS} texts, none empty", "stop")
    fields["stop"] = stops
    ids = _get(body, "stop_token_ids", (list,)) or []
    if not all(type(i) is int for i in ids):
        raise BadRequest("stop_token_ids must be whole numbers", "stop_token_ids")
    fields["stop_token_ids"] = ids
    bias = _get(body, "logit_bias", (dict,)) or {}
    try:
        if any(isinstance(value, bool) for value in bias.values()):
            raise ValueError
        fields["logit_bias"] = {int(token): float(value) for token, value in bias.items()}
    except (TypeError, ValueError):
        raise BadRequest("logit_bias must map token ids to numbers", "logit_bias") from None
    limit = _get(body, "max_completion_tokens", (int,)) if kind == "chat" else None
    limit = limit if limit is not None else _get(body, "max_tokens", (int,))
    fields["max_tokens"] = limit if limit is not None else 16 if kind == "completions" else max(1, room(chat, fields))
    fields["logprobs"] = _logprobs(kind, body)
    fields.update(_format(body))
    try:
        return SamplingParams(**fields)
    except RequestError as error:
        message = str(error)
        inner = message.split("SamplingParams.")[1].split(" ")[0] if "SamplingParams." in message else ""
        outer = next((name for name, (field, _) in SAMPLING.items() if field == inner), inner)
        raise BadRequest(message.replace(f"SamplingParams.{inner}", outer), outer or None) from None


def _logprobs(kind: str, body: Mapping[str, Any]) -> int | None:
    if kind == "completions":
        count = _get(body, "logprobs", (int,))
    elif _get(body, "logprobs", (bool,)):
        count = _get(body, "top_logprobs", (int,)) or 0
    else:
        count = None
        if body.get("top_logprobs") is not None:
            raise BadRequest("top_logprobs needs logprobs: true", "top_logprobs")
    if count is not None and not 0 <= count <= MAX_LOGPROBS:
        raise BadRequest(f"at most {MAX_LOGPROBS} log-probabilities per token", "logprobs" if kind == "completions" else "top_logprobs")
    return count  # type: ignore[no-any-return]


def _format(body: Mapping[str, Any]) -> dict[str, Any]:
    wanted = _get(body, "response_format", (dict,))
    if wanted is None or wanted.get("type") == "text":
        return {}
    if wanted.get("type") == "json_object":
        return {"json_schema": {"type": "object"}}
    schema = (wanted.get("json_schema") or {}).get("schema") if isinstance(wanted.get("json_schema"), dict) else None
    if wanted.get("type") != "json_schema" or not isinstance(schema, dict | bool):
        raise BadRequest('response_format must be {"type": "text" | "json_object"} or {"type": "json_schema", "json_schema": {"schema": ...}}',
                         "response_format")  # fmt: skip
    return {"json_schema": schema}


def _prompts(prompt: Any) -> list[Prompt]:
    if isinstance(prompt, str):
        return [prompt]
    if isinstance(prompt, list) and prompt and all(type(item) is int for item in prompt):
        return [prompt]
    whole = isinstance(prompt, list) and 0 < len(prompt) <= MAX_PROMPTS
    if whole and all(isinstance(p, str) or (isinstance(p, list) and p and all(type(i) is int for i in p)) for p in prompt):
        return list(prompt)
    raise BadRequest(f"prompt must be a text, a list of token ids, or up to {MAX_PROMPTS} of them", "prompt")


def _messages(body: Mapping[str, Any], render: Render) -> list[int]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages must be a list with at least one message", "messages")
    plain = []
    for n, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequest(f"messages[{n}] must be an object with a role", "messages")
        content = message.get("content")
        if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str) for part in content):
            content = "".join(part["text"] for part in content)
        if not isinstance(content, str):
            raise BadRequest(f"messages[{n}].content must be text: this model sees nothing else", "messages")
        plain.append({**message, "content": content})
    extra = dict(_get(body, "chat_template_kwargs", (dict,)) or {})
    begin = _get(body, "add_generation_prompt", (bool,))
    if begin is not None:
        extra["add_generation_prompt"] = begin
    if "messages" in extra:
        raise BadRequest("chat_template_kwargs can't hold the messages", "chat_template_kwargs")
    try:
        return render(plain, **extra)
    except (RequestError, TypeError) as error:
        raise BadRequest(str(error), "messages") from None


# -- responses ---------------------------------------------------------------------------------------------------------


def logprobs_json(call: Call, output: CompletionOutput, tokenizer: CheckpointTokenizer | None, start: int, end: int) -> Any:
    """The log-probabilities of tokens `[start, end)` in the shape of the API; None when none were asked for."""
    if output.logprobs is None:
        return None
    count = call.params.logprobs or 0

    def text(token: int) -> str:
        return tokenizer.text_bytes(token).decode(errors="replace") if tokenizer else f"token_id:{token}"

    def data(token: int) -> list[int] | None:
        return list(tokenizer.text_bytes(token)) if tokenizer else None

    chosen = list(zip(output.token_ids[start:end], output.logprobs[start:end], strict=True))
    if call.kind == "chat":
        return {"content": [{"token": text(token), "logprob": entry[token], "bytes": data(token),
                             "top_logprobs": [{"token": text(t), "logprob": p, "bytes": data(t)} for t, p in _best(entry, count)]}
                            for token, entry in chosen]}  # fmt: skip
    return {"tokens": [text(token) for token, _ in chosen], "token_logprobs": [entry[token] for token, entry in chosen],
            "top_logprobs": [{text(t): p for t, p in entry.items()} for _, entry in chosen], "text_offset": (output.offsets or [])[start:end]}  # fmt: skip


def _best(entry: Mapping[int, float], count: int) -> list[tuple[int, float]]:
    """The likeliest tokens; `entry` holds the chosen one too, likely or not."""
    return sorted(entry.items(), key=lambda item: -item[1])[:count]


def usage_json(outputs: Sequence[RequestOutput]) -> dict[str, Any]:
    prompt, made = sum(len(o.prompt_token_ids) for o in outputs), sum(len(c.token_ids) for o in outputs for c in o.outputs)
    return {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made,
            "prompt_tokens_details": {"cached_tokens": sum(o.cached_tokens for o in outputs)}}  # fmt: skip


def response_json(call: Call, name: str, outputs: Sequence[RequestOutput], tokenizer: CheckpointTokenizer | None) -> dict[str, Any]:
    """The answer to a request that does not stream."""
    choices: list[dict[str, Any]] = []
    for output in outputs:
        for one in output.outputs:
            choice: dict[str, Any] = {"index": len(choices), "finish_reason": one.finish_reason, "stop_reason": one.stop_reason,
                                      "logprobs": logprobs_json(call, one, tokenizer, 0, len(one.token_ids))}  # fmt: skip
            choice |= {"message": {"role": "assistant", "content": one.text}} if call.kind == "chat" else {"text": one.text}
            choices.append(choice)
    return {"id": name, "object": "chat.completion" if call.kind == "chat" else "text_completion", "created": int(time.time()),
            "model": call.model, "choices": choices, "usage": usage_json(outputs)}  # fmt: skip


class Chunks:
    """Turns the states of one request into the chunks of its stream. `base`: the index of its first choice."""

    def __init__(self, call: Call, name: str, base: int, tokenizer: CheckpointTokenizer | None):
        self.call, self.name, self.base, self.tokenizer = call, name, base, tokenizer
        self.created = int(time.time())
        self._sent: dict[int, tuple[int, int, bool]] = {}  # choice -> characters, tokens, whether it has ended

    def chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> dict[str, Any]:
        kind = "chat.completion.chunk" if self.call.kind == "chat" else "text_completion"
        made = {"id": self.name, "object": kind, "created": self.created, "model": self.call.model, "choices": choices}
        return made if usage is None else {**made, "usage": usage}

    def of(self, output: RequestOutput) -> list[dict[str, Any]]:
        """What is new since the last state."""
        chunks = []
        for one in output.outputs:
            characters, tokens, ended = self._sent.get(one.index, (0, 0, False))
            text, ends = one.text[characters:], one.finish_reason is not None
            if ended or not (text or ends):
                continue
            choice: dict[str, Any] = {"index": self.base + one.index, "finish_reason": one.finish_reason,
                                      "logprobs": logprobs_json(self.call, one, self.tokenizer, tokens, len(one.token_ids))}  # fmt: skip
            if ends:
                choice["stop_reason"] = one.stop_reason
            if self.call.kind == "chat":
                first = {} if one.index in self._sent else {"role": "assistant"}
                choice["delta"] = {**first, "content": text}
            else:
                choice["text"] = text
            self._sent[one.index] = (len(one.text), len(one.token_ids), ends)
            chunks.append(self.chunk([choice]))
        return chunks
