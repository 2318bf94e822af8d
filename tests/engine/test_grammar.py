"""Grammars: the masks equal brute force and llguidance's, and what is generated under them parses."""

import json
import random
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import llguidance
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine import LLM, SamplingParams, checkpoint_path
from engine.errors import ConstraintError, RequestError
from engine.grammar import Grammar, GrammarConstraint, VocabularyTrie, compile_grammar, compile_schema
from engine.grammar.ast import utf8
from engine.grammar.automaton import DEAD, Automaton
from engine.grammar.constraint import WORK
from tests.engine.schemas import SCHEMAS, obj

# -- GBNF against brute force --------------------------------------------------------------------------------------------

GRAMMARS = [
    'root ::= "ab"* "c"', 'root ::= [a-c]+ | "b" root', 'root ::= "(" root ")" | ""', "root ::= x y\nx ::= [^a] | \"aa\"\ny ::= x{1,2}",
    'root ::= "é" [à-ü]? # comment\n', 'root ::= (\n "a"\n | "b" )+ "c"?', 'root ::= ("a" | "ab") ("bc" | "c")', 'root ::= item{2,3} ","?\nitem ::= [ab]',
    "root ::= [a-b€]{0,2}",
]  # fmt: skip
TOY = [b"", b"a", b"b", b"ab", b"abc", b"c", b"bc", b"(", b")", b"((", b"()", "é".encode(), b"\xc3", b"\xa9", b"\xa0", "€".encode(), b"\xe2\x82", b"\xac", b",",
       b"aa"]  # fmt: skip
EOS = len(TOY)


def viable(automaton: Automaton, data: bytes) -> bool:
    """Whether some text of the language begins with `data`: read one byte at a time by sets of positions, with nothing cached."""
    return automaton.run(automaton.start, data) != DEAD


@pytest.mark.parametrize("source", GRAMMARS)
@given(data=st.data())
def test_masks_equal_brute_force(source: str, data: st.DataObject) -> None:
    rules = compile_grammar(source)
    grammar, oracle = Grammar(rules, VocabularyTrie(TOY), frozenset([EOS]), EOS + 3), Automaton(rules)
    constraint, text = GrammarConstraint(grammar, canonical=False), b""
    for _ in range(data.draw(st.integers(0, 6))):
        allowed = constraint.mask().nonzero().flatten().tolist()
        expected = [t for t, piece in enumerate(TOY) if piece and viable(oracle, text + piece)]
        assert allowed == expected + ([EOS] if oracle.may_end(oracle.run(oracle.start, text)) else [])
        tokens = [t for t in allowed if t != EOS]
        if not tokens:
            break
        token = data.draw(st.sampled_from(tokens))
        before = constraint.mask()
        constraint.advance(token)
        constraint.mask()
        constraint.rollback(1)
        assert torch.equal(constraint.mask(), before)
        for wrong in set(range(len(TOY))) - set(allowed):
            with pytest.raises(ConstraintError):
                constraint.advance(wrong)
        constraint.advance(token)
        text += TOY[token]


LANGUAGES: dict[str, tuple[list[str], list[str]]] = {
    'root ::= "ab"* "c"': (["c", "abc", "ababc"], ["", "ab", "abac", "cc"]),
    'root ::= "(" root ")" | ""': (["", "()", "((()))"], ["(", ")(", "()()"]),
    'root ::= [^a-c\\n]{2,3} "\\x41\\u00e9"?': (["xy", "éßx", "xyA\u00e9"], ["ax", "x", "x\n", "xyzw"]),
    "root ::= a | b\na ::= \"1\" b?\nb ::= \"2\" a?": (["1", "12", "121", "2", "2121"], ["", "11", "22"]),
    'root ::= .{2} "-"': (["ab-", "😀é-"], ["a-", "abc-"]),
}


@pytest.mark.parametrize("source", LANGUAGES)
def test_a_grammar_holds_its_texts_and_no_others(source: str) -> None:
    automaton = Automaton(compile_grammar(source))
    right, wrong = LANGUAGES[source]

    def holds(text: str) -> bool:
        state = automaton.run(automaton.start, text.encode())
        return state != DEAD and automaton.may_end(state)

    assert [holds(text) for text in right] == [True] * len(right)
    assert [holds(text) for text in wrong] == [False] * len(wrong)


@given(low=st.integers(0, 0x10FFFF), size=st.integers(0, 0x3000))
def test_ranges_of_characters_are_spelled_exactly(low: int, size: int) -> None:
    high = min(low + size, 0x10FFFF)
    if not (high < 0xD800 or low > 0xDFFF):
        return
    spans = utf8(low, high)
    for code in {low, high, (low + high) // 2, max(0, low - 1), min(0x10FFFF, high + 1)}:
        if not 0xD800 <= code <= 0xDFFF:
            data = chr(code).encode()
            inside = any(len(span) == len(data) and all(a <= byte <= b for byte, (a, b) in zip(data, span, strict=True)) for span in spans)
            assert inside == (low <= code <= high)


@pytest.mark.parametrize(
    ("source", "says"),
    [("", "no rules"), ("root ::= \"a", "ends too early"), ("root ::= (\"a\"", r"expected \)"), ("root = \"a\"", "line 1, column 6: expected ::="),
     ("root ::= x", "'x', which is not defined"), ("a ::= \"b\"", "no rule 'root'"), ("root ::= root \"a\" | \"b\"", "left-recursive"),
     ("root ::= x? root \"a\"\nx ::= \"b\"", "left-recursive"), ("root ::= [z-a]", "empty"), ("root ::= \"a\"{3,2}", "counts must rise"),
     ("root ::= \"\\q\"", r"unknown escape \\q"), ("root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: rule 'root' is defined twice"),
     ("root ::= " + "(" * 500, "nested"), ("root ::= ((\"a\"{2000}){2000}){2000}", "too large"), ("root ::= \"a\" %", "end of the rule"),
     ("root ::= \"\\ud800\"", "hexadecimal")],
)  # fmt: skip
def test_a_faulty_grammar_is_told_where(source: str, says: str) -> None:
    with pytest.raises(ConstraintError, match=says):
        Automaton(compile_grammar(source))


@given(source=st.text("rot:=\"ab[]()|*+?{}1,-^\\ \n#x.", max_size=40))
def test_no_text_breaks_the_reader(source: str) -> None:
    try:
        Automaton(compile_grammar("root ::= " + source))
    except ConstraintError as error:
        assert str(error)


# -- JSON Schema -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llm() -> LLM:
    return LLM(checkpoint_path("target"), n_pages=256)


@pytest.fixture(scope="module")
def drafted() -> list[LLM]:
    common: dict[str, Any] = {"draft": checkpoint_path("draft"), "acceptance": "coupled", "n_pages": 256}
    return [LLM(checkpoint_path("target"), **common), LLM(checkpoint_path("target"), draft_tree=(2, 2), **common)]


class Spelled:
    """The shipped vocabulary for llguidance, without a canonical tokenizer: it then narrows no mask."""

    bos_token_id = None

    def __init__(self, llm: LLM):
        assert llm.tokenizer is not None
        tokenizer = llm.tokenizer
        self.eos_token_id = min(llm.config.eos_ids)
        self.special_token_ids = sorted(tokenizer.special_ids)
        self.tokens = [tokenizer.text_bytes(token) for token in range(llm.config.vocab_size)]
        self.single = {data: token for token, data in enumerate(self.tokens) if len(data) == 1}

    def __call__(self, text: bytes) -> list[int]:
        return [self.single[bytes([byte])] for byte in text if bytes([byte]) in self.single]


@pytest.fixture(scope="module")
def oracle(llm: LLM) -> llguidance.LLTokenizer:
    return llguidance.LLTokenizer(llguidance.TokenizerWrapper(Spelled(llm)))


def matcher(oracle: llguidance.LLTokenizer, schema: dict[str, Any]) -> llguidance.LLMatcher:
    options = {"whitespace_flexible": False, "key_separator": ":", "item_separator": ","}
    made = llguidance.LLMatcher(oracle, llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema), defaults=options))
    assert not made.get_error(), made.get_error()
    return made


def allowed_by(made: llguidance.LLMatcher, llm: LLM) -> list[int]:
    """Tokens that may come next, each asked for by itself: llguidance's mask leaves but the canonical one where a text is forced."""
    assert llm.tokenizer is not None
    tokens = [token for token in range(llm.config.vocab_size) if llm.tokenizer.token_bytes(token) and made.validate_tokens([token])]
    return sorted([*tokens, *llm.config.eos_ids]) if made.is_accepting() else tokens


def grammar_of(llm: LLM, schema: Any) -> Grammar:
    return llm._grammar(SamplingParams(json_schema=schema))


@pytest.mark.parametrize("name", SCHEMAS)
def test_masks_equal_llguidance(llm: LLM, oracle: llguidance.LLTokenizer, name: str) -> None:
    """Along random texts of the language, token by token."""
    rng, schema = random.Random(name), SCHEMAS[name]
    for _ in range(2):
        ours, theirs = GrammarConstraint(grammar_of(llm, schema), canonical=False), matcher(oracle, schema)
        for _ in range(40):
            expected = allowed_by(theirs, llm)
            assert ours.mask().nonzero().flatten().tolist() == expected
            tokens = [token for token in expected if token not in llm.config.eos_ids]
            if not tokens or (len(tokens) < len(expected) and rng.random() < 0.3):
                break
            token = rng.choice(tokens)
            ours.advance(token)
            assert theirs.consume_token(token)
        assert ours.grammar.automaton.work < WORK / 100


@pytest.mark.parametrize("name", sorted(SCHEMAS)[::5])
def test_what_is_generated_validates_with_and_without_drafts(llm: LLM, drafted: list[LLM], name: str) -> None:
    schema = SCHEMAS[name]
    params = SamplingParams(max_tokens=200, seed=7, json_schema=schema, n=2)
    outputs = llm.generate("The answer: ", params)[0].outputs
    for output in outputs:
        assert output.finish_reason in ("stop", "length")
        if output.finish_reason == "stop":
            jsonschema.validate(json.loads(output.text), schema, format_checker=jsonschema.FormatChecker())
    for engine in drafted:
        assert [o.token_ids for o in engine.generate("The answer: ", params)[0].outputs] == [o.token_ids for o in outputs]


def test_forced_text_is_jumped_over_and_changes_no_token(llm: LLM) -> None:
    schema = obj("*", temperature_of_the_day={"type": "boolean"})
    before = llm.stats()["passes"]
    jumped = llm.generate("x", SamplingParams(seed=3, max_tokens=60, json_schema=schema))[0].outputs[0]
    passes = llm.stats()["passes"] - before
    stepped = llm.generate("x", SamplingParams(seed=3, max_tokens=60, json_schema=schema, logprobs=0))[0].outputs[0]
    assert jumped.token_ids == stepped.token_ids
    assert passes < len(jumped.token_ids) / 2
    assert json.loads(jumped.text) in ({"temperature_of_the_day": True}, {"temperature_of_the_day": False})


def test_a_stream_under_a_grammar_adds_up_and_an_abort_frees_its_pages(llm: LLM) -> None:
    params = SamplingParams(seed=5, max_tokens=80, json_schema=SCHEMAS["person"])
    assert "".join(o.delta for o in llm.stream("x", params)) == llm.generate("x", params)[0].outputs[0].text
    stream = llm.stream("x", params)
    next(stream)
    stream.close()
    assert llm.idle
    assert llm.stats()["pages_available"] == llm.stats()["pages"]


def test_a_language_that_the_vocabulary_can_not_spell_ends_by_name() -> None:
    vocabulary = VocabularyTrie([b"a", b"b"])
    grammar = Grammar(compile_grammar('root ::= "a" "z"'), vocabulary, frozenset([2]), 3)
    constraint = GrammarConstraint(grammar, canonical=False)
    constraint.advance(0)
    assert constraint.stuck
    with pytest.raises(ConstraintError, match="does not allow token 1"):
        constraint.advance(1)


def test_a_bias_against_all_that_is_allowed_ends_the_request_and_not_the_engine(llm: LLM) -> None:
    banned = dict.fromkeys(range(llm.config.vocab_size), -torch.inf)
    out = llm.generate("x", SamplingParams(seed=1, max_tokens=5, grammar='root ::= "a" | "b"', logit_bias=banned))[0].outputs[0]
    assert (out.finish_reason, out.text) == ("error", "")
    assert "does not allow" in str(out.stop_reason)
    assert llm.idle


@pytest.mark.parametrize("source", ['root ::= "a" x\nx ::= "b" x', 'root ::= x | y\nx ::= "a" y\ny ::= "b" x', 'root ::= "a" x{3}\nx ::= "(" x ")"'])
def test_a_grammar_without_a_finite_text_is_refused(source: str) -> None:
    with pytest.raises(ConstraintError, match="no finite text"):
        Automaton(compile_grammar(source))


def test_a_schema_that_asks_for_itself_without_end_is_refused() -> None:
    endless = {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}
    with pytest.raises(ConstraintError, match="no finite text"):
        Automaton(compile_schema(endless))
    Automaton(compile_schema({**endless, "required": []}))


def test_what_could_never_be_completed_is_not_in_the_mask() -> None:
    vocabulary = VocabularyTrie([b"a", b"b", b"c", b"d", b"ad", b"ac"])
    grammar = Grammar(compile_grammar('root ::= "a" x | "a" "c" | x? "b"\nx ::= "d" x'), vocabulary, frozenset([6]), 7)
    constraint = GrammarConstraint(grammar, canonical=False)
    assert constraint.mask().nonzero().flatten().tolist() == [0, 1, 5]
    constraint.advance(0)
    assert constraint.mask().nonzero().flatten().tolist() == [2]


def test_a_long_chain_of_rules_is_read_in_linear_time() -> None:
    """Each rule is looked at a bounded number of times: counted, not timed."""
    looked = []

    class Counting(Automaton):
        def _called_first(self, start: int, empty: set[str]) -> set[str]:
            looked.append(start)
            return super()._called_first(start, empty)

    chain = "\n".join(f"r{n} ::= r{n + 1}" for n in range(3000))
    automaton = Counting(compile_grammar(f'root ::= r0 "a"\n{chain}\nr3000 ::= "b"?'))
    assert all(automaton.may_end(automaton.run(automaton.start, data)) for data in (b"a", b"ba"))
    assert len(looked) == 3002
    with pytest.raises(ConstraintError, match="left-recursive"):
        Counting(compile_grammar(f'root ::= r0 "a"\n{chain}\nr3000 ::= "b"? r7'))


def test_forced_text_of_any_length_is_jumped_over_in_pieces() -> None:
    """Forty rules, each twice the one before: 2^40 bytes, all forced."""
    rules = "\n".join(f"r{n} ::= r{n + 1} r{n + 1}" for n in range(40)) + '\nr40 ::= "a"'
    llm = LLM(checkpoint_path("target"), n_pages=64)
    out = llm.generate("x", SamplingParams(seed=1, max_tokens=40, grammar="root ::= r0\n" + rules))[0].outputs[0]
    assert (out.finish_reason, set(out.text), len(out.token_ids)) == ("length", {"a"}, 40)


@pytest.mark.parametrize(
    ("limit", "source", "says"),
    [("MAX_STATES", 'root ::= "(" root ")" | "x"', "nested too deeply"), ("MAX_STACKS", 'root ::= "(" root ")" | "(" root "]" | "x"', "ambiguous")],
)
def test_a_text_past_a_limit_ends_by_name_and_the_engine_goes_on(limit: str, source: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = LLM(checkpoint_path("target"), n_pages=64, draft="ngram")
    likely = {token: 50.0 for token in range(llm.config.vocab_size) if llm.tokenizer is not None and llm.tokenizer.token_bytes(token) == b"("}
    nested = SamplingParams(seed=1, max_tokens=100, grammar=source, logit_bias=likely)
    monkeypatch.setattr(f"engine.grammar.automaton.{limit}", 50)
    out = llm.generate("x", nested)[0].outputs[0]
    assert out.finish_reason == "error"
    assert set(out.text) == {"("}
    assert says in str(out.stop_reason)
    assert llm.generate("x", SamplingParams(grammar='root ::= "ab"'))[0].outputs[0].text == "ab"
    assert llm.idle
    assert llm.stats()["pages_available"] == 64


def ambiguous(alternatives: int, length: int = 12) -> str:
    """Each alternative leaves out one letter per place: how many are still open is another number after nearly every text."""
    rng, letters = random.Random(0), " abcdefghijklmnopqrstuvwxyz"
    classes = [f"[{letters.replace(letter, '')}]" for letter in letters]
    return "root ::= " + " | ".join(" ".join(rng.choices(classes, k=length)) for _ in range(alternatives))


def test_a_grammar_that_takes_too_much_work_ends_by_name_and_its_neighbours_go_on() -> None:
    """Work is counted, not timed. All of the first mask would be a hundred times the limit."""
    llm, plain = LLM(checkpoint_path("target"), n_pages=64), SamplingParams(seed=2, max_tokens=20, ignore_eos=True)
    alone = llm.generate("The scheduler", plain)[0].outputs[0].token_ids
    heavy = SamplingParams(seed=1, max_tokens=20, grammar=ambiguous(3000))
    work = []
    for _ in range(2):
        one, other = (output.outputs[0] for output in llm.generate(["x", "The scheduler"], [heavy, plain]))
        assert (one.finish_reason, one.token_ids, other.token_ids) == ("error", [], alone)
        assert "too much work" in str(one.stop_reason)
        work.append(llm._grammar(heavy).automaton.work)
    assert WORK < work[0] == work[1] < 2 * WORK  # of the forced text (there is none) and the mask; the second refusal costs nothing
    assert llm.generate("x", SamplingParams(grammar=ambiguous(10), max_tokens=20, seed=1))[0].outputs[0].finish_reason == "stop"
    assert llm.idle


def test_a_long_list_of_choices_is_far_from_the_limit_of_work(llm: LLM) -> None:
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=8)) for _ in range(1000)]
    for schema in ({"enum": words}, obj("", **{word: {"type": "integer"} for word in words[:300]})):
        constraint = GrammarConstraint(grammar_of(llm, schema))
        while not constraint.complete:
            constraint.advance(rng.choice(constraint.mask().nonzero().flatten().tolist()))
        assert constraint.grammar.automaton.work < WORK / 5


def test_a_grammar_that_has_grown_is_compiled_anew_for_the_next_request(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = LLM(checkpoint_path("target"), n_pages=64)
    params = SamplingParams(seed=1, max_tokens=20, json_schema={"type": "array"})
    first, text = llm._grammar(params), llm.generate("x", params)[0].outputs[0].text
    assert llm._grammar(params) is first
    monkeypatch.setattr("engine.grammar.constraint.GROWN", 5)
    assert llm._grammar(params) is not first
    assert llm.generate("x", params)[0].outputs[0].text == text


@pytest.mark.parametrize("n", [0, 1, 5, 17])
def test_advances_taken_back_leave_no_trace(llm: LLM, n: int) -> None:
    """Along texts of the language: n tokens forward, n back, and the mask, the forced tokens and the end are what they were."""
    for name in ("person", "config"):
        constraint, rng = GrammarConstraint(grammar_of(llm, SCHEMAS[name])), random.Random(n)
        for _ in range(12):
            before = (constraint.mask().tolist(), constraint.forced(), constraint.complete)
            for _ in range(n):
                constraint.advance(rng.choice(constraint.mask().nonzero().flatten().tolist()))
            constraint.rollback(n)
            assert (constraint.mask().tolist(), constraint.forced(), constraint.complete) == before
            if constraint.complete:
                break
            constraint.advance(rng.choice(constraint.mask().nonzero().flatten().tolist()))


REFUSED: list[tuple[Any, str]] = [
    ({"type": "object", "patternProperties": {"a": {}}}, r"\$: the keyword 'patternProperties'"), ({"type": "strong"}, r"\$.type: 'strong'"),
    ({"type": "array", "items": {"type": "array", "uniqueItems": True}}, r"\$.items: the keyword 'uniqueItems'"), ("{", "not JSON"),
    ({"properties": {"a": {"$ref": "#/$defs/b"}}}, r"properties.a.\$ref: #/\$defs/b points at nothing"),
    ({"type": "number", "minimum": "0.5"}, "must be a number"), ({"type": "number", "minimum": 1e-300}, "behind the point"),
    ({"type": "number", "exclusiveMinimum": 0.5, "maximum": 0.5}, "no number"),
    ({"type": "string", "pattern": "(?=a)b"}, "look-around"), ({"type": "string", "format": "hostname"}, "'hostname' is not served"), (False, "allows nothing"),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "may overlap"), ({"type": "integer", "minimum": 5, "maximum": 4}, "no integer"),
    ({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}], "minimum": 1}}, "$ref": "#/$defs/a"}, "refers to itself"),
    ({"allOf": [{"anyOf": [{"minimum": n} for n in range(20)]}, {"anyOf": [{"maximum": 30 + n} for n in range(20)]}]}, "two different anyOf"),
    ({"allOf": [{"oneOf": [{"type": "null"}, {"type": "string"}]}, {"oneOf": [{"type": "null"}, {"type": "array"}]}]}, "two different oneOf"),
    ({"oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}], "$defs": {name: {"type": "object", "required": ["x"], "properties": {
        "x": {"$ref": f"#/$defs/{name}"}}} for name in "ab"}}, "may overlap"),
    ({"enum": [1, 2], "type": "string"}, "no value is left"), ({"$ref": "other.json"}, "inside the schema"), ({"not": {}}, "'not' is not served"),
    ({"allOf": [{"pattern": "a"}, {"pattern": "b"}]}, "two different pattern"), ({"type": "string", "minLength": 3, "maxLength": 2}, "below"),
    ({"type": "object", "minProperties": 2}, "minProperties above 1"), ({"$ref": "#name", "$defs": {"a": {"$anchor": "name"}}}, "by their path"),
    ({"required": ["a", "a"], "minProperties": 2}, "minProperties"), ('{"enum": [1e400]}', "1e400 is no finite"), ('{"type": "number", "enum": [NaN]}', "NaN"),
    ({"minimum": float("nan")}, "not JSON"), ({"const": {1, 2}}, "not JSON"),
    ({"allOf": [{"minimum": "a"}, {"minimum": 1}]}, r"allOf\[0\].minimum: must be a number"),
    ({"oneOf": [{"type": "object", "required": [["a"]]}, {"type": "object"}]}, r"oneOf\[0\].required: must be a list of names"),
    ({"allOf": [{"required": 5}, {"required": ["b"]}]}, "must be a list of names"), ({"format": ["a"]}, r"\$.format: must be a text"),
    ({"allOf": [{"properties": []}, {"properties": {}}]}, "must be an object"), ({"oneOf": [{"type": [{}]}, {}]}, "no type"), ({"enum": 5}, "must be a list"),
    ({"const": True, "enum": [1]}, "no value is left"), ({"allOf": [{"enum": [0, 1]}, {"enum": [False, True]}]}, "no value is left"),
    ({"allOf": [{"const": 1}, {"const": True}]}, "two different const"), ({"oneOf": [{"const": 1}, {"const": 1.0}]}, "may overlap"),
    ({"properties": {"x" * 1500: True}}, "nested too deeply"),
    ({"$defs": {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2, "minimum": n} for n in range(40)} | {"a40": {"type": "integer"}}, "$ref": "#/$defs/a0"},
     "too large: its references"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "says"), REFUSED)
def test_what_a_schema_asks_in_vain_is_refused_by_name(schema: Any, says: str) -> None:
    with pytest.raises(ConstraintError, match=says):
        Automaton(compile_schema(schema))


NODE = obj("*", value={"type": "integer"}, next={"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]})
HELD: list[tuple[Any, list[Any], list[Any]]] = [
    ({"$defs": {"node": NODE}, "$ref": "#/$defs/node"}, [{"value": 1, "next": {"value": 2, "next": None}}], [{"value": 1, "next": 2}]),
    ({"$defs": {"node": NODE}, "allOf": [{"$ref": "#/$defs/node"}]}, [{"value": 1, "next": None}], [None]),
    ({"type": "array", "allOf": [{"prefixItems": [{"minimum": 2}]}, {"items": {"type": "integer"}}]}, [[], [2, 1]], [[1], ["a"], [2, "a"]]),
    ({"type": "array", "items": False, "allOf": [{"prefixItems": [True]}]}, [[]], [[1]]),
    ({"type": "array", "allOf": [{"prefixItems": [True, {"type": "null"}], "items": {"minimum": 3}}, {"prefixItems": [{"type": "integer"}],
      "items": {"type": ["integer", "null"]}}]}, [[1], [1, None], [1, None, 3]], [["a"], [1, 1], [1, None, 2]]),
    ({"type": "string", "pattern": "^\\S$"}, ["x", "\u200b"], ["\u00a0", "\u2003", "\ufeff", " "]),
    ({"type": "string", "pattern": "^\\s$"}, ["\u3000", "\t"], ["x"]), ({"allOf": [{"type": "number"}, {"type": "integer"}]}, [1], [1.5]),
    ({"allOf": [{"type": ["number", "string"]}, {"type": ["integer", "string"]}]}, [1, "a"], [1.5]),
    ({"allOf": [{"enum": [0, 1, "a"]}, {"enum": [True, 1.0, "a"]}]}, [1, "a"], [0, True]), ({"enum": [True], "const": True}, [True], [1]),
    ({"properties": {"a": {"$ref": "#/$defs/a%20b~1"}}, "$defs": {"a b/": {"type": "null"}}}, [{"a": None}], [{"a": 1}]),
    ({"type": "string", "minLength": 1, "maxLength": 2}, ["é", "\n\u0001", '"'], ["", "abc"]),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "right", "wrong"), HELD)
def test_a_schema_holds_its_values_and_no_others(schema: Any, right: list[Any], wrong: list[Any]) -> None:
    automaton = Automaton(compile_schema(schema))
    for n, value in enumerate([*right, *wrong]):
        state = automaton.run(automaton.start, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
        assert (state != DEAD and automaton.may_end(state)) == (n < len(right)), value


def test_a_schemas_automaton_grows_with_its_text_and_no_faster() -> None:
    """References among choices are compiled once, a bounded character is a call."""
    doubled = {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(60)} | {"a60": {"type": "null"}}
    optional = {f"a{n}": obj("*", **{side: {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}, {"type": "null"}]} for side in "lr"}) for n in range(60)}
    for defs in (doubled, {**optional, "a60": {"type": "null"}}):
        assert len(Automaton(compile_schema({"$defs": defs, "$ref": "#/$defs/a0"})).nodes) < 2000
    long = obj("", **{f"p{n}": {"type": "string", "maxLength": 500} for n in range(10)})
    assert len(Automaton(compile_schema(long)).nodes) < 20_000


def test_choices_are_joined_one_by_one() -> None:
    choices = [{"type": "integer", "maximum": 5}, {"type": "string"}]
    automaton = Automaton(compile_schema({"anyOf": choices, "allOf": [{"anyOf": [{"minimum": 4}, {"minLength": 1}]}]}))
    for value, valid in ((4, True), (5, True), (6, False), (3, True), ("a", True), (None, False)):
        state = automaton.run(automaton.start, json.dumps(value).encode())
        assert (state != DEAD and automaton.may_end(state)) == valid, value


@pytest.mark.parametrize(
    ("name", "holds", "not_these"),
    [("date", ["2024-02-28", "1999-12-31", "0001-01-01"], ["2024-02-30", "2024-04-31", "0000-01-01", "2024-13-01", "24-01-01"]),
     ("date-time", ["2024-02-28T23:59:59Z", "2024-01-31T00:00:00.5+02:00"], ["2024-02-30T00:00:00Z", "2024-01-01T24:00:00Z", "2024-01-01"]),
     ("ipv4", ["255.0.10.1"], ["256.0.0.1", "1.2.3", "01.2.3.4"]), ("uuid", ["0a8c0a8c-0a8c-0a8c-0a8c-0a8c0a8c0a8c"], ["0a8c0a8c0a8c0a8c0a8c0a8c0a8c0a8c"]),
     ("email", ["a.b+c@example.org"], ["a@", "a..b@example.org", "@example.org"])],
)  # fmt: skip
def test_formats_hold_what_a_validator_accepts(name: str, holds: list[str], not_these: list[str]) -> None:
    automaton = Automaton(compile_schema({"type": "string", "format": name}))
    for value in [*holds, *not_these]:
        state = automaton.run(automaton.start, json.dumps(value).encode())
        assert (state != DEAD and automaton.may_end(state)) == (value in holds), value


def test_tokens_and_ends_past_the_models_vocabulary_are_in_no_mask(tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint_path("target"), tmp_path / "wide")
    tokenizer, config = (json.loads((folder / name).read_text()) for name in ("tokenizer.json", "config.json"))
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][0], "id": config["vocab_size"], "content": "<tool>", "special": False})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": [0, -1, config["vocab_size"] + 9]}))
    llm = LLM(folder, n_pages=64)
    assert llm.config.eos_ids == {0}
    assert llm.generate("x", SamplingParams(seed=1, max_tokens=30, json_schema={"enum": ["<tool>"]}))[0].outputs[0].text == '"<tool>"'
    assert llm.generate("a <", SamplingParams(seed=1, max_tokens=3, min_tokens=3, heal=True))[0].outputs[0].finish_reason == "length"
    with pytest.raises(RequestError, match="outside the vocabulary"):
        llm.generate("<tool>")


def test_a_refused_schema_leaves_no_request_behind(llm: LLM) -> None:
    with pytest.raises(ConstraintError):
        llm.generate(["x", "y"], [SamplingParams(), SamplingParams(json_schema={"not": {}})])
    assert llm.idle
    with pytest.raises(RequestError, match="heal"):
        SamplingParams(heal=True, grammar='root ::= "a"')


@given(low=st.integers(-1200, 1200) | st.none(), size=st.integers(0, 2500) | st.none(), value=st.integers(-4000, 4000))
def test_bounds_of_integers_are_exact(low: int | None, size: int | None, value: int) -> None:
    high = None if size is None else (low or 0) + size
    schema = {"type": "integer", **({"minimum": low} if low is not None else {}), **({"maximum": high} if high is not None else {})}
    automaton = Automaton(compile_schema(schema))
    state = automaton.run(automaton.start, str(value).encode())
    assert (state != DEAD and automaton.may_end(state)) == ((low is None or value >= low) and (high is None or value <= high))


TENTHS = st.decimals(-3, 3, places=2) | st.integers(-30, 30)


@given(low=TENTHS | st.none(), high=TENTHS | st.none(), open_low=st.booleans(), open_high=st.booleans(), data=st.data())
def test_bounds_of_numbers_are_exact(low: Any, high: Any, open_low: bool, open_high: bool, data: st.DataObject) -> None:
    near = [bound for bound in (low, high) if bound is not None]
    exactly = st.sampled_from([0, *near, *(bound + Decimal("0.000") for bound in near)])
    value = str(data.draw(st.decimals(-4, 4, places=3) | st.decimals(-80, 80, places=1) | exactly))
    value = value.lstrip("-") if not float(value) and (low is None or low >= 0) else value
    bounds = [("exclusiveMinimum" if open_low else "minimum", low), ("exclusiveMaximum" if open_high else "maximum", high)]
    schema = {"type": "number", **{word: float(bound) if isinstance(bound, Decimal) else bound for word, bound in bounds if bound is not None}}
    number = Decimal(value)
    valid = (low is None or (low < number if open_low else low <= number)) and (high is None or (number < high if open_high else number <= high))
    try:
        automaton = Automaton(compile_schema(schema))
    except ConstraintError:
        assert not valid
        return
    state = automaton.run(automaton.start, value.encode())
    assert (state != DEAD and automaton.may_end(state)) == valid


@given(low=TENTHS, high=TENTHS, open_low=st.booleans(), open_high=st.booleans(), value=st.integers(-31, 31))
def test_bounds_of_integers_may_be_fractions(low: Any, high: Any, open_low: bool, open_high: bool, value: int) -> None:
    schema = {"type": "integer", "exclusiveMinimum" if open_low else "minimum": float(low), "exclusiveMaximum" if open_high else "maximum": float(high)}
    valid = (low < value if open_low else low <= value) and (value < high if open_high else value <= high)
    try:
        automaton = Automaton(compile_schema(schema))
    except ConstraintError:
        assert not valid
        return
    state = automaton.run(automaton.start, str(value).encode())
    assert (state != DEAD and automaton.may_end(state)) == valid
