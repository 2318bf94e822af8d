"""Whether the words of a text stand in an order in which people write, or in one that chance, or a list, could have made.

A small convolutional network over the encoder's own word-piece embeddings, turned and shortened to WIDTH components. It has learnt
(`grading.order_fit`) to tell sentences of this repository from the same words shuffled, half shuffled, bared of their function words, or put three at a
time into an empty frame. It knows nothing of what is true. The sum of what it finds, over the root of the number of pieces, grows with length as the
evidence does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from grading.encoder import encoder
from grading.text import Clause

FILE = Path(__file__).with_name("order.safetensors")
WIDTH = HIDDEN = 64
EDGE = 2  # places before and after a text that the first window sees as empty
DROPOUT = 0.2
PART = 60  # words that are read at once
MOST = 3.0  # log odds of one piece: no odd word decides alone
_MARKS = re.compile(r"(?:\s*[^\w\s'’])+")


class OrderNet(nn.Module):
    """`forward(places)`: float [texts, pieces + 2 * EDGE, WIDTH + 1] -> log odds of each piece, [texts, pieces]. The last component is 1 where no piece is."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv1d(WIDTH + 1, HIDDEN, 2 * EDGE + 1)
        self.wide = nn.Conv1d(HIDDEN, HIDDEN, 3, padding=1)
        self.out = nn.Linear(HIDDEN, 1)

    def forward(self, places: Tensor) -> Tensor:
        empty = places[:, :, -1:]
        x = torch.cat([F.dropout(places[:, :, :-1], DROPOUT, self.training), empty], dim=2)
        there = 1.0 - empty[:, EDGE:-EDGE, 0]
        h = F.gelu(self.near(x.transpose(1, 2))) * there[:, None]
        found: Tensor = MOST * torch.tanh(self.out(F.gelu(self.wide(h)).transpose(1, 2))[:, :, 0] / MOST) * there
        return found


class Order:
    """A trained network with the table of its inputs: `table` [vocabulary, WIDTH]."""

    def __init__(self, net: OrderNet, table: Tensor) -> None:
        self.net, self.table = net.eval(), table

    def log_odds(self, text: str) -> float:
        """What the order of a text's words says: above 0 for prose. Read in parts of PART words, for which the sum over the root of their number is taken."""
        words = text.split()
        found = self.evidence([" ".join(words[i : i + PART]) for i in range(0, len(words), PART)])
        return sum(value for value, _ in found) / math.sqrt(max(1, sum(count for _, count in found)))

    @torch.inference_mode()
    def evidence(self, texts: Sequence[str]) -> list[tuple[float, int]]:
        """For each text the sum of its pieces' log odds, and their number. Texts are lower-cased; a mark between words counts as a comma."""
        ids = [pieces(text) for text in texts]
        if not any(ids):
            return [(0.0, 0)] * len(ids)
        sums = self.net(places(self.table, ids)).sum(dim=1)
        return [(float(value), len(row)) for value, row in zip(sums, ids, strict=True)]


def pieces(text: str) -> list[int]:
    """Ids of a text's word pieces, with one comma for any marks between words."""
    return encoder().ids(_MARKS.sub(" ,", text.lower()))


def places(table: Tensor, ids: Sequence[Sequence[int]]) -> Tensor:
    """The network's input for texts of word pieces."""
    longest = max(map(len, ids))
    out = torch.zeros(len(ids), longest + 2 * EDGE, table.shape[1] + 1)
    out[:, :, -1] = 1.0
    for i, row in enumerate(ids):
        if row:
            out[i, EDGE : EDGE + len(row), :-1] = table[list(row)]
            out[i, EDGE : EDGE + len(row), -1] = 0.0
    return out


def turned(mean: Tensor, turn: Tensor) -> Tensor:
    """The encoder's embeddings, [vocabulary, 384], less their `mean` and turned by `turn` [384, WIDTH]."""
    return (encoder().table - mean) @ turn


def log_odds_of(sentences: Sequence[Clause]) -> float:
    """What the order of the words of these sentences says, by the shipped network."""
    return shipped().log_odds(". ".join(sentence.text for sentence in sentences))


@cache
def shipped() -> Order:
    """The network in `order.safetensors`, whose numbers are kept in half precision."""
    kept = {name: value.float() for name, value in load_file(str(FILE)).items()}
    table = turned(kept.pop("mean"), kept.pop("turn"))
    net = OrderNet()
    net.load_state_dict(kept)
    return Order(net, table)
