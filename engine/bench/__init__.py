"""`python -m engine bench`: what the engine does, each figure beside its bound. Figures of one run are compared with each other, not with another day's."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from engine.bench.rows import ROWS
from engine.bench.shapes import SHAPES
from engine.errors import EngineError


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m engine bench", description=__doc__)
    parser.add_argument("row", choices=sorted(ROWS), help="; ".join(f"{name}: {row.help}" for name, row in ROWS.items()))
    parser.add_argument("--shape", choices=sorted(SHAPES), help="the model's shape; weights are random")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default=None, help="default: float32 on a CPU, bfloat16 elsewhere")
    parser.add_argument("--kernels", choices=["torch", "triton"], help="default: Triton's on a GPU in reduced precision, else torch's")
    parser.add_argument("--no-graphs", action="store_true", help="launch every kernel of a decode pass by itself")
    parser.add_argument("--requests", type=int, help="how many; each row has a default")
    parser.add_argument("--tokens", type=int, help="longest prompt and output; each row has a default")
    parser.add_argument("--repeat", type=int, default=3, help="runs; the median is reported")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    row = ROWS[args.row]
    on_gpu = args.device != "cpu"
    args.shape = args.shape or ("qwen3-0.6b" if on_gpu else "small")
    args.dtype = args.dtype or ("bfloat16" if on_gpu else "float32")
    for name in ("requests", "tokens"):
        if getattr(args, name) is None:
            setattr(args, name, row.defaults[on_gpu][name])
    try:
        report = row.measure(args)
    except (EngineError, RuntimeError) as error:
        print(f"engine bench: {error}", file=sys.stderr)
        return 1
    report = {"row": args.row, "shape": args.shape, "device": args.device, "dtype": args.dtype, "requests": args.requests, "tokens": args.tokens, **report}
    if args.json:
        print(json.dumps(report))
    else:
        for name, value in report.items():
            print(f"{name:<42} {value:.4g}" if isinstance(value, float) else f"{name:<42} {value}")
    return 0
