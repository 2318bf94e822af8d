"""The text that the tiny checkpoints learn: sentences, JSON and Python about LLM serving, drawn from a seeded grammar of our own.

A draw is endless and the same for the same seed. It has enough choice at each step that a model's distribution stays broad (speculation would be
trivial on text that can be guessed), and enough order that a larger model knows more than a smaller one.
"""

import hashlib
import json
import random
from collections.abc import Iterator

THINGS = (
    "the scheduler", "the batcher", "the block table", "the draft model", "the target model", "the prefix cache", "the sampler",
    "the verifier", "the allocator", "the router", "the decode kernel", "the prefill worker", "the tokenizer", "the request queue",
    "the beam search", "the grammar mask", "the adapter", "the cost model", "the page pool", "the admission controller",
)  # fmt: skip
VERBS = (
    "keeps", "frees", "shares", "copies", "checks", "accepts", "rejects", "evicts", "schedules", "preempts", "samples", "verifies",
    "extends", "hashes", "splits", "merges", "counts", "masks", "streams", "resumes",
)  # fmt: skip
OBJECTS = (
    "a block", "two blocks", "the last token", "every request", "the longest prefix", "a chunk of the prompt", "the next token",
    "the residual", "one page", "a full batch", "the logits", "its budget", "the keys and values", "a finished request",
    "the oldest sequence", "the waiting requests", "a rejected draft", "the accepted tokens", "an idle slot", "the shared prefix",
)  # fmt: skip
WHEN = (
    "after each step", "before the next step", "when the pool is full", "when memory is short", "at the page boundary", "in one pass",
    "during prefill", "during decode", "without a copy", "on a cache hit", "on a cache miss", "while others wait", "at idle", "in order",
)  # fmt: skip
WHY = (
    "latency stays low", "throughput goes up", "no memory is wasted", "no request starves", "the output stays exact", "decode is bound by memory",
    "prefill is bound by compute", "the batch stays full", "the budget is kept", "the first token comes early",
)  # fmt: skip
KEYS = ("id", "prompt_tokens", "max_tokens", "temperature", "top_p", "seed", "priority", "blocks", "stream", "state", "adapter")
STATES = ("waiting", "running", "preempted", "finished", "aborted")
NAMES = ("queue", "blocks", "tokens", "batch", "pages", "drafts", "waiting", "running", "prefix", "slots")


def _habit(draw: random.Random, options: tuple[str, ...], *context: str) -> str:
    """One of the options: mostly one of the three that go with the context. A large model learns such habits, a tiny one only some."""
    if draw.random() < 0.1:
        return draw.choice(options)
    digest = hashlib.blake2b("/".join(context).encode(), digest_size=8).digest()
    return options[digest[draw.choice((0, 0, 0, 1, 1, 2))] % len(options)]


def _sentence(draw: random.Random) -> str:
    thing = draw.choice(THINGS)
    verb = _habit(draw, VERBS, thing)
    item = _habit(draw, OBJECTS, thing, verb)
    match draw.randrange(6):
        case 0:
            text = f"{thing} {verb} {item} {_habit(draw, WHEN, verb, item)}"
        case 1:
            text = f"{thing} {verb} {item} so that {_habit(draw, WHY, thing, item)}"
        case 2:
            text = f"{draw.choice(WHEN)}, {thing} {verb} {item}"
        case 3:
            text = f"because {draw.choice(WHY)}, {thing} {verb} {item}"
        case 4:
            text = f"{thing} {verb} {item} and then {draw.choice(VERBS)} {draw.choice(OBJECTS)}"
        case _:
            text = f"with {draw.randint(2, 96)} requests and {draw.choice((16, 32, 64, 128, 256))} blocks, {thing} {verb} {item}"
    return text[0].upper() + text[1:] + "."


def _value(draw: random.Random, key: str) -> object:
    if key in ("prompt_tokens", "max_tokens", "blocks"):
        return draw.randint(1, 999)
    if key in ("temperature", "top_p"):
        return round(draw.random(), 1)
    if key == "stream":
        return draw.random() < 0.5
    if key == "state":
        return draw.choice(STATES)
    if key == "adapter":
        return draw.choice((None, "law", "code", "chat"))
    return draw.randint(0, 31)


def _json(draw: random.Random) -> str:
    keys = draw.sample(KEYS, draw.randint(2, 5))
    return json.dumps({key: _value(draw, key) for key in keys})


def _code(draw: random.Random) -> str:
    one, two = draw.sample(NAMES, 2)
    match draw.randrange(4):
        case 0:
            return f"for item in {one}:\n    {two}.append(item)"
        case 1:
            return f"while {one} and len({two}) < {draw.choice((4, 8, 16, 32))}:\n    {two}.append({one}.pop(0))"
        case 2:
            return f"if not {one}:\n    return {two}"
        case _:
            return f"{one} = [x for x in {two} if x != {draw.randint(0, 9)}]"


def _dialogue(draw: random.Random) -> str:
    question = f"What does {draw.choice(THINGS)} do {draw.choice(WHEN)}?"
    return f"<|user|>{question}<|assistant|>{_sentence(draw)}<|end|>"


def documents(seed: int) -> Iterator[str]:
    """Endless short documents: paragraphs, JSON lines, code, dialogues."""
    draw = random.Random(seed)
    while True:
        kind = draw.random()
        if kind < 0.5:
            yield " ".join(_sentence(draw) for _ in range(draw.randint(1, 5)))
        elif kind < 0.7:
            yield "\n".join(_json(draw) for _ in range(draw.randint(1, 3)))
        elif kind < 0.85:
            yield "\n".join(_code(draw) for _ in range(draw.randint(1, 3)))
        else:
            yield _dialogue(draw)
