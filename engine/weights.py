"""Weights from one or several safetensors files, checked name by name and shape by shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from engine.checks import check_weights
from engine.config import ModelConfig
from engine.errors import CheckpointError
from engine.model import LayerWeights, Weights

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"

HEAD = "lm_head.weight"


class Shards:
    """Tensors by name, wherever they lie. Files are opened once, tensors read when asked for."""

    def __init__(self, folder: Path, stack: ExitStack):
        self.folder, self.stack = folder, stack
        self.files: dict[Path, object] = {}
        self.where: dict[str, Path] = {}
        index = folder / INDEX
        if index.is_file():
            try:
                table = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
                self.where = {str(key): folder / Path(str(name)).name for key, name in table.items()}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise CheckpointError(f"{index}: key 'weight_map': not readable: {error!r}") from None
            return
        whole = folder / WHOLE
        paths = [whole] if whole.exists() else sorted(folder.glob("*.safetensors"))
        if not paths:
            raise CheckpointError(f"{folder}: no {INDEX} and no *.safetensors file")
        for path in paths:
            for key in self._open(path).keys():  # type: ignore[attr-defined]  # noqa: SIM118
                if key in self.where:
                    raise CheckpointError(f"{path}: key {key!r}: is in {self.where[key].name} too; leave one of them in the folder, or add {INDEX}")
                self.where[key] = path

    def _open(self, path: Path) -> object:
        if path not in self.files:
            try:
                self.files[path] = self.stack.enter_context(safe_open(path, framework="pt"))
            except FileNotFoundError:
                raise CheckpointError(f"{path}: no such file, though {INDEX} names it") from None
            except (OSError, SafetensorError) as error:
                raise CheckpointError(f"{path}: not a readable safetensors file: {error}") from None
        return self.files[path]

    def get(self, key: str, shape: tuple[int, ...]) -> Tensor:
        """The tensor named `key`; CheckpointError names file and key when it is missing or of another shape."""
        if key not in self.where:
            raise CheckpointError(f"{self.folder}: key {key!r}: in none of the safetensors files")
        path = self.where[key]
        try:
            tensor: Tensor = self._open(path).get_tensor(key)  # type: ignore[attr-defined]
        except SafetensorError as error:
            raise CheckpointError(f"{path}: key {key!r}: {error}") from None
        if tuple(tensor.shape) != shape:
            raise CheckpointError(f"{path}: key {key!r}: shape {tuple(tensor.shape)}, but config.json wants {shape}")
        check_weights(tensor, path, key)
        return tensor


@contextmanager
def open_shards(folder: str | Path) -> Iterator[Shards]:
    with ExitStack() as stack:
        yield Shards(Path(folder), stack)


def load_weights(folder: str | Path, config: ModelConfig, dtype: torch.dtype, device: torch.device | str) -> Weights:
    """Read every weight that `config` calls for, fusing q, k, v and gate, up as they are read. A head that the file has besides tied embeddings, and
    that differs from them, counts (as in transformers)."""
    with open_shards(folder) as shards:
        own_head = not config.tied or HEAD in shards.where
        return _assemble(config, lambda key, *shape: shards.get(key, shape).to(device, dtype), own_head)


def random_weights(config: ModelConfig, dtype: torch.dtype, device: torch.device | str, seed: int = 0) -> Weights:
    """Weights of a model that nobody trained, for measurements: normal with deviation 0.02, norms 1."""
    generator = torch.Generator(device).manual_seed(seed)

    def get(key: str, *shape: int) -> Tensor:
        if "norm" in key:
            return torch.ones(shape, dtype=dtype, device=device)
        return torch.empty(shape, dtype=dtype, device=device).normal_(0, 0.02, generator=generator)

    return _assemble(config, get, not config.tied)


def _assemble(config: ModelConfig, get: Callable[..., Tensor], own_head: bool) -> Weights:
    hidden, inner, dim = config.hidden_size, config.intermediate_size, config.head_dim
    q_out, kv_out = config.n_heads * dim, config.n_kv_heads * dim

    def stack(stem: str, parts: dict[str, tuple[int, ...]], kind: str) -> Tensor:
        return torch.cat([get(f"{stem}.{part}.{kind}", *shape) for part, shape in parts.items()])

    def layer(index: int) -> LayerWeights:
        stem = f"model.layers.{index}"
        attn, mlp = f"{stem}.self_attn", f"{stem}.mlp"
        qkv = {"q_proj": q_out, "k_proj": kv_out, "v_proj": kv_out}
        gate_up = {"gate_proj": inner, "up_proj": inner}
        return LayerWeights(
            norm=get(f"{stem}.input_layernorm.weight", hidden),
            qkv=stack(attn, {name: (n, hidden) for name, n in qkv.items()}, "weight"),
            qkv_bias=stack(attn, {name: (n,) for name, n in qkv.items()}, "bias") if config.qkv_bias else None,
            q_norm=get(f"{attn}.q_norm.weight", dim) if config.qk_norm else None,
            k_norm=get(f"{attn}.k_norm.weight", dim) if config.qk_norm else None,
            out=get(f"{attn}.o_proj.weight", hidden, q_out),
            out_bias=get(f"{attn}.o_proj.bias", hidden) if config.o_bias else None,
            mlp_norm=get(f"{stem}.post_attention_layernorm.weight", hidden),
            gate_up=stack(mlp, {name: (n, hidden) for name, n in gate_up.items()}, "weight"),
            gate_up_bias=stack(mlp, {name: (n,) for name, n in gate_up.items()}, "bias") if config.mlp_bias else None,
            down=get(f"{mlp}.down_proj.weight", hidden, inner),
            down_bias=get(f"{mlp}.down_proj.bias", hidden) if config.mlp_bias else None,
        )

    embedding = get("model.embed_tokens.weight", config.vocab_size, hidden)
    head = get(HEAD, config.vocab_size, hidden) if own_head else embedding
    return Weights(
        embedding=embedding,
        layers=[layer(index) for index in range(config.n_layers)],
        norm=get("model.norm.weight", hidden),
        head=embedding if config.tied and torch.equal(head, embedding) else head,
    )
