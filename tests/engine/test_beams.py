"""Beams, their order and their scores are those of transformers, whatever the penalty, the stopping rule and the pool."""

import warnings
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import LLM, SamplingParams
from engine.errors import RequestError
from tests.engine.audit import at_rest, audit, watch

OPTIONS = st.fixed_dictionaries(
    {
        "beam_width": st.integers(2, 5),
        "length_penalty": st.sampled_from([1.0, 0.0, 2.5, -1.0]),
        "early_stopping": st.sampled_from([False, True, "never"]),
        "max_tokens": st.integers(1, 14),
        "repetition_penalty": st.sampled_from([1.0, 1.6]),
        "stop_token_ids": st.sampled_from([[], [4], list(range(30, 60))]),
    }
)
POOL = st.fixed_dictionaries(
    {
        "page_size": st.sampled_from([1, 4, 16]),
        "slack": st.sampled_from([0, 2, 60]),
        "chunk": st.none() | st.integers(1, 6),
        "preemption": st.sampled_from(["recompute", "swap"]),
        "prefix_cache": st.sampled_from([None, "hash", "radix"]),
        "overlap": st.integers(0, 1),
    }
)


def theirs(model: Any, prompt: list[int], p: SamplingParams) -> list[tuple[list[int], float]]:
    """Their beams without padding, best first, with scores."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out = model.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), do_sample=False, pad_token_id=0,
            num_beams=p.beam_width, num_return_sequences=p.beam_width, max_new_tokens=p.max_tokens, length_penalty=p.length_penalty,
            early_stopping=p.early_stopping, repetition_penalty=p.repetition_penalty, eos_token_id=[1, *p.stop_token_ids],
            return_dict_in_generate=True, output_scores=True,
        )  # fmt: skip
    beams = []
    for row, score in zip(out.sequences.tolist(), out.sequences_scores.tolist(), strict=True):
        tokens = row[len(prompt) :]
        ends = [i for i, token in enumerate(tokens) if token in (1, *p.stop_token_ids)]
        beams.append((tokens[: ends[0] + 1] if ends else tokens, score))
    return beams


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    family=st.sampled_from(["llama", "qwen2-window", "qwen3", "mistral-window"]), options=OPTIONS, pool=POOL,
    prompt=st.lists(st.integers(2, 96), min_size=1, max_size=14),
)  # fmt: skip
def test_beams_are_theirs(checkpoints: Any, family: str, options: dict[str, Any], pool: dict[str, Any], prompt: list[int]) -> None:
    folder, model = checkpoints(family)
    params = SamplingParams(temperature=0, **options)
    size, width = pool["page_size"], options["beam_width"]
    whole = len(prompt) // size
    pages = whole + width * (-(-(len(prompt) + params.max_tokens) // size) - whole) + pool["slack"]
    rest = {key: value for key, value in pool.items() if key != "slack"}
    llm = watch(LLM(folder, n_pages=pages, max_running=6, max_batch_tokens=12, **rest))
    first = llm.submit(prompt, params)
    llm.submit([9, 8, 7][: len(prompt)], SamplingParams(temperature=0, max_tokens=min(params.max_tokens, 6)), priority=-1)
    done: dict[str, Any] = {}
    for _ in range(2000):
        done |= {output.request_id: output for output in llm.step() if output.finished}
        audit(llm)
        if llm.idle:
            break
    ours = [(o.token_ids, o.cumulative_logprob) for o in done[first].outputs]
    for (tokens, score), (wanted, value) in zip(ours, theirs(model, prompt, params), strict=True):
        assert tokens == wanted
        assert score == pytest.approx(value, rel=1e-5, abs=1e-4)
    at_rest(llm)


def test_more_beams_than_tokens_to_begin_with(checkpoints: Any) -> None:
    folder, model = checkpoints("llama", 1, vocab_size=5)
    params = SamplingParams(temperature=0, beam_width=7, max_tokens=4)
    outputs = LLM(folder, n_pages=40, page_size=4).generate([[2, 3]], params)[0].outputs
    for ours, (wanted, value) in zip(outputs, theirs(model, [2, 3], params), strict=False):
        assert ours.token_ids == wanted and ours.cumulative_logprob == pytest.approx(value, rel=1e-5, abs=1e-4)


def test_beams_share_all_full_pages_but_their_own_ends(checkpoints: Any) -> None:
    llm = watch(LLM(checkpoints("llama")[0], n_pages=60, page_size=4))
    llm.submit(list(range(20, 42)), SamplingParams(temperature=0, beam_width=4, max_tokens=16, ignore_eos=True))
    for step in range(1, 16):
        llm.step()
        members = [member for group in llm.engine.groups.values() for member in group.members]
        used = {page for member in members for page in member.table.pages}
        length = 22 + step
        assert len(used) <= 5 + 4 * (-(-length // 4) - 5)
        audit(llm)


@pytest.mark.parametrize("clash", [{"n": 2}, {"guidance_scale": 2.0}, {"mirostat_tau": 3.0}, {"stop": ["."]}, {"heal": True}, {"logprobs": 2}])
def test_what_beams_can_not_be_combined_with_is_said(clash: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match="beam search can't be combined"):
        SamplingParams(beam_width=2, **clash)
