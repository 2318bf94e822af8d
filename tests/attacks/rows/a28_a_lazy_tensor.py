# row: 28
# title: A tensor subclass that computes when it is looked at
# base: wrong
# verdict: WA RTE
import torch


class Lazy(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return super().__torch_function__(function, types, args, kwargs or {})

    def sum(self, *args, **more):
        return self

    def numpy(self):
        raise RuntimeError("not yet")

    @property
    def shape(self):
        return torch.Size([3])


class Early:
    def sums(self, values):
        return torch.zeros(3).as_subclass(Lazy)
