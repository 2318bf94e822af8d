"""How the kernels of this package run: compiled where there is a GPU, interpreted where there is none."""

from __future__ import annotations

import os
import sys

import torch

from engine.errors import RequestError

if not torch.cuda.is_available() and "triton" not in sys.modules:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when a kernel is defined, Triton's own included

try:
    import triton
    import triton.language as tl
except ImportError as error:
    raise RequestError("kernels 'triton' need the package triton: pip install 'roofline[gpu]'") from error

INTERPRETED = bool(triton.knobs.runtime.interpret)
if not INTERPRETED and not torch.cuda.is_available():
    raise RequestError("kernels 'triton' need a GPU, or TRITON_INTERPRET=1 from the start of the process")


@triton.jit
def dot(a, b, INTERPRETED: tl.constexpr):
    """a @ b, summed in float32, float32 operands multiplied as such (no tf32). A matrix unit treats all rows of a tile alike;
    the library behind the interpreter does not, and takes bfloat16 for the integers that hold it, so there the products
    are written out: those of bfloat16 are exact in float32."""
    if INTERPRETED:
        return tl.sum(a.to(tl.float32)[:, :, None] * b.to(tl.float32)[None, :, :], 1)
    return tl.dot(a, b, input_precision="ieee")
