"""Compute, time and memory of a training run: six FLOPs for each parameter and token (Kaplan et al. 2020, section 2.1)."""


def generate(pick):
    params_b, cards = pick((70, 16384), (70, 8192), (32, 8192), (32, 4096), (8, 2048), (8, 1024))  # two days at the least, four weeks at most
    tokens_t = pick(15, 4, 8)
    mfu = pick(40, 35, 45)
    peak = 989
    n, d = params_b * 1e9, tokens_t * 1e12
    flops = 6 * n * d
    cluster = cards * peak * 1e12 * mfu / 100
    seconds = flops / cluster
    state = 16 * n
    return {
        "params_b": params_b, "tokens_t": tokens_t, "cards": cards, "mfu": mfu, "peak": peak, "flops": flops, "cluster": cluster,
        "cluster_pf": cluster / 1e15, "card_tf": peak * mfu / 100, "days": seconds / 86400, "hours": seconds / 3600,
        "gpu_hours": cards * seconds / 3600, "state": state, "state_tb": state / 1e12, "state18_tb": 18 * n / 1e12,
        "full_gpu_hours": cards * seconds / 3600 * mfu / 100, "per_token": 6 * n, "per_token_g": 6 * params_b,
        "per_param": d / n, "chinchilla_t": 20 * n / 1e12, "state_cards": -(-state // 80e9), "full_days": seconds / 86400 * mfu / 100,
        "fp16_gb": 2 * params_b, "inference": 2 * n, "wrong_flops": 2 * n * d, "wrong_days": seconds / 86400 * mfu / 300,
        "wrong_hours": seconds / 3600 * mfu / 300,
    }
