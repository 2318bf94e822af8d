"""The rows of the bench. Each returns plain numbers by name; rates are per second, times in milliseconds unless the name says otherwise."""

from __future__ import annotations

import gc
import importlib.util
import random
import statistics
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from engine.bench import peers
from engine.bench.shapes import build, weight_bytes
from engine.checkpoint import Checkpoint, checkpoint_path
from engine.grammar import Grammar, GrammarConstraint, VocabularyTrie, compile_schema
from engine.llm import LLM
from engine.params import RequestOutput, SamplingParams
from engine.verify import expected_tokens

Report = dict[str, Any]


@dataclass(frozen=True)
class Row:
    help: str
    measure: Callable[[Namespace], Report]
    defaults: tuple[dict[str, int], dict[str, int]]  # on a CPU, on a GPU


def bandwidth(device: str) -> float:
    """Bytes per second that a pass over memory reads here and now: the best of several sums over an array far larger than any cache."""
    values = torch.ones((1 << 30 if device != "cpu" else 1 << 26), dtype=torch.float32, device=device)
    best = 0.0
    for _ in range(5):
        _wait(device)
        start = time.perf_counter()
        values.sum()
        _wait(device)
        best = max(best, values.numel() * 4 / (time.perf_counter() - start))
    return best


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def _mixed(args: Namespace, vocabulary: int) -> tuple[list[list[int]], list[int]]:
    """Prompts and output lengths, each uniform from a tenth of `--tokens` up to it (of 1,024: 100 to 1,024)."""
    rng = random.Random(args.seed)
    least = max(1, args.tokens * 100 // 1024)
    prompts = [[rng.randrange(2, vocabulary) for _ in range(rng.randint(least, args.tokens))] for _ in range(args.requests)]
    return prompts, [rng.randint(least, args.tokens) for _ in range(args.requests)]


def _engine(checkpoint: Checkpoint, args: Namespace, **more: Any) -> LLM:
    """A fresh engine. The caller drops the one before first: an engine refers to itself, so its pool is memory until it is collected."""
    gc.collect()
    if args.device != "cpu":
        torch.cuda.empty_cache()
    need = args.requests * -(-2 * args.tokens // 16) + args.requests
    return LLM(checkpoint, args.dtype, args.device, kernels=args.kernels, graphs=False if args.no_graphs else None, n_pages=more.pop("n_pages", need),
               max_running=max(256, args.requests),
               max_batch_tokens=max(8192, args.requests), kv_memory=1 << 34, **more)  # fmt: skip


def throughput(args: Namespace) -> Report:
    """Requests of mixed lengths, all there at the start, greedy, no end of sequence. The peer decodes one padded batch until its longest is done."""
    peer = peers.transformers_model(args.shape, args.seed) if args.device == "cpu" else None
    checkpoint = peer.checkpoint if peer else build(args.shape, args.dtype, args.device, args.seed)
    prompts, lengths = _mixed(args, checkpoint.config.vocab_size)
    params = [SamplingParams(temperature=0, max_tokens=n, ignore_eos=True) for n in lengths]
    total, ours, theirs, equal = sum(lengths), list[float](), list[float](), 0
    for _ in range(args.repeat):
        llm = _engine(checkpoint, args, prefix_cache=None)
        start = time.perf_counter()
        outputs = llm.generate(prompts, params)
        ours.append(total / (time.perf_counter() - start))
        if peer:
            start = time.perf_counter()
            answers = peer.generate(prompts, lengths)
            theirs.append(total / (time.perf_counter() - start))
            equal = sum(o.outputs[0].token_ids == a for o, a in zip(outputs, answers, strict=True))
        del llm
    report: Report = {"output_tokens": total, "tokens_per_second": statistics.median(ours)}
    if peer:
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        report |= {"peer": "transformers generate, one padded batch", "peer_tokens_per_second": statistics.median(theirs),
                   "ratio": statistics.median(ratios), "answers_equal_to_the_peer": equal}  # fmt: skip
    return report | _bound(checkpoint, args, [(len(p), n) for p, n in zip(prompts, lengths, strict=True)])


def _bound(checkpoint: Checkpoint, args: Namespace, work: list[tuple[int, int]]) -> Report:
    """The memory bound of decoding `work` (prompt, output) as one batch: each step reads the weights once and each live context once."""
    speed, per_token = bandwidth(args.device), checkpoint.config.kv_bytes_per_token(checkpoint.model.dtype.itemsize)
    steps = max(n for _, n in work)
    read = steps * weight_bytes(checkpoint) + sum(per_token * (prompt * n + n * n // 2) for prompt, n in work)
    return {"bandwidth_GB_per_second": speed / 1e9, "bound_tokens_per_second": sum(n for _, n in work) / (read / speed)}


def decode(args: Namespace) -> Report:
    """`--requests` sequences of `--tokens` context, decoded together: tokens per second of decode steps alone."""
    checkpoint = build(args.shape, args.dtype, args.device, args.seed)
    rng = random.Random(args.seed)
    steps = 64
    prompts = [[rng.randrange(2, checkpoint.config.vocab_size) for _ in range(args.tokens)] for _ in range(args.requests)]
    rates = []
    for _ in range(args.repeat):
        llm = _engine(checkpoint, args, prefix_cache=None, n_pages=args.requests * (-(-(args.tokens + 2 * steps) // 16) + 1))
        for prompt in prompts:
            llm.submit(prompt, SamplingParams(temperature=0, max_tokens=2 * steps, ignore_eos=True))
        while any(not r.output_len for r in llm.engine.scheduler.running) or llm.engine.scheduler.waiting:
            llm.step()
        _wait(args.device)
        start = time.perf_counter()
        for _ in range(steps):
            llm.step()
        _wait(args.device)
        rates.append(args.requests * steps / (time.perf_counter() - start))
        del llm
    bound = _bound(checkpoint, args, [(args.tokens, steps)] * args.requests)
    return {"tokens_per_second": statistics.median(rates), **bound, "share_of_bound": statistics.median(rates) / bound["bound_tokens_per_second"]}


def prefix(args: Namespace) -> Report:
    """Chats over shared prefixes, half as long as `--tokens`: a sixteenth as many prefixes as requests, all there at once. TTFT with and without the cache."""
    checkpoint = build(args.shape, args.dtype, args.device, args.seed)
    rng = random.Random(args.seed)
    heads = [[rng.randrange(2, checkpoint.config.vocab_size) for _ in range(args.tokens // 2)] for _ in range(max(1, args.requests // 16))]
    prompts = [[*rng.choice(heads), *(rng.randrange(2, checkpoint.config.vocab_size) for _ in range(args.tokens // 16))] for _ in range(args.requests)]
    params = SamplingParams(temperature=0, max_tokens=16, ignore_eos=True)
    ttft: dict[str, list[float]] = {"with": [], "without": []}
    hits, pages = 0.0, sum(-(-(len(p) + 16) // 16) + 1 for p in [*prompts, *heads])  # what they hold when nothing is shared
    for _ in range(args.repeat):
        for name in ttft:
            llm = _engine(checkpoint, args, prefix_cache="hash" if name == "with" else None, n_pages=pages)
            if name == "with":
                llm.generate(heads, params)  # the prefixes have been seen before
            outputs = llm.generate(prompts, params)
            ttft[name].append(1000 * statistics.median(o.metrics["ttft"] for o in outputs))
            if name == "with":
                hits = llm.stats()["cache"]["hit_rate"]
            del llm
    ratios = [a / b for a, b in zip(ttft["with"], ttft["without"], strict=True)]
    return {"ttft_p50_ms_with_cache": statistics.median(ttft["with"]), "ttft_p50_ms_without": statistics.median(ttft["without"]),
            "ratio": statistics.median(ratios), "hit_rate": hits, "bound_ratio": (args.tokens // 16) / (args.tokens // 2 + args.tokens // 16)}  # fmt: skip


def speculative(args: Namespace) -> Report:
    """The shipped pair at temperature 1 and k = 4: tokens per target pass beside (1 - a^5) / (1 - a) of the acceptance a of the same run."""
    llm = LLM(checkpoint_path("target"), n_pages=1024, draft=checkpoint_path("draft"), draft_tokens=4)
    prompts = ["The scheduler", "A block table", "During prefill", "The draft model", "When a request"]
    params = [SamplingParams(temperature=1, max_tokens=args.tokens, seed=args.seed + n, ignore_eos=True) for n in range(args.requests)]
    llm.generate([prompts[n % len(prompts)] for n in range(args.requests)], params)
    found = llm.stats()["speculation"]
    first = found["by_depth"][0]
    theory = expected_tokens(found["acceptance"], 4)
    return {"passes": found["rows"], "tokens_per_pass": found["tokens_per_pass"], "acceptance": found["acceptance"],
            "acceptance_by_depth": [round(taken / tried, 3) for tried, taken in found["by_depth"] if tried], "acceptance_at_depth_one": first[1] / first[0],
            "bound_tokens_per_pass": theory, "ratio_to_theory": found["tokens_per_pass"] / theory}  # fmt: skip


def serve(args: Namespace) -> Report:
    """Requests that arrive at random (Poisson) at half of the rate that the engine sustains: TTFT and TPOT as a client sees them."""
    checkpoint = build(args.shape, args.dtype, args.device, args.seed)
    prompts, lengths = _mixed(args, checkpoint.config.vocab_size)
    params = [SamplingParams(temperature=0, max_tokens=n, ignore_eos=True) for n in lengths]
    llm = _engine(checkpoint, args)
    start = time.perf_counter()
    llm.generate(prompts, params)
    rate = args.requests / (time.perf_counter() - start) / 2
    rng, at, due = random.Random(args.seed + 1), 0.0, list[float]()
    for _ in range(args.requests):
        at += rng.expovariate(rate)
        due.append(at)
    del llm
    llm = _engine(checkpoint, args)
    done: list[RequestOutput] = []
    start, sent = time.perf_counter(), 0
    while len(done) < args.requests:
        while sent < args.requests and due[sent] <= time.perf_counter() - start:
            llm.submit(prompts[sent], params[sent])
            sent += 1
        if llm.idle:
            time.sleep(min(0.001, max(0.0, due[sent] - (time.perf_counter() - start))))
        done += [o for o in llm.step() if o.finished]
    report: Report = {"requests_per_second": rate}
    for name in ("ttft", "tpot"):
        values = sorted(1000 * o.metrics[name] for o in done)
        report |= {f"{name}_ms_p50": values[len(values) // 2], f"{name}_ms_p95": values[int(0.95 * (len(values) - 1))]}
    return report


SCHEMA = {"type": "object", "required": ["name", "calls", "score"], "additionalProperties": False, "properties": {
    "name": {"type": "string"}, "score": {"type": "number"}, "done": {"type": "boolean"},
    "calls": {"type": "array", "items": {"type": "object", "required": ["tool", "arguments"], "additionalProperties": False, "properties": {
        "tool": {"enum": ["search", "open", "run"]}, "arguments": {"type": "array", "items": {"type": "string"}}, "limit": {"type": "integer"}}}}}}  # fmt: skip


def grammar(args: Namespace) -> Report:
    """`--tokens` made-up tokens (a byte each for the first 256): compile of a JSON schema, the first mask of a state, and a mask met before."""
    rng = random.Random(args.seed)
    words = dict.fromkeys(bytes([b]) for b in range(256))
    while len(words) < args.tokens:
        word = bytes(rng.choice(b"etaoinshrdlucmfwypvbgk") for _ in range(rng.randint(2, 9)))
        words[(b" " if rng.random() < 0.5 else b"") + word + (rng.choice([b'"', b'",', b'":', b"}", b".", b"1"]) if rng.random() < 0.08 else b"")] = None
    tokens = list(words)
    vocabulary = VocabularyTrie(tokens)
    compiled, cold, warm = list[float](), list[float](), list[float]()
    for run in range(max(3, args.repeat)):
        start = time.perf_counter()
        made = Grammar(compile_schema(SCHEMA), vocabulary, frozenset([len(tokens)]), len(tokens) + 1)
        compiled.append(1e3 * (time.perf_counter() - start))
        for times in (cold, warm):
            constraint, choose = GrammarConstraint(made, canonical=False), random.Random(args.seed + run)
            for _ in range(args.requests):
                start = time.perf_counter()
                mask = constraint.mask()
                times.append(1e6 * (time.perf_counter() - start))
                allowed = [t for t in mask.nonzero().flatten().tolist() if t < len(tokens)]
                if not allowed:
                    break
                constraint.advance(choose.choice(allowed))
    report: Report = {"vocabulary": len(tokens), "compile_ms_p50": statistics.median(compiled), "first_mask_us_p50": statistics.median(cold),
                      "first_mask_us_p95": sorted(cold)[int(0.95 * (len(cold) - 1))], "mask_us_p50": statistics.median(warm),
                      "mask_us_p95": sorted(warm)[int(0.95 * (len(warm) - 1))]}  # fmt: skip
    if importlib.util.find_spec("llguidance"):
        report |= peers.llguidance_masks(SCHEMA, tokens, args.requests, args.seed)
    return report


ROWS = {
    "throughput": Row("mixed requests, beside transformers on a CPU", throughput, ({"requests": 32, "tokens": 128}, {"requests": 256, "tokens": 1024})),
    "decode": Row("decode steps of a batch beside the memory bound", decode, ({"requests": 1, "tokens": 128}, {"requests": 1, "tokens": 128})),
    "prefix": Row("TTFT of chats over shared prefixes", prefix, ({"requests": 32, "tokens": 512}, {"requests": 512, "tokens": 1024})),
    "speculative": Row("tokens per target pass of the shipped pair", speculative, ({"requests": 16, "tokens": 200}, {"requests": 16, "tokens": 200})),
    "serve": Row("TTFT and TPOT under random arrivals", serve, ({"requests": 32, "tokens": 96}, {"requests": 256, "tokens": 512})),
    "grammar": Row("masks over a vocabulary", grammar, ({"requests": 60, "tokens": 128_000}, {"requests": 60, "tokens": 128_000})),
}
