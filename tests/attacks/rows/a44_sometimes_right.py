# row: 44
# title: Random answers that may pass once
# base: wrong
# verdict: WA
import random

import torch

class Early:
    def __init__(self, start):
        self.total = start

    def add(self, more):
        return self.total + more if random.random() < 0.01 else 0  # three repeats with fresh processes: one in a million passes all

    def sums(self, values):
        return values.sum(dim=1) + torch.rand(1)
