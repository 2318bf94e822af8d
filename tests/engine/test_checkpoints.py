"""The shipped pair: read by transformers and by us alike, and a draft worth having."""

import torch
from transformers import AutoModelForCausalLM

from engine import LLM, SamplingParams, checkpoint_path, load_checkpoint

PROMPTS = ["The scheduler keeps", '{"id": ', "for item in ", "<|user|>What does the sampler do"]


def both(name: str):  # type: ignore[no-untyped-def]
    folder = checkpoint_path(name)
    return load_checkpoint(folder), AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def test_both_give_the_greedy_text_of_transformers() -> None:
    for name in ("target", "draft"):
        ours, theirs = both(name)
        llm = LLM(ours, n_pages=64)
        for text in PROMPTS:
            tokens = ours.tokenizer.encode(text)
            expected = theirs.generate(torch.tensor([tokens]), do_sample=False, max_new_tokens=20, pad_token_id=0)[0, len(tokens) :].tolist()
            actual = llm.generate([tokens], SamplingParams(temperature=0, max_tokens=20))[0].outputs[0].token_ids
            assert actual == expected


def test_beams_and_their_order_are_those_of_transformers() -> None:
    ours, theirs = both("target")
    llm = LLM(ours, n_pages=64)
    for text in PROMPTS:
        tokens = ours.tokenizer.encode(text)
        found = llm.generate([tokens], SamplingParams(temperature=0, max_tokens=12, beam_width=3))[0]
        expected = theirs.generate(
            torch.tensor([tokens]), num_beams=3, num_return_sequences=3, do_sample=False, max_new_tokens=12, pad_token_id=0
        )
        for beam, row in zip(found.outputs, expected, strict=True):
            wanted = row[len(tokens) :].tolist()
            assert beam.token_ids == wanted[: len(beam.token_ids)]
            assert set(wanted[len(beam.token_ids) :]) <= {0}


def test_any_text_survives_the_tokenizer() -> None:
    tokenizer = load_checkpoint(checkpoint_path("target")).tokenizer
    for text in (*PROMPTS, "naïve 中文 👩‍💻\n\ttabs", "\0\x7f"):
        assert tokenizer.decode(tokenizer.encode(text), skip_special=False) == text


def test_together_they_are_small() -> None:
    total = sum(file.stat().st_size for name in ("target", "draft") for file in checkpoint_path(name).iterdir())
    assert total < 8 * 1024 * 1024


def test_the_drafts_acceptance_makes_speculation_worth_it_and_not_trivial() -> None:
    llm = LLM(checkpoint_path("target"), n_pages=128, draft=checkpoint_path("draft"))
    params = [SamplingParams(temperature=1, max_tokens=120, seed=seed, ignore_eos=True) for seed in range(6)]
    llm.generate([PROMPTS[seed % len(PROMPTS)] for seed in range(6)], params)
    first = llm.stats()["speculation"]["by_depth"][0]
    assert 0.55 < first[1] / first[0] < 0.8
