"""Teaches `grading.order`: sentences of the statements, the marked answers and the bank's exemplars against the same words without their order."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from grading import order
from grading.attack import keywords, shuffled, stamped
from grading.encoder import encoder
from grading.folders import folders
from grading.marked import read_all as read_marked
from grading.metrics import auc
from grading.order import WIDTH, Order, OrderNet, pieces, places, turned
from grading.statements import read_all as read_statements
from grading.text import read, tokenise

EPOCHS, BATCH, RATE, DECAY = 8, 128, 3e-3, 2e-2
FEWEST = 3  # words of a sentence that has an order
JOINED, NO_ARTICLES, LETTERED, LISTED = 0.25, 0.1, 0.15, 0.2  # how often a sentence is varied in the ways of `_varied`
_JOINT = re.compile(r"[,;:.()]\s|\b(?=(?:to|and|because|when|which|for|in|by|with|that|as|is|are)\b)")
LENGTHS = (4, 8), (8, 15), (15, 40)  # words, from and below, by which the report is told


def half_shuffled(text: str, rng: random.Random) -> str:
    """Half of the words, and three at least, change places."""
    words = text.split()
    moved = rng.sample(range(len(words)), min(len(words), max(3, len(words) // 2)))
    out = list(words)
    for to, place in zip(moved, rng.sample(moved, len(moved)), strict=True):
        out[to] = words[place]
    return " ".join(out)


def mixed_keywords(text: str, rng: random.Random) -> str:
    return rng.choice([" ", ", "]).join(shuffled(keywords(text, rng), rng).split())


SPOILT: Sequence[tuple[float, Callable[[str, random.Random], str]]] = (
    (0.50, shuffled), (0.15, half_shuffled), (0.15, keywords), (0.10, mixed_keywords), (0.10, stamped))


def sentences(bank: Path, marked: Path) -> tuple[list[str], list[str]]:
    """(sentences to learn from, sentences of held-out statements, none of which is among the first)."""
    open_, held = ([line for item in items for lines in ([item.statement], *item.lines.values()) for line in lines if len(line.split()) >= FEWEST]
                   for items in read_statements())
    texts = [answer.text for question in read_marked(marked, bank) for answer in question.answers]
    texts += [answer.text for folder in folders(bank) for _, _, answer in folder.exemplars]
    away = dict.fromkeys(held)
    told = [sentence.text for text in texts for sentence in read(text).sentences if len(sentence.text.split()) >= FEWEST]
    return [line for line in dict.fromkeys((*open_, *told)) if line not in away], list(away)


def axes(lines: Sequence[str]) -> tuple[Tensor, Tensor]:
    """(mean [384], turn [384, WIDTH]): the principal axes of the embeddings of the pieces that the lines use, scaled to unit variance."""
    used = encoder().table[sorted({piece for line in lines for piece in pieces(line)})]
    mean = used.mean(dim=0)
    _, scale, rows = torch.linalg.svd(used - mean, full_matrices=False)
    return mean, rows[:WIDTH].T / scale[:WIDTH] * len(used) ** 0.5


def _varied(line: str, lines: Sequence[str], rng: random.Random) -> str:
    """A line as others would write it: with another one behind it, with letters for names, without its articles, or as notes of a few words each."""
    text = f"{line} {rng.choice(lines)}" if rng.random() < JOINED else line
    if rng.random() < LISTED:
        text = ", ".join(part for source in (text, *rng.choices(lines, k=2)) for part in _notes(source, rng))
    if rng.random() < LETTERED:
        named, letter = rng.choice([t.text for t in tokenise(text) if t.content] or [""]), rng.choice("ABCDEFXYZ123456")
        text = re.sub(rf"(?i)\b{re.escape(named)}\b", rng.choice([letter, f"{named} {letter}"]), text) if named else text
    if rng.random() < NO_ARTICLES:
        text = " ".join(word for word in text.split() if word.lower() not in ("the", "a", "an"))
    return text


def _notes(text: str, rng: random.Random) -> list[str]:
    """A part or two of a text, from one joint to the next."""
    parts = [part for part in _JOINT.split(text) if len(part.split()) >= FEWEST]
    return rng.sample(parts, min(2, len(parts)))


def _pairs(lines: Sequence[str], rng: random.Random) -> Iterator[tuple[str, float]]:
    """Each line, varied, 1.0, and the same spoilt in one way, 0.0."""
    for line in lines:
        text = _varied(line, lines, rng)
        if len(text.split()) < FEWEST:
            continue
        yield text, 1.0
        [spoil] = rng.choices([f for _, f in SPOILT], [share for share, _ in SPOILT])
        yield spoil(text, rng), 0.0


def teach(lines: Sequence[str], epochs: int = EPOCHS, seed: int = 5) -> tuple[Order, dict[str, Tensor]]:
    """(the network, what to keep of it), by AdamW with a rate that falls to nothing. Deterministic on one thread."""
    rng = random.Random(seed)
    mean, turn = (part.half().float() for part in axes(lines))
    table = turned(mean, turn)
    torch.manual_seed(seed)
    net = OrderNet()
    steps = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    for epoch in range(epochs):
        rows = [(ids, label) for text, label in _pairs(lines, rng) if len(ids := pieces(text)) >= FEWEST]
        rows.sort(key=lambda row: len(row[0]) + 4 * rng.random())  # like lengths share a batch
        batches = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
        rng.shuffle(batches)
        for k, batch in enumerate(batches):
            counts = torch.tensor([len(ids) for ids, _ in batch]).sqrt()
            loss = F.binary_cross_entropy_with_logits(net(places(table, [ids for ids, _ in batch])).sum(dim=1) / counts, torch.tensor([y for _, y in batch]))
            for group in steps.param_groups:
                group["lr"] = RATE * (1.0 - (epoch + k / len(batches)) / epochs)
            steps.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            steps.step()
    kept = {name: value.detach().half().contiguous() for name, value in net.state_dict().items()} | {"mean": mean.half(), "turn": turn.half().contiguous()}
    return Order(net, table), kept


def keep(kept: Mapping[str, Tensor]) -> None:
    save_file(dict(kept), str(order.FILE))


def measure(made: Order, lines: Sequence[str], seed: int = 3) -> dict[str, Any]:
    """{"4 to 7": {"lines", "auc": {way: area}}, ...}: how well prose is told from its own words without their order."""
    rng, out = random.Random(seed), dict[str, Any]()
    for low, high in LENGTHS:
        some = [line for line in lines if low <= len(line.split()) < high]
        prose = np.array([made.log_odds(line) for line in some])
        spoilt = {spoil.__name__: np.array([made.log_odds(spoil(line, rng)) for line in some]) for _, spoil in SPOILT}
        out[f"{low} to {high - 1}"] = {"lines": len(some), "auc": {name: auc(prose, values) for name, values in spoilt.items()}}
    return out


def told(report: Mapping[str, Any]) -> str:
    names = list(next(iter(report.values()))["auc"])
    rows = [f"{'words':<10}{'lines':>7}" + "".join(f"{name.replace('_', ' '):>16}" for name in names)]
    rows += [f"{length:<10}{row['lines']:>7}" + "".join(f"{row['auc'][name]:>16.3f}" for name in names) for length, row in report.items()]
    return "\n".join(["AUC of prose against the same words", *rows])
