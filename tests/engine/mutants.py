"""Puts bugs back: a method is replaced by itself with one piece of its source changed, or wrapped in what spoils its result."""

from __future__ import annotations
import __future__

import inspect
import itertools
import textwrap
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from engine import LLM, lora
from engine.attention import TorchAttention
from engine.batch import Batch
from engine.prefix import HashPrefixCache
from engine.radix import RadixPrefixCache
from engine.runner import Runner
from engine.scheduler import FairScheduler

CACHES = [HashPrefixCache, RadixPrefixCache]


def put_back(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, right: str, wrong: str) -> None:
    """Change `right` to `wrong` in the source of ``owner.name`` (a function, method, static method or property)."""
    found = inspect.getattr_static(owner, name)
    function = found.fget if isinstance(found, property) else getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(function))
    assert right in source, f"{name} reads otherwise now, so its bug can't be put back: look for {right!r}"
    namespace = vars(inspect.getmodule(function)).copy()
    code = compile(source.replace(right, wrong), f"<{name} with a bug>", "exec", flags=__future__.annotations.compiler_flag, dont_inherit=True)
    exec(code, namespace)  # our own source, changed by our own words
    monkeypatch.setattr(owner, name, namespace[name])


def source(owner: Any, name: str, right: str, wrong: str) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda monkeypatch: put_back(monkeypatch, owner, name, right, wrong)


def both_caches(name: str, right: str, wrong: str) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda monkeypatch: [put_back(monkeypatch, cache, name, right, wrong) for cache in CACHES] and None


def batches(change: Callable[[Batch], Batch]) -> Callable[[pytest.MonkeyPatch], None]:
    """Every batch is changed after it is laid out."""
    build = Batch.build.__func__  # type: ignore[attr-defined]
    return lambda monkeypatch: monkeypatch.setattr(Batch, "build", classmethod(lambda cls, *args, **kwargs: change(build(cls, *args, **kwargs))))


def single(batch: Batch) -> torch.Tensor:
    """Which rows compute one token."""
    return batch.q_start.diff() == 1


def whole_prompt(batch: Batch) -> Batch:
    pages = torch.tensor([len(set(row)) for row in batch.pages.tolist()])
    return replace(batch, kv_len=torch.minimum(batch.kv_len + 2, pages * 4), scratch={})


def no_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    call = TorchAttention.__call__
    monkeypatch.setattr(
        TorchAttention, "__call__",
        lambda self, q, kv, batch, scale, window=None: call(
            self, q, kv, replace(batch, kv_len=torch.where(single(batch), 1, batch.kv_len), scratch={}), scale, window
        ),
    )  # fmt: skip


def no_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    call = TorchAttention.__call__
    monkeypatch.setattr(
        TorchAttention, "__call__",
        lambda self, q, kv, batch, scale, window=None: call(self, q, kv, replace(batch, tree=None, scratch={}), scale, window),
    )  # fmt: skip


def early(monkeypatch: pytest.MonkeyPatch) -> None:
    enter = FairScheduler._enter

    def wrong(self: FairScheduler, plan: Any, request: Any, budget: int) -> int | None:
        tokens = enter(self, plan, request, budget)
        if tokens is not None and self.pool.cache is not None:
            self.pool.cache.insert(request.tokens, request.table.pages, request.key)
        return tokens

    monkeypatch.setattr(FairScheduler, "_enter", wrong)


def by_output(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Runner._layout

    def wrong(self: Runner, rows: Any, drafts: Any, before: Any) -> Any:
        changed = []
        for row in rows:
            skipped = row.n_tokens - 1 if row.request.output_len else 0
            row.request.computed += skipped
            changed.append(row._replace(n_tokens=row.n_tokens - skipped))
        result = layout(self, changed, drafts, before)
        for row, other in zip(rows, changed, strict=True):
            row.request.computed -= row.n_tokens - other.n_tokens
        return result

    monkeypatch.setattr(Runner, "_layout", wrong)


def restart(monkeypatch: pytest.MonkeyPatch) -> None:
    generate = LLM.generate

    def wrong(self: LLM, *args: Any, **kwargs: Any) -> Any:
        self._numbers = itertools.count()
        return generate(self, *args, **kwargs)

    monkeypatch.setattr(LLM, "generate", wrong)


def one_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lora, "_numbers", itertools.repeat(1))
