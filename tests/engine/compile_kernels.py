"""Compile every kernel to machine code for compute capability 9.0, on a machine that need not have a GPU.

The interpreter shows that a kernel computes the right numbers; this shows that the real compiler accepts its types and
shapes. Run as a program: it prints a line of JSON per variant, and fails on the first that doesn't compile.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

os.environ["TRITON_INTERPRET"] = "0"
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
import torch

torch.cuda.is_available = lambda: True  # the package asks whether to interpret

import triton  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from engine.kernels import attention, matmul, ops, sampling  # noqa: E402

NUMBERS = {"scale": "fp32", "eps": "fp32"} | dict.fromkeys(
    ("q_stride", "k_stride", "v_stride", "width", "rows", "columns", "inner", "vocab", "stride", "parts"), "i32"
)
FLOATS = dict.fromkeys(("partial", "lse", "heat", "best", "k_scale", "v_scale"), "*fp32")
INDICES = dict.fromkeys(("pages", "q_start", "kv_len", "positions", "work", "tree_at", "slots", "keys", "where"), "*i64") | {"tree": "*u8"}
NO_TREE, NO_SCALE = {"tree": None, "tree_at": None, "TREE": False}, {"k_scale": None, "v_scale": None, "SCALED": False}

Variant = tuple[str, Any, dict[str, Any], dict[str, str]]


def variants(dtype: str, heads: int, kv_heads: int, dim: int) -> Iterator[Variant]:
    """(name, kernel, constants, types of arguments that are not of `dtype`)."""
    model = {"H": heads, "K": kv_heads, "D": dim, "SPLIT": attention.SPLIT, "BLOCK_D": dim}
    attend = {**model, "PAGE": 16, "BLOCK_N": attention.BLOCK_N, "INTERPRETED": False, "WINDOW": 0}
    narrow, wide = {"BLOCK_Q": 8, "BLOCK_M": attention.NARROW}, {"BLOCK_Q": 32, "BLOCK_M": attention.WIDE}
    yield "decode", attention._attend, {**attend, **narrow, **NO_TREE, **NO_SCALE, "SPLITS": 4}, {}
    yield "prefill in a window", attention._attend, {**attend, **wide, **NO_TREE, **NO_SCALE, "SPLITS": 1, "WINDOW": 4096}, {}
    yield "draft tree", attention._attend, {**attend, **narrow, **NO_SCALE, "TREE": True, "SPLITS": 2}, {}
    for code in ("i8", "fp8e4nv") if dtype == "bf16" else ():
        yield f"decode of {code}", attention._attend, {**attend, **narrow, **NO_TREE, "SCALED": True, "SPLITS": 4}, {"k": f"*{code}", "v": f"*{code}"}
    yield "merge", attention._merge, {**model, "SPLITS": 4, "BLOCK_Q": 8}, {}
    yield "add_norm", ops._add_norm, {"ADD": True, "N": 1024, "BLOCK": 1024}, {}
    yield "silu_mul", ops._silu_mul, {"N": 3072, "BLOCK": 1024}, {}
    turn = {"H": heads, "K": kv_heads, "D": dim, "HALF": dim // 2}
    yield "rope_write", ops._rope_write, {**turn, "NORM": True}, {}
    yield "rope_write without norms", ops._rope_write, {**turn, "NORM": False, "q_weight": None, "k_weight": None}, {}
    tiles = {"BLOCK_M": matmul.BLOCK_M, "BLOCK_N": matmul.BLOCK_N, "BLOCK_K": matmul.BLOCK_K}
    yield "linear", matmul._linear, {**tiles, "BIAS": True, "INTERPRETED": False}, {}
    yield "gumbel_max", sampling._gumbel_max, {"BLOCK": sampling.BLOCK, "STEPS": sampling.STEPS}, {}


def compiled(kernel: Any, constants: dict[str, Any], types: dict[str, str]) -> Any:
    names = list(kernel.arg_names)
    constants = {name: value for name, value in constants.items() if name in names}
    signature = {name: "constexpr" if name in constants else types[name] for name in names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, name in enumerate(names) if signature[name].startswith("*")}
    source = ASTSource(kernel, signature, {(names.index(name),): value for name, value in constants.items()}, aligned)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4})


def main() -> None:
    for dtype, *shape in (("bf16", 16, 8, 128), ("fp32", 4, 2, 16)):
        for name, kernel, constants, special in variants(dtype, *shape):
            types = dict.fromkeys(kernel.arg_names, f"*{dtype}") | NUMBERS | FLOATS | INDICES
            made = compiled(kernel, constants, types | special)
            print(json.dumps({"kernel": name, "dtype": dtype, "code": len(made.asm["cubin"]), "matrix_unit": "mma" in made.asm["ptx"]}), flush=True)


if __name__ == "__main__":
    main()
