"""The shape of a model, read from ``config.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import CheckpointError

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
ROPE_TYPES = ("default", "linear", "llama3", "yarn")
Fail = Callable[[str, str], CheckpointError]  # (key, why)


@dataclass(frozen=True)
class RopeConfig:
    """Rotary embedding parameters; which of them count depends on `kind` (`engine.rope`)."""

    theta: float = 10_000.0
    kind: str = "default"
    factor: float = 1.0
    original_max_position: int = 0
    low_freq_factor: float = 1.0  # llama3
    high_freq_factor: float = 4.0  # llama3
    beta_fast: float = 32.0  # yarn
    beta_slow: float = 1.0  # yarn
    attention_factor: float | None = None  # yarn
    mscale: float | None = None  # yarn
    mscale_all_dim: float | None = None  # yarn
    truncate: bool = True  # yarn


@dataclass(frozen=True)
class ModelConfig:
    """A decoder-only transformer with RMSNorm, rotary positions, grouped-query attention and SwiGLU."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    max_position: int
    rms_eps: float = 1e-6
    rope: RopeConfig = RopeConfig()
    tied: bool = False
    qkv_bias: bool = False
    o_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    windows: tuple[int | None, ...] = ()  # per layer; None = full attention; () = all full
    bos_id: int | None = None
    eos_ids: frozenset[int] = frozenset()
    family: str = "llama"

    def window(self, layer: int) -> int | None:
        return self.windows[layer] if self.windows else None

    @property
    def scale(self) -> float:
        return float(self.head_dim**-0.5)

    def kv_bytes_per_token(self, itemsize: int) -> int:
        return 2 * self.n_layers * self.n_kv_heads * self.head_dim * itemsize

    @classmethod
    def load(cls, folder: str | Path) -> ModelConfig:
        """Read ``config.json`` (and more end-of-sequence ids from ``generation_config.json`` when there is one)."""
        path = Path(folder) / "config.json"
        config = cls.from_dict(_read_json(path), str(path))
        more = Path(folder) / "generation_config.json"
        if more.is_file():
            ids = config.eos_ids | _ids(_read_json(more), config.vocab_size, str(more))
            config = cls(**{**config.__dict__, "eos_ids": ids})
        return config

    @classmethod
    def from_dict(cls, raw: dict[str, Any], where: str = "config.json") -> ModelConfig:
        """Read the dictionary of a ``config.json``; CheckpointError names `where` and the key that is wrong."""

        def fail(key: str, why: str) -> CheckpointError:
            return CheckpointError(f"{where}: key {key!r}: {why}")

        def size(key: str, default: int | None = None) -> int:
            value = raw.get(key)
            value = default if value is None else value
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise fail(key, "missing" if value is None else f"must be a positive integer, not {value!r}")
            return value

        def number(key: str, default: float) -> float:
            return _number(raw.get(key, default), key, fail)

        family = raw.get("model_type")
        if family not in FAMILIES:
            raise fail("model_type", f"{family!r} is not supported; supported are {', '.join(FAMILIES)}")
        if raw.get("hidden_act", "silu") != "silu":
            raise fail("hidden_act", f"{raw['hidden_act']!r} is not supported; only 'silu' is")
        if raw.get("quantization_config"):
            raise fail("quantization_config", "quantized weights are not supported")
        heads, hidden, layers = size("num_attention_heads"), size("hidden_size"), size("num_hidden_layers")
        kv_heads = size("num_key_value_heads", heads)
        if heads % kv_heads:
            raise fail("num_key_value_heads", f"{kv_heads} doesn't divide num_attention_heads = {heads}")
        if raw.get("head_dim") is None and hidden % heads:
            raise fail("head_dim", f"missing, and hidden_size = {hidden} is no multiple of the {heads} heads")
        head_dim = size("head_dim", max(hidden // heads, 1))
        if head_dim % 2:
            raise fail("head_dim", f"{head_dim} is odd; rotary embedding needs pairs")
        max_position, vocabulary = size("max_position_embeddings"), size("vocab_size")
        bias = bool(raw.get("attention_bias", False))
        return cls(
            vocab_size=vocabulary,
            hidden_size=hidden,
            intermediate_size=size("intermediate_size"),
            n_layers=layers,
            n_heads=heads,
            n_kv_heads=kv_heads,
            head_dim=head_dim,
            max_position=max_position,
            rms_eps=number("rms_norm_eps", 1e-6),
            rope=_rope(raw, max_position, fail),
            tied=bool(raw.get("tie_word_embeddings", False)),
            qkv_bias=bias or family == "qwen2",
            o_bias=bias and family != "qwen2",
            mlp_bias=bool(raw.get("mlp_bias", False)),
            qk_norm=family == "qwen3",
            windows=_windows(raw, layers, fail),
            bos_id=raw.get("bos_token_id"),
            eos_ids=_ids(raw, vocabulary, where),
            family=family,
        )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; a checkpoint folder holds config.json and *.safetensors") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: must hold a JSON object")
    return value


def _ids(raw: dict[str, Any], vocabulary: int, where: str) -> frozenset[int]:
    """The end-of-sequence ids. One outside the vocabulary is left out: files have them, and no token can ever be it."""
    value = raw.get("eos_token_id")
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in ids):
        raise CheckpointError(f"{where}: key 'eos_token_id': must be a token id or a list of them, not {value!r}")
    return frozenset(one for one in ids if 0 <= one < vocabulary)


def _number(value: Any, key: str, fail: Fail) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise fail(key, f"must be a number above 0, not {value!r}")
    return float(value)


def _windows(raw: dict[str, Any], layers: int, fail: Fail) -> tuple[int | None, ...]:
    """Which layers slide: `layer_types` when given, else the Qwen rule (from max_window_layers on), else all."""
    window = raw.get("sliding_window")
    family = raw["model_type"]
    if not window or (family.startswith("qwen") and not raw.get("use_sliding_window", False)) or family == "llama":
        return ()
    if isinstance(window, bool) or not isinstance(window, int) or window < 1:
        raise fail("sliding_window", f"must be a positive integer, not {window!r}")
    kinds = raw.get("layer_types")
    if kinds is not None:
        if not isinstance(kinds, list) or len(kinds) != layers or any(kind not in ("full_attention", "sliding_attention") for kind in kinds):
            raise fail("layer_types", f"must list full_attention or sliding_attention for each of {layers} layers")
        return tuple(window if kind == "sliding_attention" else None for kind in kinds)
    first = raw.get("max_window_layers", 28) if family.startswith("qwen") else 0
    if isinstance(first, bool) or not isinstance(first, int):
        raise fail("max_window_layers", f"must be a whole number, not {first!r}")
    return tuple(window if layer >= first else None for layer in range(layers))


def _rope(raw: dict[str, Any], max_position: int, fail: Fail) -> RopeConfig:
    """`rope_parameters` (newer files) or `rope_theta` with `rope_scaling` (older ones)."""
    name = "rope_parameters" if raw.get("rope_parameters") else "rope_scaling"
    given = raw.get(name) or {}
    if not isinstance(given, dict):
        raise fail(name, f"must be an object, not {given!r}")
    kind = given.get("rope_type", given.get("type", "default"))
    if kind not in ROPE_TYPES:
        raise fail(f"{name}.rope_type", f"{kind!r} is not supported; supported are {', '.join(ROPE_TYPES)}")
    if given.get("partial_rotary_factor", raw.get("partial_rotary_factor", 1.0)) != 1.0:
        raise fail("partial_rotary_factor", "only 1.0 is supported")
    known = given.get("original_max_position_embeddings") or raw.get("original_max_position_embeddings")
    original = _number(known, "original_max_position_embeddings", fail) if known else None
    if kind != "default" and not given.get("factor"):
        if kind == "yarn" and original:
            given = {**given, "factor": max_position / original}
        else:
            raise fail(f"{name}.factor", f"missing, and rope type {kind!r} needs it")
    wanted = ("low_freq_factor", "high_freq_factor") if kind == "llama3" else ()
    for key in wanted:
        if key not in given:
            raise fail(f"{name}.{key}", f"missing, and rope type {kind!r} needs it")

    def number(key: str, default: float) -> float:
        return _number(given.get(key) or default, f"{name}.{key}", fail)

    def maybe(key: str) -> float | None:
        return _number(given[key], f"{name}.{key}", fail) if given.get(key) else None

    return RopeConfig(
        theta=_number(given.get("rope_theta", raw.get("rope_theta", 10_000.0)), "rope_theta", fail),
        kind=kind,
        factor=number("factor", 1.0),
        original_max_position=int(original or max_position),
        low_freq_factor=number("low_freq_factor", 1.0),
        high_freq_factor=number("high_freq_factor", 4.0),
        beta_fast=number("beta_fast", 32.0),
        beta_slow=number("beta_slow", 1.0),
        attention_factor=maybe("attention_factor"),
        mscale=maybe("mscale"),
        mscale_all_dim=maybe("mscale_all_dim"),
        truncate=bool(given.get("truncate", True)),
    )
