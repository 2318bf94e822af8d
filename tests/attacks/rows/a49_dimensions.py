# row: 49
# title: A tensor of sixty dimensions
# base: wrong
# verdict: RTE WA OLE MLE TLE
import torch


class Early:
    def add(self, more):
        return torch.zeros([1] * 60)

    def sums(self, values):
        return torch.zeros([1] * 60)
