"""Trains the two tiny checkpoints that ship with the engine: `python -m engine.checkpoints.train [--steps N]`.

A byte-level BPE tokenizer and a Llama-type target learn `corpus.documents`; the draft is distilled from the target with the forward KL (Hinton et
al. 2015; for speculation, Zhou et al. 2023, "DistillSpec"). The model here is written for training alone: a dense causal forward pass over the same
parameter names that `transformers` and the engine read. Prints the expected acceptance at temperature 1, the mean of sum(min(p, q)) over held-out
text (Leviathan et al. 2023, theorem 3.5).
"""

import argparse
import itertools
import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn import functional as F

from engine.checkpoints.corpus import documents

FOLDER = Path(__file__).resolve().parent
VOCABULARY = 768
SPECIAL = ["<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>"]
TEMPLATE = (
    "{% for message in messages %}{{ '<|user|>' if message['role'] != 'assistant' else '<|assistant|>' }}{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}<|end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TARGET = {"hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2}
DRAFT = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
LENGTH, BATCH = 128, 24


def config(shape: dict[str, int]) -> dict[str, Any]:
    """A `config.json` of the Llama type."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        **shape,
        "head_dim": shape["hidden_size"] // shape["num_attention_heads"],
        "hidden_act": "silu",
        "max_position_embeddings": 1024,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 0,
        "eos_token_id": [0, 3],
        "torch_dtype": "bfloat16",
    }


def make_tokenizer() -> Tokenizer:
    """Byte-level BPE of 768 tokens, about a word each; any byte can be written, so any text can."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(itertools.islice(documents(1), 4000), trainer)
    return tokenizer


class Net:
    """A dense Llama for training: parameters by their checkpoint names."""

    def __init__(self, settings: dict[str, Any], generator: torch.Generator) -> None:
        self.config = settings
        hidden, head, inner = settings["hidden_size"], settings["head_dim"], settings["intermediate_size"]
        heads, kv_heads = settings["num_attention_heads"], settings["num_key_value_heads"]

        def matrix(rows: int, columns: int, scale: float = 1.0) -> Tensor:
            return (torch.randn(rows, columns, generator=generator) * scale / math.sqrt(columns)).requires_grad_()

        self.weights: dict[str, Tensor] = {"model.embed_tokens.weight": matrix(VOCABULARY, hidden)}
        for layer in range(settings["num_hidden_layers"]):
            shapes = {
                "self_attn.q_proj": (heads * head, hidden),
                "self_attn.k_proj": (kv_heads * head, hidden),
                "self_attn.v_proj": (kv_heads * head, hidden),
                "self_attn.o_proj": (hidden, heads * head),
                "mlp.gate_proj": (inner, hidden),
                "mlp.up_proj": (inner, hidden),
                "mlp.down_proj": (hidden, inner),
            }
            for name, (rows, columns) in shapes.items():
                scale = 0.3 if name in ("self_attn.o_proj", "mlp.down_proj") else 1.0
                self.weights[f"model.layers.{layer}.{name}.weight"] = matrix(rows, columns, scale)
            for name in ("input_layernorm", "post_attention_layernorm"):
                self.weights[f"model.layers.{layer}.{name}.weight"] = torch.ones(hidden, requires_grad=True)
        self.weights["model.norm.weight"] = torch.ones(hidden, requires_grad=True)
        positions = torch.arange(LENGTH, dtype=torch.float32)
        inverse = settings["rope_theta"] ** (-torch.arange(0, head, 2, dtype=torch.float32) / head)
        angles = torch.cat([torch.outer(positions, inverse)] * 2, dim=-1)
        self.cos, self.sin = angles.cos(), angles.sin()

    def norm(self, x: Tensor, name: str) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weights[f"{name}.weight"], self.config["rms_norm_eps"])

    def rotate(self, x: Tensor) -> Tensor:
        one, two = x.chunk(2, dim=-1)
        return x * self.cos[: x.shape[-2]] + torch.cat([-two, one], dim=-1) * self.sin[: x.shape[-2]]

    def logits(self, tokens: Tensor) -> Tensor:
        """`[batch, length]` int64 -> `[batch, length, vocabulary]` float32."""
        w, settings = self.weights, self.config
        batch, length = tokens.shape
        x = F.embedding(tokens, w["model.embed_tokens.weight"])
        for layer in range(settings["num_hidden_layers"]):
            name = f"model.layers.{layer}"
            h = self.norm(x, f"{name}.input_layernorm")
            q, k, v = (
                F.linear(h, w[f"{name}.self_attn.{p}_proj.weight"]).view(batch, length, -1, settings["head_dim"]).transpose(1, 2)
                for p in "qkv"
            )
            attended = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v, is_causal=True, enable_gqa=True)
            x = x + F.linear(attended.transpose(1, 2).reshape(batch, length, -1), w[f"{name}.self_attn.o_proj.weight"])
            h = self.norm(x, f"{name}.post_attention_layernorm")
            gated = F.silu(F.linear(h, w[f"{name}.mlp.gate_proj.weight"])) * F.linear(h, w[f"{name}.mlp.up_proj.weight"])
            x = x + F.linear(gated, w[f"{name}.mlp.down_proj.weight"])
        return F.linear(self.norm(x, "model.norm"), w["model.embed_tokens.weight"])

    def round_to_bfloat16(self) -> None:
        """What is stored is what is measured."""
        with torch.no_grad():
            for weight in self.weights.values():
                weight.copy_(weight.bfloat16().float())


def stream(tokenizer: Tokenizer, seed: int) -> "itertools.chain[int]":
    """Token ids of endless documents, each after an end-of-text token."""
    return itertools.chain.from_iterable([0, *tokenizer.encode(text).ids] for text in documents(seed))


def batches(tokenizer: Tokenizer, seed: int, size: int = BATCH) -> "itertools.chain[Tensor]":
    """Endless `[size, LENGTH + 1]` int64 batches."""
    ids = stream(tokenizer, seed)
    while True:
        yield torch.tensor(list(itertools.islice(ids, size * (LENGTH + 1)))).view(size, LENGTH + 1)


def train(net: Net, tokenizer: Tokenizer, steps: int, seed: int, teacher: Net | None = None, rate: float = 3e-3) -> None:
    """Next-token cross-entropy, or KL(teacher || net) with a teacher."""
    parameters = list(net.weights.values())
    optimiser = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.1)
    for step, batch in zip(range(steps), batches(tokenizer, seed), strict=False):
        logits = net.logits(batch[:, :-1])
        if teacher is None:
            loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        else:
            with torch.no_grad():
                wanted = teacher.logits(batch[:, :-1]).log_softmax(-1)
            loss = F.kl_div(logits.log_softmax(-1).flatten(0, 1), wanted.flatten(0, 1), reduction="batchmean", log_target=True)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    net.round_to_bfloat16()


@torch.no_grad()
def acceptance(target: Net, draft: Net, tokenizer: Tokenizer, count: int = 8) -> float:
    """Mean over held-out positions of sum(min(p, q)) at temperature 1."""
    found = []
    for batch in itertools.islice(batches(tokenizer, 999), count):
        p, q = (net.logits(batch[:, :-1]).softmax(-1) for net in (target, draft))
        found.append(torch.minimum(p, q).sum(-1).mean().item())
    return sum(found) / len(found)


@torch.no_grad()
def perplexity(net: Net, tokenizer: Tokenizer, count: int = 8) -> float:
    losses = [
        F.cross_entropy(net.logits(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten()).item()
        for batch in itertools.islice(batches(tokenizer, 999), count)
    ]
    return math.exp(sum(losses) / len(losses))


def save(net: Net, tokenizer: Tokenizer, folder: Path) -> None:
    """Writes the folder as `transformers` lays it out."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(net.config, indent=2) + "\n")
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SPECIAL[0],
        "eos_token": SPECIAL[0],
        "model_max_length": net.config["max_position_embeddings"],
        "chat_template": TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    tokenizer.save(str(folder / "tokenizer.json"))
    weights = {name: weight.detach().bfloat16().contiguous() for name, weight in net.weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=900, help="training steps of the target; the draft gets three quarters of that")
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    tokenizer = make_tokenizer()
    target, draft = Net(config(TARGET), generator), Net(config(DRAFT), generator)
    train(target, tokenizer, options.steps, seed=2)
    train(draft, tokenizer, options.steps * 3 // 4, seed=3, teacher=target)
    for name, net in (("target", target), ("draft", draft)):
        save(net, tokenizer, options.out / name)
        count = sum(weight.numel() for weight in net.weights.values())
        print(f"{name}: {count:,} parameters, perplexity {perplexity(net, tokenizer):.2f}")
    print(f"expected acceptance at temperature 1: {acceptance(target, draft, tokenizer):.3f}")


if __name__ == "__main__":
    main()
