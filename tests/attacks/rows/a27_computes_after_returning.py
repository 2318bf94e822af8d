# row: 27
# title: Returns an empty tensor and fills it in from a thread
# base: wrong
# verdict: WA
import threading
import time

import torch


class Early:
    def sums(self, values):
        out = torch.zeros(values.shape[0])

        def fill():
            time.sleep(0.05)
            out.copy_(values.sum(dim=1))

        threading.Thread(target=fill, daemon=True).start()
        return out
