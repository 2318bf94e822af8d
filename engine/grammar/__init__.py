"""Constrained generation: GBNF and JSON Schema compiled to masks over a vocabulary, byte by byte.

`compile_grammar` makes rules, `Grammar` joins them with a vocabulary, `GrammarConstraint` is one request's place in it.
"""

from __future__ import annotations

from typing import Any

from engine.grammar.ast import Expr
from engine.grammar.constraint import Grammar, GrammarConstraint
from engine.grammar.gbnf import parse
from engine.grammar.schema import compile_schema, schema_text
from engine.grammar.trie import VocabularyTrie

__all__ = ["Grammar", "GrammarConstraint", "VocabularyTrie", "compile_grammar", "compile_schema", "schema_text"]


def compile_grammar(grammar: str | None = None, json_schema: dict[str, Any] | bool | str | None = None) -> dict[str, Expr]:
    """Rules of a GBNF text or of a JSON schema; ConstraintError says what is wrong with it and where."""
    return parse(grammar) if grammar is not None else compile_schema(json_schema if json_schema is not None else True)
