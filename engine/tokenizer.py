"""A checkpoint's tokenizer: ``tokenizer.json`` through the `tokenizers` library, its chat template through Jinja."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
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


class Generation(Extension):
    """``{% generation %}``: templates mark with it what an assistant said. Here it says nothing."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _refuse(message: str) -> None:
    raise TemplateError(message)


def _to_json(value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


class CheckpointTokenizer:
    """See `engine.seams.Tokenizer`. Also renders chats. `width`: the model's vocabulary; tokens past it are in no mask."""

    def __init__(self, backend: Backend, eos_ids: Iterable[int] = (), settings: dict[str, Any] | None = None, width: int | None = None):
        self.backend, self.width = backend, width
        self.settings = settings or {}
        self.vocab_size: int = backend.get_vocab_size(with_added_tokens=True)
        added = backend.get_added_tokens_decoder()
        self.special_ids = frozenset(i for i, token in added.items() if token.special)
        self.added = {i: token.content for i, token in added.items()}
        self.eos_ids = frozenset(eos_ids)
        decoder = json.loads(backend.to_str()).get("decoder") or {}
        kinds = {decoder.get("type"), *(d.get("type") for d in decoder.get("decoders", []))}
        self._alphabet = _byte_alphabet() if "ByteLevel" in kinds else None
        template = self.settings.get("chat_template")
        if isinstance(template, list):  # several by name
            template = next((one.get("template") for one in template if isinstance(one, dict) and one.get("name") == "default"), None)
        self.chat_template: str | None = template if isinstance(template, str) else None

    @classmethod
    def load(cls, folder: str | Path, eos_ids: Iterable[int] = (), width: int | None = None) -> CheckpointTokenizer | None:
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
        if not isinstance(settings, dict):
            raise CheckpointError(f"{settings_path}: must hold a JSON object")
        template = folder / "chat_template.jinja"
        if template.is_file():
            settings["chat_template"] = template.read_text(encoding="utf-8")
        return cls(backend, eos_ids, settings, width)

    def encode(self, text: str, special: bool = True, plain: bool = False) -> list[int]:
        """Token ids; `special` adds what the tokenizer's template adds (such as a begin-of-sequence token). In a `plain` text the name of a control
        token is a word like any other: for what strangers wrote."""
        if not plain:
            return list(self.backend.encode(text, add_special_tokens=special).ids)
        if not self.special_ids.isdisjoint(self._plain.encode(text, add_special_tokens=False).ids):
            raise RequestError("this tokenizer makes control tokens of plain text; it can't read what strangers wrote")
        return list(self._plain.encode(text, add_special_tokens=special).ids)

    @cached_property
    def _plain(self) -> Backend:
        """The tokenizer without added tokens: nothing that a text says becomes one."""
        return Backend.from_str(json.dumps({**json.loads(self.backend.to_str()), "added_tokens": []}))

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
        return Vocabulary([self.token_bytes(token) for token in range(min(self.vocab_size, self.width or self.vocab_size))])

    @cached_property
    def longest(self) -> int:
        """Bytes that one token can stand for at most."""
        return max((len(self.text_bytes(token)) for token in range(self.vocab_size)), default=1)

    def chat(self, messages: Sequence[Mapping[str, Any]], add_generation_prompt: bool = True, **extra: Any) -> str:
        """Render messages with the checkpoint's chat template; RequestError when it has none or refuses them."""
        if not self.chat_template:
            raise RequestError("this checkpoint has no chat template; send a plain prompt")
        names = {key: self._name(key) for key in ("bos_token", "eos_token", "pad_token", "unk_token")}
        try:
            return self._template.render(messages=list(messages), add_generation_prompt=add_generation_prompt, **{**names, **extra})
        except Exception as error:  # a template is a program, and its arguments are strangers'
            raise RequestError(f"the chat template refuses these messages: {error}") from None

    @cached_property
    def _template(self) -> Template:
        """The chat template, compiled as transformers does it."""
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"])
        environment.globals |= {"raise_exception": _refuse, "strftime_now": lambda form: datetime.now().strftime(form)}
        environment.filters["tojson"] = _to_json
        return environment.from_string(self.chat_template or "")

    def chat_ids(self, messages: Sequence[Mapping[str, Any]], variables: Mapping[str, Any] | None = None, plain: bool = False) -> list[int]:
        """Token ids of a chat, which says itself what begins it: nothing is added. `variables`: more arguments of `chat`.

        What the messages say may name control tokens, and then becomes them, as in transformers; with `plain` it never does.
        """
        variables = variables or {}
        said = [str(message.get("content") or "") for message in messages]
        if not plain or not any(token in self.added for text in said for token in self.encode(text, special=False)):
            return self.encode(self.chat(messages, **variables), special=False)
        # The template is rendered around marks, and what was said is put in their place as tokens.
        marks = [f"said{n}here" for n in range(len(said))]
        rendered = self.chat([{**message, "content": mark} for message, mark in zip(messages, marks, strict=True)], **variables)
        if any(text and mark not in rendered for text, mark in zip(said, marks, strict=True)):
            raise RequestError("the chat template changes what the messages say, so their control tokens can't be told from its own")
        ids: list[int] = []
        for part in re.split("(said[0-9]+here)", rendered):
            ids += self.encode(said[marks.index(part)], special=False, plain=True) if part in marks else self.encode(part, special=False)
        return ids

    def _name(self, key: str) -> str:
        value = self.settings.get(key)
        return str(value.get("content", "")) if isinstance(value, dict) else str(value or "")
