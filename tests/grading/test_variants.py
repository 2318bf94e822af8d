"""Questions whose numbers come from a seed, and the units that their answers are typed in."""

import subprocess
import sys
from pathlib import Path

import pytest

from grading.fields import judge_quantities
from grading.folders import read_folder
from grading.result import Answer
from grading.rubric import Rubric, RubricError
from grading.variants import VariantError, files_of, fill, numbers

PACK = Path(__file__).parents[2] / "interviews/bank/packs/inference-estimates"
VARYING = sorted(path.parent for path in PACK.glob("*/generate.py"))
GENERATOR = "def generate(pick):\n    batch = pick(32, 16, 64)\n    return {'batch': batch, 'ms': batch / 3}\n"


def values(folder: str, seed: int = 0) -> dict:
    return numbers((PACK / folder / "generate.py").read_text(), seed)


def test_the_published_variants_have_the_figures_worked_out_by_hand() -> None:
    decode, cost, training = values("decode-latency-floor"), values("cost-per-million-tokens"), values("training-compute")
    assert decode["floor_ms"] == pytest.approx(140 / (4 * 3.35), rel=1e-9)
    assert decode["step_ms"] == pytest.approx(13.65, abs=0.005)
    assert decode["rate"] == pytest.approx(2344, abs=1)
    assert decode["ridge"] == pytest.approx(295.2, abs=0.1)
    assert (cost["cost"], cost["tokens"], cost["speedup"]) == pytest.approx((2.311, 2.773, 2.054), abs=1e-3)
    assert cost["spec_cost"] == pytest.approx(2.31 / 2.05, abs=0.005)
    assert training["flops"] == pytest.approx(6.3e24)
    assert (training["days"], training["gpu_hours"], training["state"]) == pytest.approx((11.25, 4.424e6, 1.12e12), rel=1e-3)


@pytest.mark.parametrize("folder", VARYING, ids=lambda path: path.name)
def test_a_model_answer_has_full_marks_for_its_own_numbers_and_not_for_those_of_another_seed(folder: Path) -> None:
    variants = [read_folder(folder, seed) for seed in range(12)]
    assert len({variant.question.prompt for variant in variants}) > 4

    def earned(variant, answer):
        return [judge_quantities(c, answer).points for c in variant.rubric.criteria if c.quantities and c.quantities[0].field != "text"]

    best = [next(answer for name, _, answer in variant.exemplars if name == "l7") for variant in variants]
    for variant, answer in zip(variants, best, strict=True):
        assert set(earned(variant, answer)) == {4}
        assert {q.field for c in variant.rubric.criteria for q in c.quantities} - {"text"} == set(answer.fields)
        if variant.question != variants[0].question:
            assert min(earned(variants[0], answer)) < 4


@pytest.mark.parametrize("folder", VARYING, ids=lambda path: path.name)
def test_the_prompt_holds_none_of_the_steps_that_it_asks_for(folder: Path) -> None:
    for seed in range(12):
        variant = read_folder(folder, seed)
        said = Answer(variant.question.prompt)
        assert not any(judge_quantities(c, said).points for c in variant.rubric.criteria if c.quantities), seed


def test_a_seed_makes_the_same_numbers_in_every_process() -> None:
    code = "import sys; from grading.variants import numbers; print(numbers(sys.argv[1], 12345))"
    made = {subprocess.run([sys.executable, "-c", code, GENERATOR], capture_output=True, text=True, check=True,
                           env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": hash_seed}).stdout for hash_seed in ("1", "2")}
    assert made == {f"{numbers(GENERATOR, 12345)}\n"}
    assert numbers(GENERATOR, 0) == {"batch": 32, "ms": 32 / 3}
    assert {numbers(GENERATOR, seed)["batch"] for seed in range(1, 40)} == {16, 32, 64}


def test_places_are_filled_and_lines_stay() -> None:
    files = files_of({"generate.py": GENERATOR, "prompt.md": "a\n{{batch}} and {{ms:.2f}} and $x_{a}$\n", "question.yaml": "{{batch}}"}, 0)
    assert files == {"prompt.md": "a\n32 and 10.67 and $x_{a}$\n", "question.yaml": "{{batch}}"}
    assert files_of({"prompt.md": "{{batch}}"}, 5) == {"prompt.md": "{{batch}}"}


@pytest.mark.parametrize(("source", "line", "why"), [
    ("def generate(pick)\n    pass", 1, "not Python"),
    ("x = 1", 1, "no function"),
    ("import math\nimport os\ndef generate(pick):\n    return {'a': 1}", 2, "imports math"),
    ("def generate(pick):\n    return {'a': 1 / 0}", 2, "ZeroDivisionError"),
    ("def generate(pick):\n    return open('x').read()", 2, "NameError"),
    ("def generate(pick):\n\n    return ().__class__", 3, "__class__"),
    ("def generate(pick):\n    return [1]", 1, "mapping"),
    ("def generate(pick):\n    return {'a': float('nan')}", 1, "finite"),
    ("def generate(pick):\n    return {'a': True}", 1, "finite"),
    ("def generate(pick):\n    return {'a b': 1}", 1, "no name"),
])
def test_a_generator_that_is_none_is_refused_with_its_line(source: str, line: int, why: str) -> None:
    with pytest.raises(VariantError, match=why) as refusal:
        numbers(source, 1)
    assert (refusal.value.file, refusal.value.line) == ("generate.py", line)


@pytest.mark.parametrize(("text", "why"), [
    ("a\n{{btach}}", "makes no 'btach'"), ("a\n{{batch:.q}}", "Format specifier|Invalid format"), ("a\n{{batch}", "no place"),
    ("a\n{{batch:999}}", "that wide"), ("a\n{{batch:.999999999f}}", "that wide"),
])
def test_a_place_that_can_not_be_filled_is_refused_with_its_line(text: str, why: str) -> None:
    with pytest.raises(VariantError, match=why) as refusal:
        fill("prompt.md", text, {"batch": 3})
    assert (refusal.value.file, refusal.value.line) == ("prompt.md", 2)


def one(**more) -> Rubric:
    return Rubric.from_dict({"criteria": [{"id": "q", "title": "Q", "points": 4, "quantities": [{"field": "f", "points": 4, **more}]}]})


@pytest.mark.parametrize(("typed", "points", "why"), [
    ("80 GiB", 4, ""), ("85.9 GB", 4, ""), ("687 Gbit", 4, ""),
    ("80 GB", 2, "right in GiB and not in GB: 1 GB is 10^9 bytes, 1 GiB is 2^30, so this is 6.9 % too little"),
    ("85.9 GiB", 2, "right in GB and not in GiB: 1 GiB is 2^30 bytes, 1 GB is 10^9, so this is 7.4 % too much"),
    ("60 GB", 2, "the value is not"), ("80", 0, "a bare number can't stand for"), ("80 ms", 0, "“ms” can't stand for"), ("85899345920", 0, "bare number"),
    ("3 TB", 0, "factor of ten"), ("80 bananas", 0, "unknown unit"),
])
def test_a_size_says_which_unit_it_meant(typed: str, points: float, why: str) -> None:
    marked = judge_quantities(one(value=80, unit="GiB", tolerance=0.03).criteria[0], Answer("", fields={"f": typed}))
    assert marked.points == points
    assert why in " ".join(marked.missed)


def test_a_unit_where_none_belongs_is_told_in_words() -> None:
    marked = judge_quantities(one(value=2.5, label="Speed-up").criteria[0], Answer("", fields={"f": "2.5 GiB"}))
    assert (marked.points, marked.missed) == (0, ("Speed-up: “GiB” can't stand for a bare number.",))


def test_prices_hours_and_passes_are_read_as_people_write_them() -> None:
    for unit, value, forms in (
        ("$ per million tokens", 2.31, ("$2.31 per million tokens", "2.31 $/M tokens", "$2.31/1M tokens", "231 cents per million tokens", "$2.31 / Mtok")),
        ("GPU hour", 4.4e6, ("4.4M GPU-hours", "4.4 million GPU hours", "4.4e6 GPU h")),
        ("flop/byte", 295, ("295 FLOPs/B", "295 ops per byte")),
    ):
        for form in forms:
            assert judge_quantities(one(value=value, unit=unit).criteria[0], Answer("", fields={"f": form})).points == 4, form


def test_a_step_in_the_prose_may_be_said_in_any_of_its_forms() -> None:
    rubric = one(value=6.75, unit="million tokens / hour", tolerance=0.01, alternatives=[{"value": 1875, "unit": "token/s"}])
    step = Rubric.from_dict({"criteria": [{**rubric.to_dict()["criteria"][0], "quantities": [
        {**rubric.to_dict()["criteria"][0]["quantities"][0], "field": "text"}]}]}).criteria[0]
    for text, points in (("That is 6.75 million tokens per hour.", 4), ("So 1,875 tokens/s on average.", 4), ("6,750,000 tokens/hour", 4),
                         ("That is 6.75 tokens per hour.", 0), ("1875", 0)):
        assert judge_quantities(step, Answer(text)).points == points, text
    everything = " ".join(f"{1.03**n:.3g} million tokens per hour," for n in range(90))
    spray = judge_quantities(step, Answer(everything))
    assert (spray.points, "so many figures" in spray.missed[0]) == (0, True)
    assert Rubric.from_dict(rubric.to_dict()) == rubric
    with pytest.raises(RubricError, match=r"quantities\[0\]\.alternatives\[0\]\.unit"):
        one(value=1, alternatives=[{"value": 1, "unit": "bananas"}])


STEPS = next(c for c in read_folder(PACK / "decode-latency-floor").rubric.criteria if c.id == "steps")


def steps(text: str) -> float:
    """Points of four for 140 GB of weights, 13.4 TB/s, 320 KiB a token and 42.9 GB of cache."""
    return judge_quantities(STEPS, Answer(text)).points


@pytest.mark.parametrize("text", [
    "~~Weights are 140 GB. All cards: 13.4 TB/s. Cache of a token: 320 KiB. Cache of the batch: 42.9 GB.~~ Weights are 70 GB, all cards 3.35 TB/s.",
    "<!-- 140 GB 13.4 TB/s 320 KiB 42.9 GB --> I do not know.",
    "<del>140 GB, 13.4 TB/s, 320 KiB, 42.9 GB</del> I do not know.",
    "The weights are not 140 GB, it is wrong that the cards read 13.4 TB/s, the cache isn't 320 KiB a token and never 42.9 GB.",
    "It is wrong that the weights are 140 GB and that the cards read 13.4 TB/s, that a token takes 320 KiB, and that the batch holds 42.9 GB.",
    "The following is false: 140 GB of weights, 13.4 TB/s, 320 KiB a token, 42.9 GB in all.",
    "Weights 140 GB. Bandwidth 13.4 TB/s. A token 320 KiB. The batch 42.9 GB. All of the above is wrong.",
    "None of the following is true. Weights 140 GB. Bandwidth 13.4 TB/s. A token 320 KiB. The batch 42.9 GB.",
    "140 GB is wrong. 13.4 TB/s isn’t right. A token doesn't take 320 KiB. The batch is neither 42.9 GB nor ≠ 42.9 GB.",
    "Many people wrongly think that the weights are 140 GB, the bandwidth 13.4 TB/s, the token 320 KiB and the batch 42.9 GB.",
    "Are the weights 140 GB? No. The cards read 13.4 TB/s. That is wrong. # 320 KiB is false. It is never about 42.9 GB.",
    "```\nweights are not 140 GB\n13.4 TB/s is not the answer\n# not 320 KiB\nbatch = 42.9 GB  # wrong\n```",
    "```\nIt is wrong that the weights are 140 GB.\nIt is false that the cards read 13.4 TB/s.\nIt is not true that a token is 320 KiB. 42.9 GB is wrong.\n```",
    "All of the following is wrong.\n```\nweights = 140 GB\nbandwidth = 13.4 TB/s\ntoken = 320 KiB\nbatch = 42.9 GB\n```",
    "```\nweights = 140 GB\nbandwidth = 13.4 TB/s\n```\n~~~\ntoken = 320 KiB\nbatch = 42.9 GB\n~~~\nAll of the above is wrong.",
    "```\nweights 140 GB, bandwidth 13.4 TB/s, token 320 KiB, batch 42.9 GB\n```\nThat is wrong.",
    "```\n# It is wrong that the weights of the model are really\n# 140 GB and that the cards read 13.4 TB/s and that a token is\n# 320 KiB\n```",
])
def test_a_step_that_is_struck_out_hidden_or_denied_earns_nothing(text: str) -> None:
    assert steps(text) == 0


@pytest.mark.parametrize("text", [
    "The weights are not 70 GB but 140 GB. The cards read not 3.35 but 13.4 TB/s. A token isn't 2.5 MiB, it's 320 KiB. "
    "It is wrong that the batch is 343 GB, it is 42.9 GB.",
    "~~70 GB~~ 140 GB. ~~3.35 TB/s~~ 13.4 TB/s. <!-- GQA --> 320 KiB. <del>343 GB</del> 42.9 GB.",
    "Weights 140 GB, no more. A step can't be faster than 140 GB over 13.4 TB/s. Not more than 320 KiB a token. It's not only 42.9 GB of cache.",
    "One card cannot hold 140 GB. In practice nobody reaches 13.4 TB/s. We do not store 64 heads, so 320 KiB. Without sharing it is 42.9 GB.",
    "The weights are not 140 GB alone, they come with the cache. No: 13.4 TB/s. The cache isn't shared, 320 KiB a token. Wrong: 343 GB, right: 42.9 GB.",
    "```\nweights = 140 GB  # bf16\nbandwidth = 13.4 TB/s\n```\nA token is 320 KiB.\n\n~~~\nbatch: 42.9 GB\n~~~",
    "```py\r\n# 70 GB is wrong\r\nweights = 140e9  # 140 GB, not 70 GB\r\nnot_this = 3.35 TB/s\r\nbandwidth = 4 * 3.35 TB/s == 13.4 TB/s\r\n"
    "print(f\"{320} KiB\")\r\n# false: 343 GB\r\nbatch = 42.9 GB\r\n```",
    "It is wrong that the weights are 70 GB:\n```\n140 GB\n13.4 TB/s\n```\nAll of the above is right.\n\n```\n320 KiB\n42.9 GB\n",
    "Whether or not 140 GB fits does not matter here. Wrong, 13.4 TB/s is what counts. 320 KiB is wrong if FP8 is used. That is wrong, 42.9 GB it is.",
    "140 GB isn't right, when FP8 is used. 13.4 TB/s is not the answer for one card. Untrue, 320 KiB a token. It is the same whether or not 42.9 GB is much.",
    "I first had 70 GB. That is wrong. 140 GB it is, and 13.4 TB/s.\n\n- 320 KiB\n- 42.9 GB",
    "**140 GB**, `13.4 TB/s`, <b>320 KiB</b>, [42.9 GB](https://x.y/70)",
])
def test_a_step_beside_what_is_denied_earns_its_point(text: str) -> None:
    assert steps(text) == 4


@pytest.mark.parametrize(("text", "earned"), [
    ("The weights of the model take 140\nGB in bf16. All the cards together read 13.4\nTB/s.\n\n- 320\n  KiB a token\n- In the batch 42.9\n  GB", 4),
    ("The weights of the model are not\n140 GB. A token of it takes 320\nKiB is wrong.", 0),
    ("Weights: 140\n\nGB: 13.4;\nTB/s\n\n- 320\n- KiB\n\nThe batch is 42.9. GB", 0),
])
def test_a_figure_goes_on_behind_the_end_of_its_line(text: str, earned: int) -> None:
    assert steps(text) == earned


def test_a_line_that_names_what_it_holds_gives_the_figure_above_it_no_unit() -> None:
    heads = Rubric.from_dict({"criteria": [{"id": "q", "title": "Q", "points": 4, "quantities": [{"field": "text", "value": 8, "points": 4}]}]}).criteria[0]
    assert judge_quantities(heads, Answer("Heads: 8\nBytes per value: 2")).points == 4


def test_the_words_that_earn_a_step_are_quoted_as_they_were_typed() -> None:
    text = "Not 140 GB, ~~140 GB~~, but\u202f<b>140</b>\u00a0<i>GB</i>.\n```\nx = 13.4 TB/s\n```"
    assert [e.text for e in judge_quantities(STEPS, Answer(text)).evidence] == ["140</b>\u00a0<i>GB", "13.4 TB/s"]
    assert "only to say that it isn't so" in judge_quantities(STEPS, Answer("It is not 140 GB.")).missed[0]


@pytest.mark.parametrize(("folder", "field", "right", "wrong"), [
    ("kv-cache-of-a-70b-model", "per_token", ("320 KiB", "320 KiB per token", "327,680 B/token", "320 KiB per token per sequence"),
     ("320 KiB/layer", "320 KiB per sequence")),
    ("kv-cache-of-a-70b-model", "batch", ("80 GiB", "85.9 GB"), ("80 GiB/sequence", "80 GiB per token", "80 GiB/GPU", "80 GiB per layer", "80 GiB/user")),
    ("training-compute", "state", ("1.12 TB",), ("1.12 TB/GPU", "1.12 TB per layer", "1.12 TB/parameter")),
    ("decode-latency-floor", "floor", ("10.45 ms", "10.45 ms per token", "10.45 ms/step", "10.45 ms per token per sequence"),
     ("10.45 ms/GPU", "10.45 ms per layer")),
    ("cost-per-million-tokens", "cost", ("$2.31", "231 cents", "$2.31 per million", "$2.31/M", "$2.31/Mtok", "$2.31e-6 per token"),
     ("$2.31 per token", "$2.31/hour", "$2.31 per thousand", "$2.31M", "2.31", "€2.31")),
    ("cost-per-million-tokens", "spec_cost", ("$1.13", "$1.13 per million", "$1.13/M", "$1.13/Mtok"), ("$1.13 per token", "$1.13/hour", "$1.13/GPU")),
    ("cost-per-million-tokens", "tokens", ("2.77", "2.77 tokens", "2.77 per pass", "2.77 tokens per step"), ("2.77 per GPU", "2.77 per second")),
    ("decode-latency-floor", "step", ("13.65 ms", "13.65 ms per step", "13.65 ms/forward pass"), ("13.65 ms/token", "13.65 ms per sequence")),
])
def test_a_field_forgives_the_per_that_its_rubric_names_and_no_other(folder: str, field: str, right: tuple[str, ...], wrong: tuple[str, ...]) -> None:
    criterion = next(c for c in read_folder(PACK / folder).rubric.criteria if c.quantities and c.quantities[0].field == field)
    earned = {typed: judge_quantities(criterion, Answer("", fields={field: typed})).points for typed in right + wrong}
    assert earned == dict.fromkeys(right, 4) | dict.fromkeys(wrong, 0)


def test_a_step_is_per_what_its_rubric_names() -> None:
    card = next(c for c in read_folder(PACK / "training-compute").rubric.criteria if any(q.label == "What one card really computes" for q in c.quantities))
    rate = next(q.value for q in card.quantities if q.label == "What one card really computes")
    for text, points in (("TFLOPS per GPU", 1), ("TFLOPS/GPU", 1), ("TFLOP/s", 1), ("TFLOPS per layer", 0)):
        assert judge_quantities(card, Answer(f"That is {rate:g} {text}.")).points == points, text
    assert steps("140 GB per step at 13.4 TB/s; 320 KiB per token, 42.9 GB a step.") == 4
    assert steps("140 GB per GPU at 13.4 TB; 320 KiB a layer, 42.9 GB per sequence.") == 0
