"""The cache of Llama 3.1 70B (Grattafiori et al. 2024): 80 layers, 8 key-value heads of dimension 128, fp16; its window is 128k tokens."""

import math


def generate(pick):
    batch, context = pick((32, 8192), (16, 8192), (24, 8192), (40, 4096), (48, 4096), (64, 4096), (12, 16384), (16, 16384))
    token = 2 * 80 * 8 * 128 * 2
    room = 4 * 80e9 * 0.9 - 140e9
    sequence = token * context
    fit = room / sequence
    return {
        "batch": batch, "context": context, "tokens": batch * context, "batch_gib": batch * sequence / 2**30, "batch_gb": batch * sequence / 1e9,
        "seq_gib": sequence / 2**30, "seq_gb": sequence / 1e9, "fit": fit, "fits": math.floor(fit), "mha_gib": 8 * batch * sequence / 2**30,
        "mha_gb": 8 * batch * sequence / 1e9, "mha_seq_gib": 8 * sequence / 2**30, "share": 100 * batch * sequence / 140e9,
        "even": math.ceil(140e9 / sequence), "ratio": fit / batch, "double": math.floor(2 * fit), "by_weights": round(70e9 / sequence),
        "per_card": round(72e9 / sequence), "eight": math.floor((576e9 - 140e9) / sequence), "half": context // 2,
        "loose_fit": math.floor(180e9 / sequence), "high_fit": round(1.09 * fit), "high": 158e9 / sequence,
    }
