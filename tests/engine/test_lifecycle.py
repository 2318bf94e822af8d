"""What a request holds from its arrival to its end: pages shared, given back on abort, refused by name, never starved."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import LLM, SamplingParams
from engine.errors import EngineBroken, PromptTooLong, QueueFull, RequestError
from engine.outputs import Ending
from engine.runner import Runner
from engine.sampling import Context, GumbelSampler
from engine.scheduler import FairScheduler
from tests.engine import oracle
from tests.engine.audit import at_rest, audit, watch
from tests.engine.test_warpers import SAMPLER, request_of

GREEDY = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True)
PROMPT = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]


def drain(llm: LLM, most: int = 2000) -> dict[str, Any]:
    done: dict[str, Any] = {}
    for _ in range(most):
        done |= {output.request_id: output for output in llm.step() if output.finished}
        audit(llm)
        if llm.idle:
            return done
    raise AssertionError(f"no end in sight: {llm.stats()}")


# -- what several sequences share -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", [None, "hash", "radix"])
@pytest.mark.parametrize("n", [2, 5])
def test_samples_share_the_pages_of_their_prompt(checkpoints: Any, n: int, cache: str | None) -> None:
    llm = watch(LLM(checkpoints("llama")[0], n_pages=60, page_size=4, prefix_cache=cache))
    llm.submit(PROMPT, SamplingParams(n=n, seed=1, max_tokens=9, ignore_eos=True))
    llm.step()  # the prompt: two full pages and a half
    assert llm.pool.allocator.n_pages - llm.pool.allocator.free_count == 3
    for step in range(1, 9):
        outputs = llm.step()
        pages = {page for group in llm.engine.groups.values() for member in group.members for page in member.table.pages}
        tail = -(-(len(PROMPT) + step) // 4) - 2
        assert outputs[0].finished or len(pages) == 2 + n * tail
    assert llm.stats()["pages_copied"] == n - 1  # the half page, once for each but the last to write
    assert llm.stats()["tokens"] == len(PROMPT) + n * 8
    at_rest(llm)


def test_samples_are_those_of_lone_requests_and_differ(checkpoints: Any) -> None:
    llm = LLM(checkpoints("llama")[0], n_pages=80, page_size=4)
    outputs = llm.generate([PROMPT], SamplingParams(n=6, seed=3, max_tokens=6, ignore_eos=True))[0].outputs
    assert [output.index for output in outputs] == list(range(6))
    alone = llm.generate([PROMPT], SamplingParams(seed=3, max_tokens=6, ignore_eos=True))[0].outputs[0]
    assert outputs[0].token_ids == alone.token_ids
    assert len({tuple(output.token_ids) for output in outputs}) == 6
    assert len({output.token_ids[0] for output in outputs}) > 1  # not all from one draw after the prompt


@pytest.mark.parametrize("chunk", [1, 3, None])
def test_a_draft_model_never_writes_into_pages_that_samples_share(checkpoints: Any, chunk: int | None) -> None:
    """It follows a prompt to its last token, however the chunks fall: else each sample would compute it once more."""
    llm = watch(LLM(checkpoints("llama")[0], n_pages=60, page_size=4, chunk=chunk, draft=checkpoints("llama", 7)[0], acceptance="coupled"))
    params = SamplingParams(n=3, seed=1, max_tokens=9, ignore_eos=True)
    output = llm.generate([PROMPT], params)[0]
    assert output.outputs == LLM(checkpoints("llama")[0]).generate([PROMPT], params)[0].outputs
    at_rest(llm)


def test_samples_beside_beams_draw_from_their_own_logits(checkpoints: Any) -> None:
    """Rows that are set aside leave as many gaps as forks fill: counting rows is not enough."""
    params = SamplingParams(n=3, seed=4, max_tokens=5, ignore_eos=True)
    beams = SamplingParams(temperature=0, beam_width=2, max_tokens=5)
    alone = LLM(checkpoints("llama")[0]).generate([PROMPT], params)[0]
    llm = LLM(checkpoints("llama")[0])
    mixed = llm.generate([[9, 8], PROMPT, [20, 21]], [beams, params, beams])[1]
    assert [o.token_ids for o in mixed.outputs] == [o.token_ids for o in alone.outputs]


@pytest.mark.parametrize("penalty", [{"frequency_penalty": 1.5}, {"presence_penalty": 3.0}, {"repetition_penalty": 1.6}])
def test_penalties_follow_a_beam_to_where_it_goes(checkpoints: Any, penalty: dict[str, float]) -> None:
    """A search of one beam is greedy; each beam of a wider one is scored by its own tokens."""
    llm = LLM(checkpoints("llama")[0])
    params = SamplingParams(temperature=0, max_tokens=12, ignore_eos=True, **penalty)
    greedy = llm.generate([PROMPT], params)[0].outputs[0].token_ids
    assert greedy != llm.generate([PROMPT], SamplingParams(temperature=0, max_tokens=12, ignore_eos=True))[0].outputs[0].token_ids
    if "repetition_penalty" not in penalty:  # that one weighs logits here and log-probabilities there
        assert llm.generate([PROMPT], params.clone(beam_width=1))[0].outputs[0].token_ids == greedy
    best = llm.generate([PROMPT], params.clone(beam_width=4))[0].outputs[0]
    score, tokens = 0.0, list(PROMPT)
    for token in best.token_ids:
        request = request_of(tokens, len(PROMPT), temperature=0.0, **penalty)
        with torch.no_grad():
            law = checkpoints("llama")[1](torch.tensor([tokens])).logits[:, -1].log_softmax(-1)
        score += float(SAMPLER.adjust(law, [Context(request)])[0, token])
        tokens.append(token)
    assert best.cumulative_logprob == pytest.approx(score / 12, abs=1e-3)


# -- a pool that is barely enough -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("preemption", ["recompute", "swap"])
@pytest.mark.parametrize("cache", [None, "radix"])
@pytest.mark.parametrize(
    "params",
    [
        SamplingParams(temperature=0, beam_width=3, max_tokens=8, ignore_eos=True),
        SamplingParams(temperature=0, guidance_scale=2.0, negative_prompt=[9, 8, 7, 6, 5, 4], max_tokens=8, ignore_eos=True),
        SamplingParams(n=3, seed=1, max_tokens=8, ignore_eos=True),
    ],
    ids=["beams", "guided", "samples"],
)
def test_sequences_that_wait_for_each_other_go_on_in_the_smallest_pool(
    checkpoints: Any, params: SamplingParams, cache: str | None, preemption: str
) -> None:
    folder = checkpoints("llama")[0]
    wanted = LLM(folder).generate([PROMPT], params)[0]
    for pages in itertools.count(1):
        llm = watch(LLM(folder, n_pages=pages, page_size=2, prefix_cache=cache, preemption=preemption, max_running=4))
        try:
            first = llm.submit(PROMPT, params)
            break
        except PromptTooLong:
            at_rest(llm)
    llm.submit(PROMPT[:6], GREEDY, priority=-1)
    got = drain(llm)[first]
    assert [o.token_ids for o in got.outputs] == [o.token_ids for o in wanted.outputs]
    at_rest(llm)


@pytest.mark.parametrize("preemption", ["recompute", "swap"])
@pytest.mark.parametrize("draft", [None, "ngram", "model"])
def test_a_lone_request_fills_the_pool_to_its_last_page(checkpoints: Any, draft: str | None, preemption: str) -> None:
    """It never gives way to itself, and what it drafts never costs it its own pages."""
    folder, model = checkpoints("llama")
    for length, size in [(8, 4), (9, 4), (7, 1), (16, 16)]:
        prompt = list(range(20, 20 + length))
        pages = -(-(length + 8) // size)
        chosen = checkpoints("llama", 7)[0] if draft == "model" else draft
        llm = watch(LLM(folder, n_pages=pages, page_size=size, draft=chosen, draft_tokens=3, preemption=preemption, chunk=3))
        first = llm.submit(prompt, GREEDY)
        assert drain(llm, 100)[first].outputs[0].token_ids == oracle.greedy(model, prompt, 8, eos_token_id=None)
        assert llm.stats()["preemptions"] == 0
        at_rest(llm)


def test_a_guided_request_ends_when_its_longer_half_has_no_position_left(checkpoints: Any) -> None:
    folder, model = checkpoints("llama")
    llm = LLM(folder, n_pages=20, page_size=4, max_length=24)
    params = GREEDY.clone(guidance_scale=1.5, negative_prompt=list(range(30, 49)), max_tokens=20)
    ids = [llm.submit(PROMPT[:4], params), llm.submit(PROMPT[:4], GREEDY.clone(max_tokens=20))]
    done = drain(llm)
    assert [len(done[i].outputs[0].token_ids) for i in ids] == [5, 20]
    assert done[ids[0]].outputs[0].finish_reason == "length"
    wanted = oracle.greedy(model, PROMPT[:4], 5, eos_token_id=None, guidance_scale=1.5, negative_prompt_ids=torch.tensor([params.negative_prompt]))
    assert done[ids[0]].outputs[0].token_ids == wanted
    at_rest(llm)


def test_what_can_never_fit_is_refused_by_name_and_leaves_no_trace(checkpoints: Any) -> None:
    llm = LLM(checkpoints("llama")[0], n_pages=4, page_size=4, max_running=4)
    fits = SamplingParams(max_tokens=6)
    assert llm.submit(PROMPT, fits) == "request-0"
    with pytest.raises(PromptTooLong, match="needs up to 5 pages of 4, but the pool has 4"):
        llm.submit(PROMPT, SamplingParams(max_tokens=7))
    with pytest.raises(PromptTooLong, match="pages"):
        llm.submit([3] * 17, SamplingParams(max_tokens=1))
    with pytest.raises(PromptTooLong, match="600 tokens; the model has 512 positions"):
        llm.submit([3] * 600, SamplingParams(max_tokens=1))
    with pytest.raises(PromptTooLong):
        llm.submit(PROMPT, SamplingParams(max_tokens=6, n=2))
    with pytest.raises(RequestError, match="5 sequences in one request, but max_running = 4"):
        llm.submit([3], SamplingParams(max_tokens=1, n=5))
    with pytest.raises(RequestError, match="in use"):
        llm.submit([3], fits, request_id="request-0")
    with pytest.raises(PromptTooLong):  # one that can't be served stops a whole call before anything runs
        llm.generate([[3], [3] * 17], fits)
    assert list(drain(llm)) == ["request-0"]
    at_rest(llm)


def test_past_the_admission_limit_a_request_is_told_to_come_back(checkpoints: Any) -> None:
    llm = LLM(checkpoints("llama")[0], n_pages=20, max_waiting=2)
    for _ in range(2):
        llm.submit(PROMPT, GREEDY)
    with pytest.raises(QueueFull):
        llm.submit(PROMPT, GREEDY)
    assert len(drain(llm)) == 2
    llm.submit(PROMPT, GREEDY)


# -- abort ----------------------------------------------------------------------------------------------------------------

KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "samples": {"n": 3, "temperature": 1.0, "seed": 1},
    "beams": {"beam_width": 3},
    "guided": {"guidance_scale": 1.5},
}


@pytest.mark.parametrize("draft", [None, "model"])
@pytest.mark.parametrize("overlap", [0, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_abort_at_any_step_frees_everything_at_once(checkpoints: Any, kind: str, overlap: int, draft: str | None) -> None:
    folder = checkpoints("llama")[0]
    other = LLM(folder).generate([PROMPT], GREEDY)[0].outputs[0].token_ids
    options = {"draft": checkpoints("llama", 7)[0], "draft_tree": (2, 1)} if draft else {}
    for step in range(14):
        llm = watch(LLM(folder, n_pages=14, page_size=4, chunk=3, max_running=5, overlap=overlap, preemption="swap", **options))
        doomed = llm.submit([*PROMPT, 15, 16, 17], GREEDY.clone(**KINDS[kind]))
        spared = llm.submit(PROMPT, GREEDY)
        done = {}
        for _ in range(step):
            done |= {output.request_id: output for output in llm.step() if output.finished}
        ended = doomed in done
        assert llm.abort(doomed) != ended
        audit(llm)
        held = [m for group in llm.engine.groups.values() if group.id == doomed for m in group.members]
        assert not any(m.table.pages or m.swapped for m in held)
        done |= drain(llm)
        assert ended or "abort" in {o.finish_reason for o in done[doomed].outputs} <= {"abort", "length"}
        assert done[spared].outputs[0].token_ids == other
        assert not llm.abort(doomed)
        at_rest(llm)


def test_a_closed_stream_frees_its_pages(checkpoints: Any) -> None:
    llm = LLM(checkpoints("llama")[0], n_pages=8)
    stream = llm.stream(PROMPT, GREEDY)
    next(stream)
    stream.close()
    at_rest(llm)


# -- a step that fails ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", ["hash", "radix", None])
@pytest.mark.parametrize("overlap", [0, 1])
@pytest.mark.parametrize("where", [(Runner, "launch"), (GumbelSampler, "__call__"), (FairScheduler, "plan"), (Ending, "append")])
def test_a_step_that_fails_ends_its_requests_and_the_engine_goes_on(
    checkpoints: Any, monkeypatch: pytest.MonkeyPatch, cache: str | None, overlap: int, where: tuple[type, str]
) -> None:
    folder, model = checkpoints("llama")
    llm = watch(LLM(folder, n_pages=40, page_size=4, prefix_cache=cache, overlap=overlap, max_running=6))
    expected = oracle.greedy(model, PROMPT, 8, eos_token_id=None)
    ids = [llm.submit(PROMPT, GREEDY.clone(**extra)) for extra in ({}, {"n": 3}, {"beam_width": 2}, {"guidance_scale": 2.0}, {})]
    for _ in range(3):
        llm.step()
    with monkeypatch.context() as patch:
        patch.setattr(*where, lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            llm.step()
    ended = drain(llm)
    assert set(ended) == set(ids)
    assert all("ZeroDivisionError" in str(output.error) and {o.finish_reason for o in output.outputs} == {"error"} for output in ended.values())
    at_rest(llm)
    assert [output.outputs[0].token_ids for output in llm.generate([PROMPT, PROMPT], GREEDY)] == [expected] * 2
    at_rest(llm)


def test_an_engine_that_lost_a_page_says_that_it_is_broken(checkpoints: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = LLM(checkpoints("llama")[0], n_pages=8)
    llm.pool.alloc(1)
    monkeypatch.setattr(llm.engine.runner, "launch", lambda *_: 1 // 0)
    with pytest.raises(EngineBroken, match=r"ZeroDivisionError.*1 pages have no owner"):
        llm.generate([PROMPT], GREEDY)


def test_a_call_that_raises_leaves_nothing_behind(checkpoints: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = LLM(checkpoints("llama")[0], n_pages=8)
    real = llm.engine.step
    for _ in range(9):  # more than there are pages
        monkeypatch.setattr(llm.engine, "step", lambda: 1 // 0 if llm.stats()["running"] else real())
        with pytest.raises(ZeroDivisionError):
            llm.generate([PROMPT], GREEDY)
        monkeypatch.setattr(llm.engine, "step", real)
        llm.step()
        at_rest(llm)


# -- nobody starves -------------------------------------------------------------------------------------------------------


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(ageing=st.sampled_from([1, 4, 16]), priority=st.integers(1, 5), width=st.integers(1, 3), preemption=st.sampled_from(["recompute", "swap"]))
def test_a_request_waits_for_a_bounded_time_however_many_come_after_it(
    checkpoints: Any, ageing: int, priority: int, width: int, preemption: str
) -> None:
    """Urgent requests arrive for ever, faster than they are served. Who came `ageing` x priority steps later has no
    precedence any more: the wait is what those before need, and no more."""
    llm = LLM(checkpoints("llama")[0], n_pages=6, page_size=4, max_running=width, ageing=ageing, preemption=preemption)
    params = SamplingParams(temperature=0, max_tokens=3, ignore_eos=True)
    for _ in range(width):
        llm.submit([5, 6], params)
    late = llm.submit(PROMPT, params, priority=priority)
    before = ageing * (priority + 1)  # steps after which nobody overtakes, and the urgent ones that came until then
    bound = before + 4 * (before + 2 * width) + 8  # each needs at most four steps, even one at a time
    for step in range(bound):
        llm.submit([3, 4, step % 90 + 2], params, priority=0)
        if any(output.request_id == late and output.finished for output in llm.step()):
            return
    raise AssertionError(f"still waiting after {bound} steps")


def test_without_ageing_urgent_requests_would_starve_the_others(checkpoints: Any) -> None:
    llm = LLM(checkpoints("llama")[0], n_pages=6, page_size=4, max_running=2, ageing=10_000)
    params = SamplingParams(temperature=0, max_tokens=3, ignore_eos=True)
    for _ in range(2):
        llm.submit([5, 6], params)
    late = llm.submit(PROMPT, params, priority=1)
    for step in range(150):
        llm.submit([3, 4, step % 90 + 2], params, priority=0)
        assert not any(output.request_id == late and output.finished for output in llm.step())


def test_running_requests_get_a_token_in_every_step_while_prompts_keep_arriving(checkpoints: Any) -> None:
    """Prefill never stops decoding: at most one step passes between two tokens of a running request."""
    llm = LLM(checkpoints("llama")[0], n_pages=200, page_size=4, max_running=8, max_batch_tokens=12, chunk=5)
    first = llm.submit([4, 5], SamplingParams(temperature=0, max_tokens=30, ignore_eos=True))
    llm.step()
    for step in range(28):
        llm.submit([6 + step % 60] * 30, SamplingParams(temperature=0, max_tokens=4, ignore_eos=True))
        lengths = [len(output.outputs[0].token_ids) for output in llm.step() if output.request_id == first]
        assert lengths == [step + 2]


def test_the_most_urgent_request_is_never_preempted(checkpoints: Any) -> None:
    llm = LLM(checkpoints("llama")[0], n_pages=10, page_size=2, max_running=5)
    ids = [llm.submit(PROMPT[:4], SamplingParams(temperature=0, max_tokens=12, ignore_eos=True)) for _ in range(5)]
    done = drain(llm)
    assert llm.stats()["preemptions"] > 0
    assert list(done) == ids and done[ids[0]].metrics["preemptions"] == 0


# -- a failed attempt leaves nothing behind ------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", ["hash", "radix"])
def test_a_failed_admission_is_no_hit(checkpoints: Any, cache: str) -> None:
    """It looks the prefix up at every attempt; only the one that succeeds counts, and its hit is what it then has."""
    llm = LLM(checkpoints("llama")[0], n_pages=6, page_size=4, prefix_cache=cache, max_running=4)
    llm.generate([PROMPT[:8]], SamplingParams(temperature=0, max_tokens=1))
    start = llm.pool.cache.stats()
    llm.submit([50] * 10, SamplingParams(temperature=0, max_tokens=6, ignore_eos=True))
    llm.step()
    late = llm.submit(PROMPT + [60] * 10, SamplingParams(temperature=0, max_tokens=2, ignore_eos=True))
    done = drain(llm)
    stats = llm.pool.cache.stats()
    assert stats.queried - start.queried == 9 + 19
    assert stats.hit - start.hit == done[late].cached_tokens == 8
    assert llm.stats()["preemptions"] == 0


def test_counts_over_a_trace_are_those_of_the_requests(checkpoints: Any) -> None:
    llm = LLM(checkpoints("llama")[0], n_pages=100, page_size=4)
    prompts = [[*PROMPT[:k], 20 + k] for k in (3, 4, 8, 9, 10, 10)] * 2
    outputs = [llm.generate([prompt], GREEDY.clone(max_tokens=1))[0] for prompt in prompts]
    known: set[tuple[int, ...]] = set()
    for prompt, output in zip(prompts, outputs, strict=True):
        whole = [tuple(prompt[:end]) for end in range(4, len(prompt) + 1, 4)]
        hit = sum(1 for part in whole if part in known and len(part) < len(prompt))
        assert output.cached_tokens == 4 * hit
        known |= set(whole)
    stats = llm.pool.cache.stats()
    assert stats.hit == sum(output.cached_tokens for output in outputs)
    assert stats.queried == sum(len(prompt) - 1 for prompt in prompts)
    assert stats.pages == len(known)


def test_results_of_every_call_are_its_own(checkpoints: Any) -> None:
    """Numbers of requests go on over calls, and a request under way is none of a later call's."""
    folder, model = checkpoints("llama")
    llm = LLM(folder, n_pages=40)
    known = {llm.submit([40, 41], GREEDY.clone(max_tokens=30))}
    for prompt in ([5, 6], [7], [5, 6]):
        outputs = llm.generate([prompt, prompt[::-1]], GREEDY)
        assert [o.prompt_token_ids for o in outputs] == [prompt, prompt[::-1]]
        assert outputs[0].outputs[0].token_ids == oracle.greedy(model, prompt, 8, eos_token_id=None)
        assert len({o.request_id for o in outputs} - known) == 2
        known |= {o.request_id for o in outputs}


def test_outputs_that_come_while_others_are_waited_for_are_kept(checkpoints: Any) -> None:
    folder, model = checkpoints("llama")
    llm = LLM(folder, n_pages=40)
    early = llm.submit([5, 6], GREEDY)
    stream = llm.stream([7, 8], GREEDY)
    next(stream)
    llm.generate([PROMPT], GREEDY.clone(max_tokens=20))
    *_, last = stream
    assert last.outputs[0].token_ids == oracle.greedy(model, [7, 8], 8, eos_token_id=None)
    assert not llm.idle
    assert drain(llm)[early].outputs[0].token_ids == oracle.greedy(model, [5, 6], 8, eos_token_id=None)
    at_rest(llm)


def test_a_name_that_a_caller_chose_is_in_nobodys_way(checkpoints: Any) -> None:
    llm = LLM(checkpoints("llama")[0], n_pages=40)
    taken = [llm.submit(PROMPT, GREEDY, request_id=f"request-{n}") for n in (1, 2)]
    assert len({*taken, llm.submit(PROMPT, GREEDY), llm.submit(PROMPT, GREEDY)}) == 4
    with pytest.raises(RequestError, match="in use"):
        llm.submit(PROMPT, GREEDY, request_id="request-1")


@pytest.mark.parametrize("prompt", [np.array(PROMPT), torch.tensor(PROMPT), [np.int64(token) for token in PROMPT], tuple(PROMPT)])
def test_token_ids_may_be_of_any_kind(checkpoints: Any, prompt: Any) -> None:
    llm = LLM(checkpoints("llama")[0], n_pages=8)
    (output,) = llm.generate(prompt, GREEDY)
    assert output.prompt_token_ids == PROMPT
    assert [o.outputs for o in llm.generate([prompt, prompt], GREEDY)] == [output.outputs] * 2
