"""The GPU path: Triton kernels behind the same seams as `engine.ops`, `engine.attention` and `engine.sampling`.

Triton is optional: nothing imports this package until somebody asks for ``kernels="triton"``. On a machine without a GPU
the kernels run in Triton's interpreter, slowly but by the same source, which is how they are tested.
"""

from __future__ import annotations

from engine.kernels.attention import TritonAttention
from engine.kernels.jit import INTERPRETED
from engine.kernels.ops import TritonOps
from engine.kernels.sampling import gumbel_max

__all__ = ["INTERPRETED", "TritonAttention", "TritonOps", "gumbel_max"]
