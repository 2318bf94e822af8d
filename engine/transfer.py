"""Numbers to and from the device without making the host wait.

A plain copy to a GPU waits until the stream is idle, and a plain read waits for all that was launched since. Either
would undo overlap scheduling, so what goes up goes through pinned memory, and what comes down is awaited by its own event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def upload(values: Sequence[Any], dtype: torch.dtype, device: torch.device | str) -> Tensor:
    """A tensor of `values` on `device`."""
    tensor = torch.tensor(values, dtype=dtype)
    if torch.device(device).type == "cpu":
        return tensor
    return tensor.pin_memory().to(device, non_blocking=True)


class Download:
    """A tensor on its way to the host: started now, awaited when it is read."""

    def __init__(self, tensor: Tensor):
        self._tensor, self._arrived = tensor, None
        if tensor.is_cuda:
            self._tensor = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._tensor.copy_(tensor, non_blocking=True)
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record()

    def read(self) -> list[Any]:
        if self._arrived is not None:
            self._arrived.synchronize()
        values: list[Any] = self._tensor.tolist()
        return values
