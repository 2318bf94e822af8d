"""A checkpoint's tokenizer: ``tokenizer.json`` through the `tokenizers` library, its chat template through Jinja."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer as Backend

from engine.errors import CheckpointError, RequestError
from engine.heal import Vocabulary


def _byte_alphabet() -> dict[str, int]:
    """The printable stand-ins of byte-level BPE (Radford et al. 2019): character -> byte."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    table = {chr(byte): byte for byte in printable}
    table.update({chr(256 + n): byte for n, byte in enumerate(b for b in range(256) if b not in set(printable))})
    return table


class CheckpointTokenizer:
    """See `engine.seams.Tokenizer`. Also renders chats."""

    def __init__(self, backend: Backend, eos_ids: Iterable[int] = (), settings: dict[str, Any] | None = None):
        self.backend = backend
        self.settings = settings or {}
        self.vocab_size: int = backend.get_vocab_size(with_added_tokens=True)
        added = backend.get_added_tokens_decoder()
        self.special_ids = frozenset(i for i, token in added.items() if token.special)
        self.added = {i: token.content for i, token in added.items()}
        self.eos_ids = frozenset(eos_ids)
        decoder = json.loads(backend.to_str()).get("decoder") or {}
        kinds = {decoder.get("type"), *(d.get("type") for d in decoder.get("decoders", []))}
        self._alphabet = _byte_alphabet() if "ByteLevel" in kinds else None
        self.chat_template: str | None = self.settings.get("chat_template")

    @classmethod
    def load(cls, folder: str | Path, eos_ids: Iterable[int] = ()) -> CheckpointTokenizer | None:
        """The tokenizer in a checkpoint folder, or None when it has no ``tokenizer.json``."""
        folder = Path(folder)
        path, settings_path = folder / "tokenizer.json", folder / "tokenizer_config.json"
        if not path.is_file():
            return None
        try:
            backend = Backend.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise CheckpointError(f"{path}: not a readable tokenizer: {error}") from None
        try:
            settings = json.loads(settings_path.read_text(encoding="utf-8")) if settings_path.is_file() else {}
        except ValueError as error:
            raise CheckpointError(f"{settings_path}: not readable as JSON: {error}") from None
        template = folder / "chat_template.jinja"
        if template.is_file():
            settings["chat_template"] = template.read_text(encoding="utf-8")
        return cls(backend, eos_ids, settings)

    def encode(self, text: str, special: bool = True) -> list[int]:
        """Token ids; `special` adds what the tokenizer's template adds (such as a begin-of-sequence token)."""
        return list(self.backend.encode(text, add_special_tokens=special).ids)

    def decode(self, ids: Sequence[int], skip_special: bool = True) -> str:
        return str(self.backend.decode(list(ids), skip_special_tokens=skip_special))

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token adds to the text; empty for special and unused ids.

        Byte-level vocabularies map each character to a byte; SentencePiece ones spell bytes ``<0x0A>`` and a space "▁".
        """
        if token in self.special_ids:
            return b""
        if token in self.added:
            return self.added[token].encode()
        piece = self.backend.id_to_token(token)
        if piece is None:
            return b""
        if self._alphabet is not None:
            return bytes(self._alphabet[c] for c in piece) if all(c in self._alphabet for c in piece) else piece.encode()
        if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            return bytes([int(piece[3:5], 16)])
        return str(piece).replace("▁", " ").encode()

    def text_bytes(self, token: int) -> bytes:
        """Like `token_bytes`, with special tokens spelled out."""
        return self.added[token].encode() if token in self.added else self.token_bytes(token)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """All tokens by their bytes, made at first use."""
        return Vocabulary([self.token_bytes(token) for token in range(self.vocab_size)])

    def chat(self, messages: Sequence[dict[str, Any]], add_generation_prompt: bool = True, **extra: Any) -> str:
        """Render messages with the checkpoint's chat template; RequestError when it has none or refuses them."""
        if not self.chat_template:
            raise RequestError("this checkpoint has no chat template; send a plain prompt")

        def refuse(message: str) -> None:
            raise TemplateError(message)

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = refuse
        names = {key: self._name(key) for key in ("bos_token", "eos_token", "pad_token", "unk_token")}
        try:
            return environment.from_string(self.chat_template).render(
                messages=list(messages), add_generation_prompt=add_generation_prompt, **{**names, **extra}
            )
        except TemplateError as error:
            raise RequestError(f"the chat template refuses these messages: {error}") from None

    def _name(self, key: str) -> str:
        value = self.settings.get(key)
        return str(value.get("content", "")) if isinstance(value, dict) else str(value or "")
