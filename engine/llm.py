"""The public face: a checkpoint and its engine behind `generate`."""

from __future__ import annotations

import itertools
import operator
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from engine.checkpoint import Checkpoint, load_checkpoint
from engine.detokenize import StreamingDetokenizer
from engine.engine import Engine
from engine.errors import PromptTooLong, RequestError
from engine.grammar import Grammar, GrammarConstraint, VocabularyTrie, compile_grammar, schema_text
from engine.graphs import Capture, capture_of, graphed, ops_of
from engine.heal import Spelling, cut
from engine.kv import PagedKV
from engine.lora import Adapter, load_adapter
from engine.noise import DRAFT, SAMPLE, splitmix
from engine.outputs import Ending
from engine.pages import PageAllocator, Pool
from engine.params import RequestOutput, SamplingParams
from engine.prefix import HashPrefixCache
from engine.radix import RadixPrefixCache
from engine.request import Group, Request
from engine.runner import Runner
from engine.sampling import GumbelSampler
from engine.scheduler import FairScheduler, Limits
from engine.seams import CacheKey, Drafter, Ops, PrefixCache, Verifier
from engine.speculate import ModelDrafter, NGramDrafter
from engine.verify import CoupledVerifier, RejectionVerifier

Prompt = str | Sequence[int]
GrammarKey = tuple[str | None, str | None]  # GBNF, or the text of a JSON schema
MAX_GRAMMARS = 64  # compiled ones that are kept


@dataclass(frozen=True)
class Prepared:
    """A prompt that was read and a grammar that was compiled: all of `LLM.submit` that takes time. Made by `LLM.prepare`, or in two parts by
    `LLM.read` and, where a grammar is `missing`, `LLM.compile`."""

    text: str | None
    tokens: list[int]
    params: SamplingParams
    grammar: Grammar | None

    @property
    def missing(self) -> bool:
        """Whether there is a grammar to compile."""
        return self.params.constrained and self.grammar is None


class LLM:
    """An engine over one checkpoint.

    `path`: a checkpoint folder (or a loaded Checkpoint). `dtype`: float32, bfloat16 or float16. `device`: "cpu", "cuda".
    `mode`: "exact" (float32, plain torch; equals transformers) or "fast" (reduced precision); by default "exact"
    for float32 and "fast" otherwise.
    `kernels`: "torch" or "triton"; by default Triton's on GPUs in mode "fast". Without a GPU Triton interprets them, slowly.
    `batch_invariant`: a row's numbers, not only its tokens, are the same to the bit whatever else is in the batch (Triton only).
    `graphs`: record decode passes as CUDA graphs; by default on GPUs with Triton's kernels.
    `n_pages`, `page_size`: the pool; by default as many pages as `kv_memory` bytes hold, and no more than can be used.
    `kv_codec`: None, "int8" or "fp8". `prefix_cache`: "hash", "radix" or None.
    `draft`: None, "ngram", or the folder of a smaller checkpoint with the same vocabulary; `draft_tokens` per step, or
    `draft_tree` with the children per node at each depth. `acceptance`: "rejection" (accepts most; a seed fixes the text only under one
    schedule, for how far a text is drafted depends on its company) or "coupled" (samples the very tokens that it would without a drafter).
    `overlap`: 1 plans and launches a step before the one before has been read; by default on GPUs only.
    `seed`: of requests that bring none. `limits`: fields of `engine.scheduler.Limits`.
    """

    def __init__(
        self,
        path: str | Path | Checkpoint,
        dtype: str = "float32",
        device: str = "cpu",
        *,
        mode: Literal["exact", "fast"] | None = None,
        kernels: Literal["torch", "triton"] | None = None,
        batch_invariant: bool = False,
        graphs: bool | Capture | None = None,
        n_pages: int | None = None,
        page_size: int = 16,
        kv_memory: int = 1 << 28,
        kv_codec: str | None = None,
        prefix_cache: Literal["hash", "radix"] | None = "hash",
        draft: str | Path | Checkpoint | None = None,
        draft_tokens: int = 4,
        draft_tree: Sequence[int] | None = None,
        acceptance: Literal["rejection", "coupled"] = "rejection",
        overlap: int | None = None,
        seed: int = 0,
        max_length: int | None = None,
        **limits: Any,
    ):
        self.mode = mode or ("exact" if dtype == "float32" else "fast")
        if self.mode == "exact" and dtype != "float32":
            raise RequestError(f"mode 'exact' means float32, not {dtype}")
        on_gpu = _on_gpu(device)
        if page_size < 1 or (n_pages is not None and n_pages < 1):
            raise RequestError(f"page_size = {page_size}, n_pages = {n_pages}: the pool needs at least one page of one token")
        self.kernels = kernels or ("triton" if on_gpu and self.mode == "fast" else "torch")
        ops, draw = ops_of(self.kernels, batch_invariant)
        capture = capture_of(graphs, self.kernels, on_gpu)
        self.checkpoint = path if isinstance(path, Checkpoint) else load_checkpoint(path, dtype, device)
        if ops is not None:
            self.checkpoint = replace(self.checkpoint, model=self.checkpoint.model.with_ops(ops))
        self.config, self.tokenizer = self.checkpoint.config, self.checkpoint.tokenizer
        self.seed = seed
        self.adapters: dict[str, Adapter] = {}
        self._numbers = itertools.count()
        self._grammars: dict[GrammarKey, Grammar] = {}
        self._compiling = threading.Lock()
        self._others: dict[str, RequestOutput] = {}  # outputs that came while somebody else's were waited for
        self._vocabulary: VocabularyTrie | None = None
        model = self.checkpoint.model
        most = min(max_length or self.config.max_position, self.config.max_position)
        self.limits = bounds = Limits(max_length=most, **limits)
        per_page = page_size * self.config.kv_bytes_per_token(model.dtype.itemsize)
        usable = bounds.max_running * -(-most // page_size)
        n_pages = n_pages if n_pages is not None else max(1, min(kv_memory // per_page, usable))
        # The last page, which no request ever holds, is for the padding rows of graphs.
        try:
            self.kv = PagedKV(self.config, n_pages + (capture is not None), page_size, model.dtype, model.device, kv_codec)
        except (RuntimeError, OverflowError, TypeError) as error:  # more than the memory, than 2**63 bytes, than a size can be
            raise RequestError(f"n_pages = {n_pages}, page_size = {page_size}: a pool of {n_pages * per_page // 2**30:,} GiB can't be had") from error
        self.width = -(-most // page_size)
        allocator = PageAllocator(n_pages)
        self.pool = Pool(allocator, page_size, self._cache(prefix_cache, allocator, page_size))
        self.sampler = GumbelSampler(self.config.eos_ids, draw)
        verifier: Verifier = CoupledVerifier() if acceptance == "coupled" else RejectionVerifier()
        drafter = self._drafter(draft, draft_tree or (1,) * draft_tokens, dtype, device, acceptance, ops, capture)
        scheduler = FairScheduler(self.pool, bounds, getattr(drafter, "k", 0), isinstance(drafter, ModelDrafter))
        self.engine = Engine(
            scheduler,
            Runner(graphed(model, self.kv, self.width, capture), self.kv, self.sampler, drafter, verifier),
            Ending(self.config.eos_ids, most),
            overlap=(1 if model.device.type == "cuda" else 0) if overlap is None else overlap,
            decode=self._decode,
            equip=self._equip,
        )

    # -- use ---------------------------------------------------------------------------------------------------------

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        **extra: Any,
    ) -> list[RequestOutput]:
        """Answer prompts (texts or lists of token ids) and return when all are done, in the order of the prompts.

        `params` is one for all or one for each. `extra`: `priority`, `adapter`, `salt`, as in `submit`.
        A request that can't be served raises RequestError before anything runs.
        """
        many = _as_prompts(prompts)
        each = list(params) if isinstance(params, Sequence) else [params or SamplingParams()] * len(many)
        if len(each) != len(many):
            raise RequestError(f"{len(many)} prompts, but {len(each)} sampling params")
        ids: list[str] = []
        try:
            for prompt, p in zip(many, each, strict=True):
                ids.append(self.submit(prompt, p, **extra))
            done: dict[str, RequestOutput] = {}
            while len(done) < len(ids):
                done |= {output.request_id: output for output in self._step_for(ids) if output.finished}
            return [done[request_id] for request_id in ids]
        finally:
            self._leave(ids)

    def stream(self, prompt: Prompt, params: SamplingParams | None = None, **extra: Any) -> Iterator[RequestOutput]:
        """Outputs as they grow; `delta` is the new text. Closing the iterator aborts the request."""
        request_id = self.submit(prompt, params, **extra)
        try:
            while True:
                for output in self._step_for([request_id]):
                    yield output
                    if output.finished:
                        return
        finally:
            self._leave([request_id])

    def _step_for(self, ids: Collection[str]) -> list[RequestOutput]:
        """A step, and its outputs of these requests. Those of others are kept for the step that asks for them."""
        own = []
        for output in self.step():
            if output.request_id in ids:
                own.append(output)
            else:
                before = self._others.get(output.request_id)
                self._others[output.request_id] = replace(output, delta=before.delta + output.delta) if before else output
        return own

    def _leave(self, ids: Sequence[str]) -> None:
        """End those of the requests that are still there, unreported."""
        left = [request_id for request_id in ids if self.abort(request_id)]
        if left:
            self._step_for(left)

    def prepare(self, prompt: Prompt, params: SamplingParams | None = None) -> Prepared:
        """Read a prompt and compile its grammar, for `submit`: what takes time, touches no request, and may run on any thread.
        RequestError or ConstraintError says why it can't be served."""
        return self.compile(self.read(prompt, params))

    def read(self, prompt: Prompt, params: SamplingParams | None = None) -> Prepared:
        """The first part of `prepare`, which waits for nobody: a grammar is there if it was compiled for somebody else."""
        params = params or SamplingParams()
        tokens = self._tokens(prompt)
        unknown = [t for t in params.logit_bias if not 0 <= t < self.config.vocab_size]
        if unknown:
            raise RequestError(f"SamplingParams.logit_bias: token {unknown[0]} is outside the vocabulary")
        if self.tokenizer is None and (params.stop or params.heal or params.constrained):
            raise RequestError("this checkpoint has no tokenizer, so it serves no stop strings, no healing and no grammars")
        if params.guidance_scale != 1 and params.negative_prompt is not None:
            params = params.clone(negative_prompt=self._tokens(params.negative_prompt))
        grammar = self._known(_grammar_key(params)) if params.constrained else None
        return Prepared(prompt if isinstance(prompt, str) else None, tokens, params, grammar)

    def compile(self, ready: Prepared) -> Prepared:
        """The second part of `prepare`: the grammar, if it is missing. One is compiled at a time; the others wait."""
        return replace(ready, grammar=self._grammar(ready.params)) if ready.missing else ready

    def submit(
        self,
        prompt: Prompt | Prepared,
        params: SamplingParams | None = None,
        *,
        request_id: str | None = None,
        priority: int = 0,
        adapter: str | None = None,
        salt: str | None = None,
    ) -> str:
        """Queue a request for `step`; its id. RequestError (or QueueFull) says why one can't be served.

        `params`: not of a prompt that was prepared, which has its own. `priority`: lower is more urgent. `adapter`: the name of
        a loaded one. `salt`: requests share cached prefixes only with those of the same salt.
        """
        ready = self.compile(prompt if isinstance(prompt, Prepared) else self.read(prompt, params))
        params, tokens = ready.params, ready.tokens
        number = next(self._numbers)
        while not request_id and f"request-{number}" in self.engine.groups:  # a caller chose that name
            number = next(self._numbers)
        request_id = request_id or f"request-{number}"
        if adapter is not None and adapter not in self.adapters:
            raise RequestError(f"no adapter {adapter!r}; loaded are {sorted(self.adapters)}")
        spell = b""
        if params.heal and self.tokenizer is not None:
            tokens, spell = cut(tokens, self.tokenizer.vocabulary)
        weights = self.adapters[adapter] if adapter is not None else None
        seed = params.seed if params.seed is not None else splitmix(self.seed ^ splitmix(number))
        group = Group(request_id, ready.text, tokens, params, seed, grammar=ready.grammar, spell=spell)
        request = Request(
            request_id, list(tokens), len(tokens), params, seed, 0, priority,
            CacheKey(weights.uid if weights else None, salt), weights, group, mu=2 * (params.mirostat_tau or 0.0),
        )  # fmt: skip
        group.members.append(request)
        requests = [request]
        if params.guidance_scale != 1:
            requests.append(self._shadow(request))
        self.engine.add(group, requests)
        return request_id

    def step(self) -> list[RequestOutput]:
        """One engine step; see `Engine.step`."""
        made = self.engine.step()
        kept, self._others = self._others, {}
        return [*kept.values(), *made]

    def abort(self, request_id: str) -> bool:
        """End a request and release its pages at once; the next step reports it. False when it is unknown."""
        return self.engine.abort(request_id)

    @property
    def idle(self) -> bool:
        return self.engine.idle and not self._others

    def room(self, tokens: Sequence[int], params: Mapping[str, Any]) -> int:
        """How many tokens fit behind a prompt for these fields of SamplingParams; none where it is less than 1."""
        scheduler, negative = self.engine.scheduler, params.get("negative_prompt")
        if params.get("guidance_scale", 1) != 1:
            return scheduler.room(max(len(tokens), len(self._tokens(negative)) if negative else 1), width=2, pair=True)
        return scheduler.room(len(tokens), max(1, params.get("n", 1)))

    def stats(self) -> dict[str, Any]:
        return self.engine.stats()

    def load_adapter(self, name: str, folder: str | Path) -> None:
        """Load a LoRA adapter under a name. Under a name in use it replaces the old one for new requests; those that
        run keep theirs, and cached pages of the old one are never found again."""
        model = self.checkpoint.model
        self.adapters[name] = load_adapter(folder, self.config, model.dtype, model.device, name)

    def drop_adapter(self, name: str) -> None:
        """Forget an adapter; requests that run with it keep it until they end."""
        if self.adapters.pop(name, None) is None:
            raise RequestError(f"no adapter {name!r}")

    # -- parts -------------------------------------------------------------------------------------------------------

    @staticmethod
    def _cache(kind: str | None, allocator: PageAllocator, page_size: int) -> PrefixCache | None:
        if kind is None:
            return None
        if kind not in ("hash", "radix"):
            raise RequestError(f"prefix cache {kind!r} is unknown; there are hash, radix and None")
        return HashPrefixCache(allocator, page_size) if kind == "hash" else RadixPrefixCache(allocator, page_size)

    def _drafter(
        self, draft: Any, widths: Sequence[int], dtype: str, device: str, acceptance: str, ops: Ops | None, capture: Capture | None
    ) -> Drafter | None:  # fmt: skip
        if draft is None:
            return None
        if draft == "ngram":
            return NGramDrafter(len(widths))
        small = draft if isinstance(draft, Checkpoint) else load_checkpoint(draft, dtype, device)
        if small.config.vocab_size != self.config.vocab_size:
            raise RequestError(
                f"the draft model has {small.config.vocab_size} tokens, the target {self.config.vocab_size}; they must match"
            )
        if small.config.max_position < min(self.config.max_position, self.limits.max_length):
            raise RequestError(f"the draft model has only {small.config.max_position} positions")
        kv = PagedKV(small.config, self.kv.n_pages, self.kv.page_size, self.kv.dtype, self.kv.device)
        stream = SAMPLE if acceptance == "coupled" else DRAFT
        model = small.model if ops is None else small.model.with_ops(ops)
        return ModelDrafter(graphed(model, kv, self.width, capture), kv, self.sampler, widths, stream)

    def _shadow(self, request: Request) -> Request:
        """The unconditional half of a guided request: the negative prompt, or the prompt's last token alone."""
        negative = request.params.negative_prompt
        tokens = self._tokens(negative) if negative is not None else request.tokens[-1:]
        shadow = Request(
            f"{request.id}/unconditional", list(tokens), len(tokens), request.params, request.seed, 0, request.priority,
            request.key, request.adapter, request.group, partner=request, shadow=True,
        )  # fmt: skip
        request.partner = shadow
        return shadow

    def check_size(self, texts: Iterable[str]) -> None:
        """PromptTooLong for texts that have more bytes than the model's positions can hold, before they are tokenized: for megabytes that takes seconds."""
        size, most = sum(len(text.encode(errors="replace")) for text in texts), self.limits.max_length
        if self.tokenizer is not None and size > most and size > most * self.tokenizer.longest:
            raise PromptTooLong(f"the prompt has {size} bytes, more than {most} positions can hold: shorten it")

    def _tokens(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, str):
            if self.tokenizer is None:
                raise RequestError("this checkpoint has no tokenizer; send token ids")
            self.check_size([prompt])
            tokens = self.tokenizer.encode(prompt)
        else:
            tokens = [int(token) for token in prompt]
        if not tokens:
            raise RequestError("the prompt has no tokens")
        wrong = next((t for t in tokens if not 0 <= t < self.config.vocab_size), None)
        if wrong is not None:
            raise RequestError(f"prompt token {wrong} is outside the vocabulary of {self.config.vocab_size}")
        return tokens

    def _equip(self, request: Request) -> None:
        """Give a request that starts what reads its tokens and what binds them."""
        p, spell = request.params, request.group.spell if request.group else b""
        if self.tokenizer is not None and p.beam_width is None:
            spelled = self.tokenizer.token_bytes if p.skip_special_tokens else self.tokenizer.text_bytes
            request.detokenizer = StreamingDetokenizer(spelled, p.stop, p.include_stop, len(spell), p.min_tokens if p.stop else 0)
            if p.constrained:
                assert request.group is not None
                request.constraint = GrammarConstraint(request.group.grammar)
            elif spell:
                request.constraint = Spelling(self.tokenizer.vocabulary, spell, self.config.vocab_size)

    def _known(self, key: GrammarKey) -> Grammar | None:
        found = self._grammars.get(key)
        return found if found is not None and not found.grown else None

    def _grammar(self, p: SamplingParams) -> Grammar:
        """The compiled grammar of a request, kept for the next one that asks for it. ConstraintError says what is wrong with it."""
        assert self.tokenizer is not None
        key = _grammar_key(p)
        with self._compiling:
            found = self._known(key)
            if found is None:
                if self._vocabulary is None:
                    self._vocabulary = VocabularyTrie(self.tokenizer.vocabulary.token_bytes)
                encode = partial(self.tokenizer.encode, special=False)
                found = Grammar(compile_grammar(*key), self._vocabulary, self.config.eos_ids, self.config.vocab_size, encode)
                self._grammars[key] = found
                if len(self._grammars) > MAX_GRAMMARS:
                    self._grammars.pop(next(iter(self._grammars)))
            return found

    def _decode(self, tokens: Sequence[int]) -> str:
        return self.tokenizer.decode(tokens) if self.tokenizer is not None else ""


def _on_gpu(device: str) -> bool:
    """Whether it is a GPU; RequestError where there is no such device."""
    try:
        found = torch.device(device)
    except RuntimeError:
        found = torch.device("meta")
    if found.type not in ("cpu", "cuda"):
        raise RequestError(f"device {device!r} is unknown; there are cpu, cuda and cuda:N")
    if found.type == "cuda" and (found.index or 0) >= (count := torch.cuda.device_count()):
        raise RequestError(f"device {device!r} is not there: torch sees {count} GPUs")
    return found.type == "cuda"


def _grammar_key(p: SamplingParams) -> GrammarKey:
    return p.grammar, schema_text(p.json_schema) if p.json_schema is not None else None


def _as_prompts(prompts: Any) -> list[Prompt]:
    if isinstance(prompts, str) or (len(prompts) and _is_number(prompts[0])):
        return [prompts]
    return list(prompts)


def _is_number(value: Any) -> bool:
    """A token id: an int, or what numpy and torch have for one."""
    try:
        return operator.index(value) is not None and not getattr(value, "ndim", 0)
    except TypeError:
        return False
