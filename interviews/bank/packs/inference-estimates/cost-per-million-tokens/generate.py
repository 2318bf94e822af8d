"""The price of output tokens, and what speculative decoding makes of it (Leviathan et al. 2023, theorem 3.8)."""


def generate(pick):
    price = pick(3.9, 2.5, 3.0)
    cards = pick(4, 8)
    rate = pick(2344, 1800, 3000)
    busy = pick(80, 60, 50)
    alpha = pick(0.7, 0.8, 0.6)
    k = pick(4, 3, 5)
    draft = pick(0.05, 0.08)
    verify = pick(1.15, 1.1, 1.2)
    node = price * cards
    per_hour = rate * 3600 * busy / 100
    cost = 1e6 * node / per_hour
    tokens = (1 - alpha ** (k + 1)) / (1 - alpha)
    work = k * draft + verify
    speedup = tokens / work
    low = 0.4
    low_speedup = (1 - low ** (k + 1)) / (1 - low) / work
    return {
        "price": price, "cards": cards, "rate": rate, "busy": busy, "alpha": alpha, "k": k, "draft": draft, "verify": verify,
        "node": node, "per_hour_m": per_hour / 1e6, "effective": rate * busy / 100, "cost": cost, "full_cost": cost * busy / 100,
        "tokens": tokens, "work": work, "drafts": k * draft, "speedup": speedup, "spec_cost": cost / speedup,
        "power": alpha ** (k + 1), "rest": 1 - alpha ** (k + 1), "all_stand": alpha ** k, "most": k + 1, "low": low, "low_speedup": low_speedup,
        "naive": 1 + alpha * k, "wrong_cost": cost / (k + 1), "doubled": 2 * busy if busy <= 50 else 100,
    }
