"""Decode bounded by memory: weights and cache are read once for each step."""


def generate(pick):
    params_b, layers = pick((70, 80), (32, 64))
    gpu, bandwidth, peak = pick(("H100", 3.35, 989), ("H200", 4.8, 989), ("A100", 2.04, 312))
    cards = pick(4, 8)
    batch = pick(32, 16, 48)
    context = pick(4096, 2048, 8192)
    kv_heads, head_dim, width = 8, 128, 2
    weights = params_b * 1e9 * width
    kv_token = 2 * layers * kv_heads * head_dim * width
    kv = kv_token * batch * context
    total = cards * bandwidth * 1e12
    step = (weights + kv) / total
    compute = 2 * params_b * 1e9 * batch / (cards * peak * 1e12)
    return {
        "params_b": params_b, "layers": layers, "gpu": gpu, "bandwidth": bandwidth, "peak": peak, "cards": cards, "batch": batch, "context": context,
        "weights_gb": weights / 1e9, "total_tbs": total / 1e12, "kv_kib": kv_token / 1024, "kv_gb": kv / 1e9, "both_gb": (weights + kv) / 1e9,
        "floor_ms": 1e3 * weights / total, "single": total / weights, "step_ms": 1e3 * step, "rate": batch / step,
        "ridge": peak / bandwidth, "compute_ms": 1e3 * compute, "half_ms": 500 * weights / total, "eighty_ms": 1250 * step,
        "one_card_ms": 1e3 * weights / (bandwidth * 1e12), "gflop_token": 2 * params_b, "no_kv": batch * total / weights,
        "wrong_floor_ms": 1e3 * 2 * params_b * 1e9 / (cards * peak * 1e12),
        "wrong_rate": cards * peak * 1e12 / (2 * params_b * 1e9),
    }
