"""The language models that may judge: any endpoint that speaks OpenAI's chat completions, or a local checkpoint in the engine."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from grading.judge import JudgeFailure, Model, TooLong

log = logging.getLogger(__name__)
MAX_REPLY = 1 << 20
TRIES, PAUSE = 3, 0.5  # of a refused or broken connection, 429 and 5xx; seconds, doubling
REPLY_TOKENS = 8192
CONTEXT = re.compile(r"context[ _](?:length|window|size)|prompt is too long", re.I)  # how servers refuse a prompt that is longer than the model's context
TOO_LONG = "question, statements and answer are longer together than the judge takes"
_stepping = threading.Lock()  # one thread at a time makes and steps an engine; requests to an endpoint wait for nobody


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`{url}/chat/completions` with a JSON schema for the reply. `timeout` is for one reply as a whole, in seconds."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout: float = 60.0

    @property
    def name(self) -> str:
        return self.model

    def complete(self, system: str, user: str, schema: Mapping[str, Any], seed: int) -> str:
        body = {
            "model": self.model, "temperature": 0, "seed": seed, "max_tokens": REPLY_TOKENS, "stream": False,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "verdicts", "strict": True, "schema": dict(schema)}},
        }
        end = time.monotonic() + self.timeout
        for attempt in range(TRIES):
            try:
                return self._once(body, end)
            except _Busy as why:
                pause = PAUSE * 2**attempt
                if attempt + 1 == TRIES or time.monotonic() + pause > end:
                    raise JudgeFailure(str(why)) from None
                time.sleep(pause)
        raise AssertionError("unreachable")

    def _once(self, body: Mapping[str, Any], end: float) -> str:
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        data = b""
        try:
            left = max(0.1, end - time.monotonic())
            with httpx.Client(timeout=left, follow_redirects=False) as client, client.stream(
                    "POST", self.url.rstrip("/") + "/chat/completions", json=body, headers=headers) as reply:
                if reply.status_code != 200:  # for whoever runs the site; candidates read only the number
                    told = next(reply.iter_bytes(500), b"").decode("utf-8", "replace")
                    log.warning("the judge's endpoint answered %s: %s", reply.status_code, told)
                    if reply.status_code == 413 or (reply.status_code == 400 and CONTEXT.search(told)):
                        raise TooLong(TOO_LONG)
                if reply.status_code == 429 or reply.status_code >= 500:
                    raise _Busy(f"the judge's endpoint answered {reply.status_code}")
                if reply.status_code != 200:
                    raise JudgeFailure(f"the judge's endpoint answered {reply.status_code}")
                for piece in reply.iter_bytes():
                    data += piece
                    if len(data) > MAX_REPLY:
                        raise JudgeFailure("the judge's reply is too long")
                    if time.monotonic() > end:  # httpx counts the time between two pieces, a slow drip would never end
                        raise JudgeFailure(f"the judge took longer than {self.timeout:g} s")
        except httpx.TimeoutException:
            raise JudgeFailure(f"the judge took longer than {self.timeout:g} s") from None
        except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError) as error:
            raise _Busy(f"the judge's endpoint can't be reached: {type(error).__name__}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise JudgeFailure(f"the judge's endpoint can't be used: {type(error).__name__}") from None
        return _content(data)


class _Busy(Exception):
    """Worth another try."""


def _content(data: bytes) -> str:
    """The message of a chat completion. A reply that was cut off, or refused, is none."""
    try:
        choice = json.loads(data)["choices"][0]
        text, why = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        raise JudgeFailure("the judge's endpoint does not speak the protocol") from None
    if not isinstance(text, str) or why not in ("stop", None):
        raise JudgeFailure(f"the judge gave no whole reply (finish_reason {why!r})")
    return text


@dataclass(frozen=True, slots=True)
class Local:
    """A checkpoint folder, run by this repository's engine with the schema as a constraint."""

    path: Path

    @property
    def name(self) -> str:
        return f"engine:{self.path.name}"

    def complete(self, system: str, user: str, schema: Mapping[str, Any], seed: int) -> str:
        from engine import SamplingParams
        from engine.errors import EngineError, PromptTooLong

        try:
            params = SamplingParams(temperature=0.0, seed=seed, max_tokens=REPLY_TOKENS, json_schema=dict(schema))
            with _stepping:
                llm = _engine(self.path)
                done = llm.generate([_prompt(llm.tokenizer, system, user)], params)[0]
        except PromptTooLong:
            raise TooLong(TOO_LONG) from None
        except (EngineError, OSError, MemoryError, RuntimeError) as error:
            raise JudgeFailure(f"the engine can't judge with this checkpoint: {error}") from None
        if done.error or not done.outputs or done.outputs[0].finish_reason != "stop":
            raise JudgeFailure(f"the engine gave no whole reply ({done.error or 'cut off'})")
        return str(done.outputs[0].text)


def _prompt(tokenizer: Any, system: str, user: str) -> list[int]:
    """The tokens of a chat, or of plain text where the checkpoint has no template for chats. Nothing that a candidate wrote becomes a control token:
    one that ends the text and begins the judge's own words would let the candidate speak for the judge."""
    if tokenizer is None:
        raise JudgeFailure("the judge's checkpoint has no tokenizer")
    if not tokenizer.chat_template:
        return list(tokenizer.encode(f"{system}\n\n{user}\n\nJSON:\n", plain=True))
    return list(tokenizer.chat_ids([{"role": "system", "content": system}, {"role": "user", "content": user}], plain=True))


@cache
def _engine(path: Path) -> Any:
    from engine import LLM

    return LLM(path)


def model_of(*, url: str = "", model: str = "", key: str = "", checkpoint: str = "", timeout: float = 60.0) -> Model | None:
    """The model that the settings name; None when they name none, which is the default.

    Raises:
        ValueError: two are named, or the endpoint's address or model is wrong.
    """
    if not url and not checkpoint:
        return None
    if url and checkpoint:
        raise ValueError("name an endpoint or a checkpoint for the judge, not both")
    if checkpoint:
        return Local(Path(checkpoint).resolve())
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"the judge's address {url!r} is no http(s) address")
    if not model:
        raise ValueError("the judge's endpoint needs the name of a model")
    if not 0 < timeout <= 600:
        raise ValueError("the judge's time limit is over 0 and at most 600 seconds")
    return Endpoint(url, model, key, timeout)
