"""Logits equal transformers' to 1e-5, however the tokens are cut into batches."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from engine import Batch, PagedKV, checkpoint_path, load_checkpoint
from engine.batch import Row
from engine.errors import CheckpointError, RequestError
from tests.engine import factory

torch.set_num_threads(1)
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """family -> (our checkpoint, the oracle), made once."""
    made: dict[str, Any] = {}

    def get(family: str) -> Any:
        if family not in made:
            folder, oracle = factory.checkpoint(tmp_path_factory.mktemp("m"), family, seed=3)
            made[family] = (load_checkpoint(folder), oracle)
        return made[family]

    return get


def expected(oracle: Any, tokens: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return oracle(torch.tensor([tokens])).logits[0]


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    # float32 sums in another order: the error grows with the logits' size.
    assert float((ours - theirs).abs().max()) < TOLERANCE * max(1.0, float(theirs.abs().max()))


@pytest.mark.parametrize("family", factory.FAMILIES)
def test_one_prompt_has_the_logits_of_transformers(models: Any, family: str) -> None:
    ours, oracle = models(family)
    tokens = torch.randint(0, 97, (150,), generator=torch.Generator().manual_seed(1)).tolist()
    kv = PagedKV(ours.config, n_pages=10)
    batch = Batch.build([Row(tokens, 0, list(range(9, -1, -1)))], 16)
    close(ours.model.logits(ours.model.forward(batch, kv)), expected(oracle, tokens))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    family=st.sampled_from(list(factory.FAMILIES)),
    page_size=st.sampled_from([1, 3, 4, 16]),
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    largest=st.integers(1, 12),
    seed=st.integers(0, 10_000),
)
def test_any_cut_into_chunks_and_batches_has_the_logits_of_transformers(
    models: Any, family: str, page_size: int, lengths: list[int], largest: int, seed: int
) -> None:
    ours, oracle = models(family)
    dice = random.Random(seed)
    prompts = [[dice.randrange(97) for _ in range(n)] for n in lengths]
    free = dice.sample(range(164), 164)
    pages = [[free.pop() for _ in range(-(-n // page_size))] for n in lengths]
    kv = PagedKV(ours.config, n_pages=164, page_size=page_size)
    done = [0] * len(prompts)
    got: list[list[torch.Tensor]] = [[] for _ in prompts]
    while done != lengths:
        takes = [min(dice.randint(0, largest), n - d) for n, d in zip(lengths, done, strict=True)]
        live = [r for r, take in enumerate(takes) if take]
        if not live:
            continue
        rows = [Row(prompts[r][done[r] : done[r] + takes[r]], done[r], pages[r]) for r in live]
        logits = ours.model.logits(ours.model.forward(Batch.build(rows, page_size), kv))
        for r, part in zip(live, logits.split([takes[r] for r in live]), strict=True):
            got[r].append(part)
            done[r] += takes[r]
    for r, prompt in enumerate(prompts):
        close(torch.cat(got[r]), expected(oracle, prompt))


@pytest.mark.parametrize("family", ["llama", "qwen3", "mistral-window"])
def test_every_path_of_a_draft_tree_has_the_logits_of_its_own_sequence(models: Any, family: str) -> None:
    ours, oracle = models(family)
    prompt = [5, 9, 13, 22, 31, 40, 41, 42, 43, 44, 45, 46]
    nodes, parents = [7, 8, 11, 12, 13, 14], [-1, -1, 0, 0, 1, 4]
    kv = PagedKV(ours.config, n_pages=4, page_size=8)
    pages = [2, 0, 3]
    ours.model.forward(Batch.build([Row(prompt[:-1], 0, pages)], 8), kv)
    batch = Batch.build([Row([prompt[-1], *nodes], len(prompt) - 1, pages, parents), Row([3, 4], 0, [1])], 8)
    logits = ours.model.logits(ours.model.forward(batch, kv))
    for node, _ in enumerate(nodes):
        path, at = [], node
        while at >= 0:
            path.append(nodes[at])
            at = parents[at]
        close(logits[1 + node], expected(oracle, prompt + path[::-1])[-1])
    close(logits[-2:], expected(oracle, [3, 4]))


def test_sharded_weights_load_as_one(tmp_path: Path) -> None:
    oracle = factory.make("qwen2", seed=5)
    folder = factory.write(oracle, tmp_path / "sharded", shard="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    ours = load_checkpoint(folder)
    batch = Batch.build([Row([1, 2, 3], 0, [0])], 16)
    close(ours.model.logits(ours.model.forward(batch, PagedKV(ours.config, 1))), expected(oracle, [1, 2, 3]))


def test_old_style_rope_settings_read_as_the_new_ones(tmp_path: Path) -> None:
    folder, _ = factory.checkpoint(tmp_path, "llama3-rope")
    new = load_checkpoint(folder).config
    raw = json.loads((folder / "config.json").read_text())
    scaling = raw.pop("rope_parameters")
    raw["rope_theta"] = scaling.pop("rope_theta")
    raw["rope_scaling"] = scaling
    (folder / "config.json").write_text(json.dumps(raw))
    assert load_checkpoint(folder).config == new


def test_several_end_of_sequence_ids_are_all_read(tmp_path: Path) -> None:
    folder, _ = factory.checkpoint(tmp_path, "llama", eos_token_id=[1, 2])
    (folder / "generation_config.json").write_text('{"eos_token_id": [2, 5]}')
    assert load_checkpoint(folder).config.eos_ids == {1, 2, 5}


def break_config(**changes: Any) -> Any:
    def change(folder: Path) -> None:
        raw = json.loads((folder / "config.json").read_text())
        raw.update(changes)
        (folder / "config.json").write_text(json.dumps({k: v for k, v in raw.items() if v is not None}))

    return change


def break_weights(change: Any) -> Any:
    def apply(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return apply


FAULTS = {
    "no config": (lambda f: (f / "config.json").unlink(), ["config.json", "no such file"]),
    "config is not JSON": (lambda f: (f / "config.json").write_text("{"), ["config.json", "JSON"]),
    "unknown family": (break_config(model_type="mamba"), ["config.json", "model_type", "mamba"]),
    "missing size": (break_config(hidden_size=None), ["config.json", "hidden_size", "missing"]),
    "wrong size": (break_config(hidden_size="big"), ["config.json", "hidden_size", "big"]),
    "heads don't divide": (break_config(num_key_value_heads=3), ["config.json", "num_key_value_heads"]),
    "unknown rope": (break_config(rope_parameters={"rope_type": "longrope", "factor": 2.0}), ["rope_type", "longrope"]),
    "rope without factor": (break_config(rope_parameters={"rope_type": "linear"}), ["rope_parameters.factor"]),
    "other activation": (break_config(hidden_act="gelu"), ["config.json", "hidden_act"]),
    "quantized": (break_config(quantization_config={"bits": 4}), ["config.json", "quantization_config"]),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), ["safetensors"]),
    "broken weights": (lambda f: (f / "model.safetensors").write_bytes(b"\x01" * 40), ["model.safetensors"]),
    "missing tensor": (
        break_weights(lambda t: t.pop("model.layers.1.mlp.down_proj.weight")), ["model.layers.1.mlp.down_proj.weight"],
    ),
    "wrong shape": (
        break_weights(lambda t: t.update({"model.norm.weight": torch.ones(31)})),
        ["model.safetensors", "model.norm.weight", "(31,)", "(32,)"],
    ),
    "integer weights": (
        break_weights(lambda t: t.update({"model.norm.weight": torch.ones(32, dtype=torch.int8)})),
        ["model.safetensors", "model.norm.weight", "int8"],
    ),
    "NaN weights": (break_weights(lambda t: t["model.norm.weight"].fill_(torch.nan)), ["model.safetensors", "model.norm.weight", "NaN"]),
    "a key in two files": (
        lambda f: [(f / "model.safetensors").rename(f / name) if name == "a.safetensors" else shutil.copy(f / "a.safetensors", f / name)
                   for name in ("a.safetensors", "b.safetensors")],
        ["b.safetensors", "is in a.safetensors too"],
    ),
    "a null among the ends": (lambda f: (f / "generation_config.json").write_text('{"eos_token_id": [1, null]}'), ["generation_config.json", "eos_token_id"]),
    "settings of the tokenizer": (
        lambda f: [shutil.copy(checkpoint_path("target") / "tokenizer.json", f), (f / "tokenizer_config.json").write_text("[]")], ["tokenizer_config.json"],
    ),
    **{f"{key} = {value!r}": (break_config(**{"rope_parameters": None, key: value, **more}), ["config.json", key]) for key, value, more in (
        ("rms_norm_eps", "tiny", {}), ("rope_theta", "abc", {}), ("rope_scaling", "linear", {}), ("eos_token_id", [{}], {}), ("eos_token_id", "2", {}),
        ("sliding_window", "9", {"model_type": "mistral"}), ("sliding_window", -4, {"model_type": "mistral"}),
        ("layer_types", 5, {"model_type": "mistral", "sliding_window": 4}),
        ("max_window_layers", "all", {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 4, "layer_types": None}),
        ("rope_scaling", {"type": "linear", "factor": -2}, {}))},
    "broken tokenizer": (lambda f: (f / "tokenizer.json").write_text("{}"), ["tokenizer.json"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_checkpoint_is_refused_naming_file_and_key(tmp_path: Path, name: str) -> None:
    folder, _ = factory.checkpoint(tmp_path, "llama")
    change, words = FAULTS[name]
    change(folder)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_beside_model_safetensors_no_other_file_is_read(tmp_path: Path) -> None:
    folder, oracle = factory.checkpoint(tmp_path, "llama")
    save_file({key: torch.zeros_like(tensor) for key, tensor in load_file(folder / "model.safetensors").items()}, folder / "old.safetensors")
    ours = load_checkpoint(folder)
    batch = Batch.build([Row([1, 2, 3], 0, [0])], 16)
    close(ours.model.logits(ours.model.forward(batch, PagedKV(ours.config, 1))), expected(oracle, [1, 2, 3]))


def test_a_head_of_its_own_counts_though_the_config_ties_it(tmp_path: Path) -> None:
    folder, _ = factory.checkpoint(tmp_path, "llama")
    break_config(tie_word_embeddings=True)(folder)
    ours, oracle = load_checkpoint(folder), AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    batch = Batch.build([Row([1, 2, 3], 0, [0])], 16)
    close(ours.model.logits(ours.model.forward(batch, PagedKV(ours.config, 1))), expected(oracle, [1, 2, 3]))


def test_a_shard_that_the_index_names_but_is_absent_is_reported(tmp_path: Path) -> None:
    folder = factory.write(factory.make("llama"), tmp_path / "sharded", shard="20KB")
    gone = sorted(folder.glob("*.safetensors"))[1]
    gone.unlink()
    with pytest.raises(CheckpointError, match=gone.name):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Row([97], 0, [0]), "vocabulary"),
        (Row([-1], 0, [0]), "vocabulary"),
        (Row([], 0, [0]), "at least one token"),
        (Row([1] * 17, 0, [0]), "don't fit"),
        (Row([1], 600, [0] * 50), "max_position"),
        (Row([1, 2, 3], 0, [0], [1, -1]), "parents come before"),
    ],
)
def test_a_batch_that_can_not_be_computed_is_refused(models: Any, row: Row, words: str) -> None:
    ours, _ = models("llama")
    with pytest.raises(RequestError, match=words):
        ours.model.forward(Batch.build([row], 16), PagedKV(ours.config, 50))
