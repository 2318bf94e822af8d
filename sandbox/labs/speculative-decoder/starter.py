"""A speculative decoder: fill in the methods. The brief says what each must do."""


import torch


class SpeculativeDecoder:
    def __init__(self, target, draft, k: int):
        self.target, self.draft, self.k = target, draft, k

    def verify(self, tokens: list[int], p: torch.Tensor, q: torch.Tensor, u: list[float]) -> tuple[int, int]:
        raise NotImplementedError("verify")

    def generate(self, prompt: list[int], max_new_tokens: int, temperature: float, stop: list[int]) -> list[int]:
        raise NotImplementedError("generate")
