"""Forty-three bugs that other engines shipped, and the test here that fails when one is put back.

The numbers are those of the survey that the engine was built from (nano-vllm, mini-sglang, gpt-fast, transformers, vLLM,
SGLang, llama.cpp and others). "mutant" means `test_a_bug_that_is_put_back_is_found[number ...]` in this module: it runs
the check right, changes the engine's source in memory, and requires that the check fails.

 1 lone request preempts itself; prompt larger than the pool  mutants 1; test_lifecycle: ...fills_the_pool..., ...refused_by_name...
 2 tokens counted before the prefix hit                       mutant 2
 3 attention over keys that are not written yet               mutant 3
 4 whole prompt cached, page multiple: no query token         mutant 4
 5 "prefill" decided by the output's length                   mutant 5
 6 pages entered in the cache before they are computed        mutant 6
 7 equal prompts in one step: a later page takes the name     mutant 7
 8 a chain of hashes that starts over                         mutants 8
 9 an evicted page stays in the map                           mutant 9
10 one page too many asked for at the edge                    mutant 10
11 position of a decoded token one too high                   mutant 11
12 shards of a bias, 28 vocabulary gather, 30 seeds per rank  not applicable: one device
13 noise that divides by zero                                 mutant 13
14 pool sized without activations, 27 staging buffers        of a real GPU alone
15 prompts first: running requests get no token               mutant 15
16 limit of running requests not held                         mutant 16
17 no check of the length; only one end-of-sequence id        mutants 17
18 no temperature 0                                           mutant 18 (its second half, a library's slow-down, is no matter of results)
19 duplicates freed while a table names them                  mutant 19
20 a match that holds the wrong node, or nothing              mutant 20
21 a match that does not hold its last page                   mutant 21
22 eviction that answers in tokens                            mutants 22
23 the tree keeps a view of a page table                      mutant 23
24 a token sampled from an unfinished chunk                   mutant 24
25 a chunk that does not advance                              mutant 25
26 a graph's padding reads what was there before              test_graphs: ...padding_that_keeps_old_rows_would_be_seen
29 budget never counted; ids start over; past the pool        mutant 29; 34; test_lifecycle: ...fills_the_pool_to_its_last_page
31 verification without its tree mask                         mutant 31
32 decode mask without its offset                             mutant 32
33 a graph's key without what shapes a launch                test_graphs: ...without_the_splits_in_the_key_it_would_be_wrong
34 ids of requests start over                                 mutant 34
35 pages keyed by an adapter's name; name and salt in one     mutants 35
36 a failed admission leaves its count                        mutant 36
37 target without temperature and filters in acceptance       test_speculation: ...without_temperature_or_filters..., and ..._runs
38 noise by rank among what is left                           mutant 38
39 no cache, no progress; evictable pages counted twice       mutants 39; test_pages
40 five wrong acceptance rules                                test_speculation: ...wrong_rule..., ...misstates_its_law...
41 grammars that loop, recurse on the left, or are complete   test_grammars_that_loop_through_nothing_end; test_grammar: ...is_told_where
42 a trimmed cache shows another's text                       mutants 42
43 admission reserves all that a request may ever need        mutant 43
"""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from engine import LLM, SamplingParams, checkpoint_path, lora, noise, prefix
from engine.errors import ConstraintError
from engine.grammar import compile_grammar
from engine.grammar.automaton import DEAD, Automaton
from engine.outputs import Ending
from engine.pages import PageAllocator, PageTable, Pool
from engine.prefix import HashPrefixCache
from engine.radix import RadixPrefixCache
from engine.runner import Runner
from engine.sampling import GumbelSampler
from engine.scheduler import FairScheduler
from engine.seams import CacheKey
from tests.engine import oracle, test_lifecycle, test_pages, test_warpers
from tests.engine.audit import at_rest, audit, watch
from tests.engine.machine import PoolMachine
from tests.engine.mutants import CACHES, batches, both_caches, by_output, early, no_offset, no_tree, one_number, restart, single, source, whole_prompt

KEY = CacheKey()
EIGHT = [5, 6, 7, 8, 9, 10, 11, 12]  # two pages of four
PROMPTS = [EIGHT, [*EIGHT, 13, 14], EIGHT, [*EIGHT, 13, 14, 15, 16, 17, 18], [20, 21, 22], [*EIGHT, 40]]
_wanted: dict[Any, list[int]] = {}


def serve(checkpoints: Any, count: int = 10, **options: Any) -> LLM:
    """All prompts at once through a small pool, then once more one by one; each answers as transformers does."""
    folder, model = checkpoints("llama")
    params = SamplingParams(temperature=0, max_tokens=count, ignore_eos=True)
    llm = watch(LLM(folder, **{"page_size": 4, "n_pages": 12, "max_running": 4, "max_batch_tokens": 20, "chunk": 3, **options}))
    for prompts in (PROMPTS, *([prompt] for prompt in PROMPTS)):
        ids = [llm.submit(prompt, params) for prompt in prompts]
        done: dict[str, Any] = {}
        for _ in range(300):
            before = llm.stats()["tokens"]
            done |= {output.request_id: output.outputs[0].token_ids for output in llm.step() if output.finished}
            audit(llm)
            assert len(llm.engine.scheduler.running) <= llm.limits.max_running
            assert llm.stats()["tokens"] - before <= llm.limits.max_batch_tokens
            if llm.idle:
                break
        for prompt, request_id in zip(prompts, ids, strict=True):
            key = (tuple(prompt), count)
            if key not in _wanted:
                _wanted[key] = oracle.greedy(model, prompt, count, eos_token_id=None)
            assert done.get(request_id) == _wanted[key]
    at_rest(llm)
    return llm


def chain_is_followed(checkpoints: Any) -> None:
    """Sevens after another page are no prompt that starts with sevens, even when the first page is found again."""
    allocator = PageAllocator(8)
    cache = HashPrefixCache(allocator, 4)
    pool = Pool(allocator, 4, cache)
    for tokens in (EIGHT[:4], [*EIGHT[:4], 7, 7, 7, 7]):
        table = PageTable(cache.match(tokens, KEY)[0])
        table.reserve(pool, 4 * len(table.pages), len(tokens))
        table.adopt(pool, cache.insert(tokens, table.pages, KEY))
        table.release(pool)
    assert cache.match([7, 7, 7, 7, 9], KEY) == ([], 0)


def every_bit_gives_finite_noise(checkpoints: Any, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
    with pytest.MonkeyPatch.context() as context:
        for value in (0, noise.M32):
            context.setattr(noise, "bits", lambda keys, lanes, value=value: torch.full((len(keys), len(lanes)), value))
            assert bool(noise.gumbel(torch.tensor([1]), 4).isfinite().all())


def all_end_ids_end(checkpoints: Any) -> None:
    ending = Ending(frozenset({1, 50}), 100)
    for token in (1, 50):
        assert ending.append(test_warpers.request_of([3], 1), token)


def machine_runs(checkpoints: Any, kind: str = "radix") -> None:
    """A run of the pool machine by hand: duplicates, forks, evictions, and all its invariants after each."""
    machine = PoolMachine()
    machine.start(kind, 2, 12)
    steps: list[Callable[[], None]] = [
        lambda: machine.admit([0] * 6, KEY, 1), lambda: machine.admit([0] * 7, KEY, 1), lambda: machine.publish(1), lambda: machine.publish(0),
        lambda: machine.admit([0] * 5, KEY, 2), lambda: machine.fork(1), lambda: machine.append(1, [1, 1, 0]), lambda: machine.speculate(2, 3, 1),
        lambda: machine.end(0, True), lambda: machine.evict(1), lambda: machine.swap(1), lambda: machine.end(0, True), lambda: machine.swap(0),
        lambda: machine.admit([0, 0, 0, 1], KEY, 2), lambda: machine.evict(2), lambda: machine.end(0, True), lambda: machine.evict(5),
        lambda: machine.admit([0] * 6, KEY, 2), lambda: machine.end(0, True), lambda: machine.end(0, True), lambda: machine.end(0, True),
        lambda: machine.evict(1), lambda: machine.evict(5),
    ]  # fmt: skip
    for step in steps:
        step()
        for check in (
            machine.every_reference_is_accounted_for, machine.every_table_holds_its_own_context, machine.a_cached_page_is_full,
            machine.what_counts_as_evictable_can_be_evicted, machine.what_a_sequence_published_is_found_while_it_lives,
        ):  # fmt: skip
            check()
    machine.teardown()


def matches_hold_what_they_answer(checkpoints: Any) -> None:
    for cache in CACHES:
        test_pages.test_what_a_match_holds_is_never_evicted(cache)


def evictions(checkpoints: Any) -> None:
    for kind in ("hash", "radix"):
        machine_runs(checkpoints, kind)


def collisions(checkpoints: Any) -> None:
    test_pages.test_a_colliding_digest_costs_a_hit_and_never_gives_a_wrong_context()


def neighbours_move_no_noise(checkpoints: Any) -> None:
    logits = torch.randn(50, 40, generator=torch.Generator().manual_seed(1)) * 2
    keys = noise.Noise.of([noise.key_of(3, i) for i in range(50)])
    plain = test_warpers.request_of([0], 1)
    draws = [test_warpers.SAMPLER(logits, [plain] * 49 + [last], keys).tokens[:49] for last in (plain, test_warpers.request_of([0], 1, top_k=20))]
    assert torch.equal(*draws)


def a_pool_is_used_for_what_is_there(checkpoints: Any) -> None:
    """Four requests run at once though the pool could not hold the most that they may come to."""
    llm = LLM(checkpoints("llama")[0], n_pages=12, page_size=4, max_running=4)
    for start in range(4):
        llm.submit([start + 5, 6, 7], SamplingParams(temperature=0, max_tokens=40, stop_token_ids=list(range(97))))
    llm.step()
    assert len(llm.engine.scheduler.running) == 0 and llm.idle  # all four had their token in the first step


def keys_stay_apart(checkpoints: Any) -> None:
    for cache in CACHES:
        test_pages.test_no_two_keys_find_each_others_pages(cache)


def reloaded_adapters_stay_apart(checkpoints: Any) -> None:
    """Two loads of different weights under one name."""
    llm = LLM(checkpoints("llama")[0], n_pages=20, page_size=4)
    params = SamplingParams(temperature=0, max_tokens=4)
    for _ in range(2):
        llm.adapters["chat"] = lora.Adapter("chat", {})
        assert llm.generate([EIGHT + EIGHT], params, adapter="chat")[0].cached_tokens == 0


def trees_are_masked(checkpoints: Any) -> None:
    llm = serve(checkpoints, draft=checkpoints("llama")[0], draft_tree=(3, 2), n_pages=16)
    assert llm.stats()["speculation"]["accepted"] > 50


def decodes_beside_prompts(checkpoints: Any) -> None:
    test_lifecycle.test_running_requests_get_a_token_in_every_step_while_prompts_keep_arriving(checkpoints)


def refusals(checkpoints: Any) -> None:
    test_lifecycle.test_what_can_never_fit_is_refused_by_name_and_leaves_no_trace(checkpoints)


def calls_are_apart(checkpoints: Any) -> None:
    test_lifecycle.test_results_of_every_call_are_its_own(checkpoints)


def failed_admissions(checkpoints: Any) -> None:
    test_lifecycle.test_a_failed_admission_is_no_hit(checkpoints, "hash")


def tight(checkpoints: Any) -> None:
    """A pool in which one request at a time can come to its end, and nothing is left over."""
    test_lifecycle.test_a_lone_request_fills_the_pool_to_its_last_page(checkpoints, None, "recompute")


radix = functools.partial(serve, prefix_cache="radix")
hashed = functools.partial(serve, prefix_cache="hash")
swapped = functools.partial(serve, prefix_cache="radix", preemption="swap")
uncached = functools.partial(serve, prefix_cache=None, preemption="swap")
narrow = functools.partial(uncached, max_batch_tokens=6)
Mutant = tuple[Callable[..., Any], Callable[[pytest.MonkeyPatch], None]]
limit = "self.limits.max_batch_tokens"
gumbel = "noise.gumbel(warped.shape[1], warped.dtype)"
MUTANTS: dict[str, Mutant] = {
    "1 preempts itself": (tight, source(PageTable, "reserve", "pool.pages_for(end) - len", "1 + pool.pages_for(end) - len")),
    "1 larger than the pool": (refusals, source(FairScheduler, "check", "if need > total", "if False")),
    "2 tokens before the hit": (hashed, source(FairScheduler, "_enter", "min(total - hit, budget", "min(total, budget")),
    "3 keys not written yet": (uncached, batches(whole_prompt)),
    "4 nothing left to ask": (hashed, source(FairScheduler, "_enter", "request.tokens[: total - 1]", "request.tokens[:total]")),
    "5 prefill by output": (hashed, by_output),
    "6 entered too early": (hashed, early),
    "7 name taken over": (hashed, source(HashPrefixCache, "insert", "if entry is None and page not in", "if page not in")),
    "8 chain starts over": (chain_is_followed, source(HashPrefixCache, "insert", "parent = name", "parent = root_of(key)")),
    "8 tokens not compared": (collisions, source(HashPrefixCache, "match", "entry.tokens != part or entry.parent != parent", "False")),
    "9 stays in the map": (evictions, source(HashPrefixCache, "evict", "del self._entries[self._names.pop(page)]", "self._names.pop(page)")),
    "10 one page too many": (tight, source(FairScheduler, "check", "+ request.params.max_tokens, most", "+ request.params.max_tokens + 4, most")),
    "11 position too high": (uncached, batches(lambda b: replace(b, positions=b.positions + single(b).repeat_interleave(b.q_start.diff()).long()))),
    "13 divides by zero": (every_bit_gives_finite_noise, source(noise, "gumbel", "+ 0.5)", "+ 0.0)")),
    "15 prompts first": (
        decodes_beside_prompts,
        source(FairScheduler, "plan", f"self._plan_running(plan, {limit})", f"{limit} if self.waiting else self._plan_running(plan, {limit})"),
    ),
    "16 limit not held": (uncached, source(FairScheduler, "_admit", "taken = sum(", "taken = 0 * sum(")),
    "17 length not checked": (refusals, source(FairScheduler, "check", "if prompt + 1 > most", "if False")),
    "17 one end id": (all_end_ids_end, source(Ending, "append", "token in self.eos_ids", "token == min(self.eos_ids)")),
    "18 no temperature 0": (uncached, source(GumbelSampler, "__call__", "r.params.temperature > 0", "True")),
    "19 freed but named": (radix, source(PageTable, "adopt", "table.pages[index] = page", "pass")),
    "20 holds nothing": (matches_hold_what_they_answer, both_caches("match", "share(pages)", "share([])")),
    "21 last page not held": (matches_hold_what_they_answer, both_caches("match", "share(pages)", "share(pages[:-1])")),
    "22 answers in tokens": (evictions, both_caches("evict", "return freed", "return freed * self.page_size")),
    "22 asked in tokens": (evictions, both_caches("evict", "freed < n", "freed < n * self.page_size")),
    "23 a view of the table": (radix, source(RadixPrefixCache, "insert", "run = list(pages[done : done + fresh])", "run = pages")),
    "24 sampled too early": (uncached, source(Runner, "launch", "request.computed == len(request.tokens) + request.pending", "True")),
    "25 chunk stands still": (uncached, source(Runner, "launch", "request.computed += row.n_tokens", "request.computed += row.n_tokens == 1")),
    "29 budget not counted": (narrow, source(FairScheduler, "_plan_running", "budget -= tokens + draft", "pass")),
    "31 no tree mask": (trees_are_masked, no_tree),
    "32 no offset": (uncached, no_offset),
    "34 ids start over": (calls_are_apart, restart),
    "35 adapter by name": (reloaded_adapters_stay_apart, one_number),
    "35 untagged key": (keys_stay_apart, source(prefix, "root_of", "return f", "return f'{key.adapter or key.salt}'.encode() or f")),
    "36 count survives": (failed_admissions, both_caches("uncount", "self._queried -= queried", "return")),
    "38 noise by rank": (
        neighbours_move_no_noise,
        source(GumbelSampler, "__call__", gumbel, f"({gumbel}.gather(1, warped.argsort(-1)) if any(r.params.top_k for r in requests) else {gumbel})"),
    ),
    "39 counted twice": (evictions, both_caches("evictable", "return len(self._idle)", "return 2 * len(self._idle)")),
    "39 no cache, no progress": (uncached, source(Runner, "launch", "+= row.n_tokens", "+= row.n_tokens * (row.n_tokens < 3)")),
    "42 partial page found": (hashed, source(HashPrefixCache, "_parts", "len(tokens) - size + 1", "len(tokens)")),
    "42 rolled back and kept": (
        swapped, source(FairScheduler, "publish", "min(request.computed, len(request.tokens))", "len(request.tokens) // 4 * 4 + 4"),
    ),
    "43 all reserved": (
        a_pool_is_used_for_what_is_there,
        source(FairScheduler, "_enter", "self.pool.pages_for(total)", "self.pool.pages_for(total + request.params.max_tokens)"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTANTS)
def test_a_bug_that_is_put_back_is_found(checkpoints: Any, name: str) -> None:
    check, bug = MUTANTS[name]
    check(checkpoints)
    with pytest.MonkeyPatch.context() as monkeypatch:
        bug(monkeypatch)
        with pytest.raises((Exception, pytest.fail.Exception)):  # an assertion, or the crash that others saw
            check(checkpoints)


LOOPS = {
    'root ::= ("a"?)*': (["", "aaa"], ["b"]),
    'root ::= (("a"*)* "b"*)* "c"': (["c", "abbac"], ["", "ab"]),
    'root ::= ("")* "a"': (["a"], ["", "aa"]),
    'root ::= "(" root ")" | "x"': (["(" * 10_000 + "x" + ")" * 10_000], ["(" * 10_000 + "x" + ")" * 9_999]),
    'root ::= "a" root | ""': (["a" * 10_000], ["a" * 10_000 + "b"]),
}


@pytest.mark.parametrize("source", LOOPS)
def test_grammars_that_loop_through_nothing_end(source: str) -> None:
    automaton = Automaton(compile_grammar(source))
    states = [[automaton.run(automaton.start, text.encode()) for text in texts] for texts in LOOPS[source]]
    assert [[state != DEAD and automaton.may_end(state) for state in each] for each in states] == [[True] * len(states[0]), [False] * len(states[1])]


@pytest.mark.parametrize("source", ["root ::= x\nx ::= y\ny ::= x | \"a\"", 'root ::= x root | "a"\nx ::= "b"?'])
def test_a_rule_that_begins_with_itself_through_others_is_refused_by_name(source: str) -> None:
    with pytest.raises(ConstraintError, match="left-recursive"):
        Automaton(compile_grammar(source))


def test_a_complete_grammar_ends_its_request_even_if_ends_are_ignored() -> None:
    llm = LLM(checkpoint_path("target"), n_pages=20)
    params = SamplingParams(temperature=1.5, seed=1, max_tokens=30, ignore_eos=True, grammar='root ::= "yes" | "no" "!"?')
    output = llm.generate(["The cache"], params)[0].outputs[0]
    assert output.text in ("yes", "no", "no!") and output.finish_reason == "stop"
    at_rest(llm)
