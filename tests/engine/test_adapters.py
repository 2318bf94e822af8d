"""Adapters: several in one batch equal their merged weights alone; the cache never mixes them; replacing one is safe."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine import LLM, Batch, PagedKV, SamplingParams, load_checkpoint
from engine.batch import Row
from engine.errors import CheckpointError, RequestError
from engine.lora import load_adapter
from tests.engine import oracle
from tests.engine.audit import at_rest, watch
from tests.engine.factory import merged, write_adapter

PROMPT = [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
GREEDY = SamplingParams(temperature=0, max_tokens=8, ignore_eos=True)


@pytest.fixture
def folders(checkpoints: Any, tmp_path: Path) -> Any:
    """(family, name, seed, ...) -> a folder with an adapter, and the model that it makes when merged."""

    def get(family: str, name: str, seed: int, **options: Any) -> tuple[Path, Any]:
        model = checkpoints(family)[1]
        (tmp_path / name).mkdir()
        folder = write_adapter(tmp_path / name, model, seed, **options)
        return folder, merged(model, folder)

    return get


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "mistral-window"])
def test_a_mixed_batch_has_the_logits_of_merged_weights(checkpoints: Any, folders: Any, family: str) -> None:
    loaded = load_checkpoint(checkpoints(family)[0])
    wide, narrow = folders(family, "a", 1, rank=5, alpha=3.0), folders(family, "b", 2, rank=1, only="q_proj")
    models = [checkpoints(family)[1], wide[1], narrow[1], wide[1]]
    adapters = [None, *(load_adapter(f, loaded.config, torch.float32, "cpu") for f in (wide[0], narrow[0]))]
    adapters.append(adapters[1])
    prompts = [[5 + i, 6, 7, 8, 9 + i, 10][: 6 - i] for i in range(4)]
    rows = [Row(prompt, 0, [i], None, adapter) for i, (prompt, adapter) in enumerate(zip(prompts, adapters, strict=True))]
    logits = loaded.model.logits(loaded.model.forward(Batch.build(rows, 16), PagedKV(loaded.config, 4)))
    for prompt, model, ours in zip(prompts, models, logits.split([len(p) for p in prompts]), strict=True):
        with torch.no_grad():
            theirs = model(torch.tensor([prompt])).logits[0]
        assert float((ours - theirs).abs().max()) < 2e-5 * max(1.0, float(theirs.abs().max()))


@pytest.mark.parametrize("draft", [None, "model"])
@pytest.mark.parametrize("cache", ["hash", "radix"])
def test_each_request_answers_as_its_merged_model_though_the_prompt_is_the_same(
    checkpoints: Any, folders: Any, cache: str, draft: str | None
) -> None:
    (a, model_a), (b, model_b) = folders("llama", "a", 1), folders("llama", "b", 2)
    chosen = checkpoints("llama", 7)[0] if draft else None
    llm = watch(LLM(checkpoints("llama")[0], n_pages=14, page_size=4, prefix_cache=cache, max_running=4, chunk=5, draft=chosen))
    llm.load_adapter("a", a)
    llm.load_adapter("b", b)
    names = [None, "a", "b", "a", None, "b"]
    for _ in range(2):  # the second time from the cache
        ids = [llm.submit(PROMPT, GREEDY, adapter=name) for name in names]
        done: dict[str, Any] = {}
        while len(done) < len(ids):
            done |= {output.request_id: output for output in llm.step() if output.finished}
        for request_id, name in zip(ids, names, strict=True):
            model = {None: checkpoints("llama")[1], "a": model_a, "b": model_b}[name]
            assert done[request_id].outputs[0].token_ids == oracle.greedy(model, PROMPT, 8, eos_token_id=None)
    at_rest(llm)


def test_a_replaced_adapter_finds_no_page_of_the_old_one_and_spares_who_runs(checkpoints: Any, folders: Any) -> None:
    (old, model_old), (new, model_new) = folders("llama", "old", 1), folders("llama", "new", 2)
    llm = LLM(checkpoints("llama")[0], n_pages=60, page_size=4)
    llm.load_adapter("chat", old)
    first = llm.generate([PROMPT], GREEDY, adapter="chat")[0]
    assert llm.generate([PROMPT], GREEDY, adapter="chat")[0].cached_tokens == 8
    running = llm.submit(PROMPT, GREEDY, adapter="chat")
    llm.step()
    llm.load_adapter("chat", new)
    replaced = llm.submit(PROMPT, GREEDY, adapter="chat")
    done: dict[str, Any] = {}
    while len(done) < 2:
        done |= {output.request_id: output for output in llm.step() if output.finished}
    assert done[running].outputs == first.outputs
    assert first.outputs[0].token_ids == oracle.greedy(model_old, PROMPT, 8, eos_token_id=None)
    assert done[replaced].cached_tokens == 0
    assert done[replaced].outputs[0].token_ids == oracle.greedy(model_new, PROMPT, 8, eos_token_id=None)
    llm.load_adapter("chat", old)  # the same weights again are a new load: no name and no folder is trusted
    assert llm.generate([PROMPT], GREEDY, adapter="chat")[0].cached_tokens == 0
    running = llm.submit(PROMPT, GREEDY, adapter="chat")
    llm.step()
    llm.drop_adapter("chat")
    with pytest.raises(RequestError, match="no adapter 'chat'"):
        llm.submit(PROMPT, GREEDY, adapter="chat")
    while not llm.idle:
        done |= {output.request_id: output for output in llm.step() if output.finished}
    assert done[running].outputs[0].token_ids == first.outputs[0].token_ids
    at_rest(llm)


def test_a_salt_keeps_prefixes_apart_and_nothing_else(checkpoints: Any) -> None:
    llm = LLM(checkpoints("llama")[0], n_pages=60, page_size=4)
    cached = [llm.generate([PROMPT], GREEDY, salt=salt)[0] for salt in (None, "a", "b", "a", None, "", "\ud800")]
    assert [output.cached_tokens for output in cached] == [0, 0, 0, 8, 8, 0, 0]
    assert len({tuple(output.outputs[0].token_ids) for output in cached}) == 1


def test_an_adapter_that_does_not_fit_is_refused_by_file_and_key(checkpoints: Any, folders: Any, tmp_path: Path) -> None:
    other = checkpoints("llama", 3, num_hidden_layers=3)[1]
    (tmp_path / "deep").mkdir()
    folder = write_adapter(tmp_path / "deep", other, 1)
    llm = LLM(checkpoints("llama")[0], n_pages=8)
    with pytest.raises(CheckpointError, match=r"adapter_model.safetensors: key .*layers\.2"):
        llm.load_adapter("deep", folder)
    fits = write_adapter(tmp_path, checkpoints("llama")[1], 1)
    settings, tensors = json.loads((fits / "adapter_config.json").read_text()), load_file(fits / "adapter_model.safetensors")
    key = next(key for key in tensors if "lora_A" in key)
    faults: list[tuple[dict[str, Any], Any, str]] = [
        ({"r": None}, tensors[key], "'r': missing"), ({"r": 0}, tensors[key], "'r': must be"), ({"r": 4}, tensors[key], "model and r want"),
        ({"lora_alpha": None}, tensors[key], "'lora_alpha'"), ({"fan_in_fan_out": True}, tensors[key], "'fan_in_fan_out'"),
        ({}, tensors[key][:, 1:].contiguous(), "model and r want"), ({}, tensors[key] * torch.nan, "NaN"), ({}, tensors[key].int(), "int32"),
    ]  # fmt: skip
    for changes, tensor, says in faults:
        (fits / "adapter_config.json").write_text(json.dumps({**settings, **changes}))
        save_file({**tensors, key: tensor}, fits / "adapter_model.safetensors")
        with pytest.raises(CheckpointError, match=says):
            llm.load_adapter("deep", fits)
    assert llm.adapters == {}
