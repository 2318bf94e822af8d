"""Numbers with units, in fields and in prose, and the short answers of a quick-fire question."""

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grading.fields import judge_short
from grading.result import Answer, Evidence, Unsure
from grading.rubric import Rubric, RubricError
from grading.scorer import score
from grading.short import normal, same_short
from grading.text import MAX_CHARS, read
from grading.units import UnitError, compare, find_quantities, quantity, read_quantity, spelled

FIELD = Rubric.from_dict({"criteria": [{"id": "q", "title": "Q", "points": 4, "quantities": [{"field": "f", "value": 80, "unit": "GB", "points": 4}]}]})
STEP = Rubric.from_dict({"criteria": [{"id": "q", "title": "Q", "points": 4, "quantities": [{"field": "text", "value": 80, "unit": "GB", "points": 4}]}]})
QUICK = Rubric.from_dict({"criteria": [{"id": "q", "title": "Q", "points": 4, "accepted": ["127"], "rejected": ["128"]}]})
PIECES = ["1", "10", "3.5", "999", " 000", "⁹⁹⁹", "^", "**", "{", "/", "per ", " x ", " ", "e", "-", ",", "GB", "M", "tok", "km", "dBm", "€", "nan"]


def same(typed: str, value: float, unit: str) -> bool:
    return compare(read_quantity(typed), quantity(value, unit), 1e-9) == "exact"


def figures(text: str) -> list[tuple[float, str]]:
    return [(found.value, f"{found.unit:~}" if found.unit is not None else "") for found in find_quantities(text)]


@pytest.mark.parametrize("typed", ["10^999", "10^400 GB", "2**9999", "3 GB^200", "5 km**9999999", "5 Qm^9 Qm^9", "1e308 PB", "5 /10**999999999 s", "5 €€",
                                   "5 GB/0", "5 nan", "5 inf", "9" * 190 + "e999"])
def test_a_number_beyond_all_bounds_is_none(typed: str) -> None:
    with pytest.raises(UnitError):
        read_quantity(typed)
    assert score(FIELD, Answer("", fields={"f": typed})).total == 0
    assert score(QUICK, typed).total == 0


def test_a_number_next_to_nothing_is_compared_without_a_fault() -> None:
    assert compare(read_quantity("1e-320 GB"), quantity(1e9, "GB"), 0.05) == "value"


@pytest.mark.parametrize("text", ["10^999 tokens", "9" * 400 + "e5 tokens", "1234567890123456789012e999 tokens"])
def test_a_number_in_prose_beyond_all_bounds_is_left_out(text: str) -> None:
    assert find_quantities(text) == []


def test_long_runs_are_read_at_once() -> None:
    assert [found.value for found in find_quantities("1" + " " * 200_000 + "2 tokens")] == [1, 2]
    assert len(find_quantities("1" + ",111" * 50_000 + "1")) > 100
    for piece in ("it is false that 1, ", "it is false that 1 ", "not 1 GB ", "$1 a ", "$", "1 111 ", "5 USD ", "\\frac{1}{", "~1", "- 1 GB/", "not about "):
        started = time.process_time()
        score(STEP, Answer(piece * (20_000 // len(piece))))
        assert time.process_time() - started < 8, piece
    for piece in ("~~", "```", "~~~ "):  # a fence that no line ends
        started = time.process_time()
        read(piece * (MAX_CHARS // len(piece)))
        assert time.process_time() - started < 10, piece


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
def test_reading_what_is_no_quantity_raises_a_unit_error_alone(text: str) -> None:
    try:
        assert math.isfinite(read_quantity(text).to_base_units().magnitude)
    except UnitError:
        pass
    assert all(math.isfinite(found.value) for found in find_quantities(text))


@pytest.mark.parametrize(("value", "unit", "forms"), [
    (6.3e24, "FLOP", ("6.3e24FLOP", "6.3e24FLOPs", "6.3 e24 FLOP", "6.3E+24 FLOP", "6.3 x 10^24 FLOP", "6.3×10²⁴ FLOP", "6.3 * 10**24 FLOP",
                       "6.3·10^{24} FLOP")),
    (1.12e12, "byte", ("1.12e12B", "1.12e12 B", "1.12e3GB", "1.12TB", "1120 x 10^9 bytes")),
    (2.0**31, "byte", ("2^31 bytes", "2**31 B", "2 x 2^30 bytes", "2 GiB")),
    (2.311, "$ per million tokens", ("$2.311/1e6 tokens", "$2.311/MTok", "2.311 USD/MTok", "$2.311 per MToken", "2.311 $/10⁶ tokens", "$2.311/10^6 tokens",
                                     "$2.311 per 1,000,000 tokens", "$2.311/mtok")),
    (5e6, "token", ("5 MTokens", "5 MTok", "5e6tok", "5 000 000 tokens", "5'000'000 tokens", "5,000,000 tokens", "5\u202f000\u202f000 tokens", "5 Mtok")),
    (1.3e15, "FLOP/s", ("1.3 PFlop/s", "1.3 PFLOP/s", "1300 TFlop/s", "1.3 PFLOPS")),
    (5e6, "FLOP", ("5 MFlop", "5 MFlops", "5 MFLOP")),
    (3.35e12, "byte/s", ("3.35 TBps", "3.35 TB/s", "3350 GB s⁻¹", "3350 GB s^-1")),
    (2.05, "", ("2.05x", "2.05 ×", "2.05", r"$2.05\times$", r"$2.05 \times$ faster", r"\(2.05\times\)")),
    (4e-7, "$/token", (r"$\$0.40$ per million tokens", r"$\$0.40$/MTok", r"\$0.40 per million tokens")),
    (8e10, "byte", ("80 gb", "80gb", "0.08 tb", "80 GB")),
    (2.0**30, "byte/s", ("1 gib/s", "1 GiB/s")),
    (4e11, "bit/s", ("400 gbps", "400 Gbps", "400 Gb/s")),
    (131072, "token", ("131 072 tokens", "131,072 tok")),
    (2.5, "tokens per pass", ("2.5 tokens per forward pass", "2.5 tokens/pass", "2.5 tok / forward pass")),
    (0.005, "s", ("5e-3s", "5 × 10⁻³ s", "5 ms", "5 Milliseconds")),
])
def test_everyday_notation_is_read(value: float, unit: str, forms: tuple[str, ...]) -> None:
    assert [form for form in forms if not same(form, value, unit)] == []


@pytest.mark.parametrize(("value", "unit", "forms"), [
    (320, "KiB/token", ("320 KiB per token", "320 KiB/token", "327,680 B/token")),
    (10.45, "ms", ("≥ 10.45 ms", ">= 10.45 ms", "at least 10.45 ms", "no less than ~10.45 ms")),
    (10.45, "ms/step", ("10.45 ms/step", "no less than ~10.45 ms per forward pass")),
    (55, "sequence", ("55", "55 requests", "55 users", "55 concurrent sequences", "up to 55 parallel requests", "55 in all", "55 sequences in total")),
    (2.5, "token/pass", ("2.5 tokens per step", "2.5 output tokens per forward pass")),
    (2.5, "", ("2.5 tokens", "2.5x faster", "2.5 times as fast", "2.5× speed-up", "x2.5", "×2.5", "× 2.5")),
    (80, "GiB", ("80 GiB in total", "80 GiB total", "80 GiB altogether", "about 80 GiB overall")),
    (2344, "token/s", ("2,344 tps", "2,344 output tokens/s", "2,344 t/s", "2.344 kt/s", "2344 t / s")),
    (4.42e6, "GPU hour", ("4.42M H100-hours", "4.42 million A100 hours", "4,420,000 H200 GPU-hours", "4.42M GPU-hours")),
    (2.31, "$ per million tokens", ("$2.31 per million output tokens", "USD 2.31 per million tokens", "US$2.31/Mtok", "2.31 USD per million generated tokens")),
])
def test_a_field_is_read_as_people_fill_it_in(value: float, unit: str, forms: tuple[str, ...]) -> None:
    assert [form for form in forms if not same(form, value, unit)] == []


@pytest.mark.parametrize(("typed", "value", "unit"), [
    ("320 KiB", 320, "KiB/token"), ("320 KiB per request", 320, "KiB/token"), ("320", 320, "KiB"), ("320 KiB tokens", 320, "KiB"), ("3 GB", 3, "GB/s"),
    ("3 GB/s", 3, "GB"), ("2344", 2344, "token/s"), ("2344 tokens", 2344, "token/s"), ("2344 tokens/s per GPU", 2344, "token/s"), ("2.5", 2.5, "token/pass"),
    ("2.5 tokens", 2.5, "token/pass"), ("$2.31", 2.31, "$/token"), ("55 GPUs", 55, "sequence"), ("55 tokens", 55, "sequence"), ("55 GB", 55, "sequence"),
    ("80 GiB/sequence", 80, "GiB"), ("80 GiB per token", 80, "GiB"), ("80 GiB/GPU", 80, "GiB"), ("80 GiB per layer", 80, "GiB"), ("80 GiB/user", 80, "GiB"),
    ("1.12 TB/GPU", 1.12, "TB"), ("1.12 TB per layer", 1.12, "TB"), ("1.12 TB/parameter", 1.12, "TB"), ("13.6 ms/token", 13.6, "ms"),
    ("13.6 ms per sequence", 13.6, "ms"), ("55 seqs per GPU", 55, "sequence"), ("2.5 tokens/layer", 2.5, ""), ("2.5 tokens/pass", 2.5, ""),
    ("4.42M hours", 4.42e6, "GPU hour"), ("4420000", 4.42e6, "GPU hour"), ("2.5 s", 2.5, ""),
])
def test_a_count_never_hides_another_unit_nor_what_a_figure_is_per(typed: str, value: float, unit: str) -> None:
    assert compare(read_quantity(typed), quantity(value, unit), 1e-9) == "unit"


def test_a_figure_per_thing_fills_a_field_and_is_a_step_in_the_text() -> None:
    rubric = Rubric.from_dict({"criteria": [{"id": "q", "title": "Q", "points": 4, "quantities": [
        {"field": name, "value": 320, "unit": "KiB", "points": 2, "alternatives": [{"value": 320, "unit": "KiB/token"}]} for name in ("f", "text")]}]})
    assert score(rubric, Answer("Each layer adds up to 320 KiB per token.", fields={"f": "320 KiB/token"})).total == 4
    assert score(rubric, Answer("A token takes 320 KiB.", fields={"f": "327,680 bytes"})).total == 4
    assert score(rubric, Answer("A layer takes 320 KiB per layer.", fields={"f": "320 KiB/request"})).total == 0
    assert score(rubric, Answer("It is 320 KiB/s.", fields={"f": "320 GiB/token"})).total == 0


@pytest.mark.parametrize("typed", ["2.05x slower", "x2 GB", "total 80 or 90 GB total",
                                   "$2.31 per million input tokens", "2 x 100 GB", "2*1024 GB", "2 x 10 GB", "4 x 1024 bytes", "8 x H100",
                                   "1h30", "12 GB24", "12 or 24 GB", "at least 10 ms or 12 ms", "1 2 GB", "12 500,5 GB", "131 072^2",
                                   "0,125 GB", "3,5 GB", "1.3x10e12 FLOP", "5 m2"])
def test_a_field_that_can_be_read_in_two_ways_is_refused(typed: str) -> None:
    with pytest.raises(UnitError):
        read_quantity(typed)


def test_a_mega_never_becomes_a_milli() -> None:
    with pytest.raises(UnitError):
        read_quantity("5 MSEC")
    assert same("5 MILLISECONDS", 0.005, "s") and same("5 Mtok", 5e6, "token") and same("5 Percent", 0.05, "")


@pytest.mark.parametrize(("text", "read"), [
    ("16 * 1024 tokens", [(16, ""), (1024, "tok")]), ("8 x 100 GB", [(8, ""), (100, "GB")]), ("2*80*1024", [(2, ""), (80, ""), (1024, "")]),
    ("6.3 × 10²⁴ FLOP", [(6.3e24, "FLOP")]), ("6.3 * 10^24 FLOP", [(6.3e24, "FLOP")]), ("6.3e24FLOP", [(6.3e24, "FLOP")]),
    ("it does 10^12 FLOP/s", [(1e12, "FLOP / s")]), ("10^ 12 FLOP", [(1e12, "FLOP")]), ("2^30 bytes", [(2**30, "B")]), ("8.6e9B", [(8.6e9, "B")]),
    ("O(n^2), 2^n and 10^n", []), ("**10** 12 GB", [(10, ""), (12, "GB")]),
    ("3,5 GB", []), ("0,125 GB", []), ("3,5 x 10^9 tokens", []), ("1,2,4 tokens", [(1, ""), (2, ""), (4, "tok")]), ("u in [0,1]", [(0, ""), (1, "")]),
    ("4,096 tokens", [(4096, "tok")]), ("1 000 000 tokens", [(1e6, "tok")]), ("Llama 3 405B", [(3, ""), (405e9, "")]),
    ("- 320 KiB", [(320, "KiB")]), ("a cache – 320 KiB", [(320, "KiB")]), ("5-10 ms", [(5, ""), (10, "ms")]), ("it is -5 ms", [(-5, "ms")]),
    ("990 TFlop/s", [(990, "TFLOP / s")]), ("about $2.31/MTok", [(2.31, "USD / Mtok")]),
    ("$2.31 per million output tokens", [(2.31e-6, "USD / tok")]), ("it does 2,344 tps", [(2344, "tok / s")]),
    ("it does 2,344 t/s, 2.3 kt/s at most, 3 t", [(2344, "tok / s"), (2.3, "ktok / s"), (3, "")]),
    ("80-GB cards", [(80, "GB")]), ("a 70-billion-parameter model", [(70e9, "param")]), ("GPT-4-s", [(4, "")]), ("80 % of it", [(80, "%")]),
    ("2 turns", [(2, "")]), ("Llama 3 405B, 8 128 GB", [(3, ""), (405e9, ""), (8, ""), (128, "GB")]), ("a price of 5 $, 10 $ more", [(5, "USD"), (10, "USD")]),
])
def test_prose_is_read_as_it_is_written(text: str, read: list[tuple[float, str]]) -> None:
    assert figures(text) == read


@pytest.mark.parametrize(("value", "unit", "forms"), [
    (140, "GB", ("140 GB", "140GB", "**140** GB", "`140 GB`", r"$140\,\text{GB}$", r"$140\ \mathrm{GB}$", "$140$ GB", r"\(140\,\mathrm{GB}\)", "140~GB",
                 "140-GB", "140 GByte", "140 Gbytes", "140 G bytes", "140 gigabytes", r"$1.4\times10^{11}\,\text{B}$", r"$1.4 \times 10^{11}$ bytes",
                 "1120 Gbit", "1.4 × 10¹¹ B", "1.4 × 10<sup>11</sup> bytes", "140 billion bytes", "140 000 000 000 bytes",
                 "140\u202f000 MB", r"140\,000 MB", "140{,}000 MB")),
    (13.4, "TB/s", ("13.4 TB/s", r"$13.4\,\text{TB/s}$", r"$13.4\ \mathrm{TB}/\mathrm{s}$", r"$13.4\ \mathrm{TB\,s^{-1}}$", "13.4 TB s⁻¹", "13.4 TB*s^-1",
                    "13.4 TB per second", "13.4 TB a second", "13.4 TBps", "13.4 × 10^12 bytes per second")),
    (15.6, "$/hour", ("15.60 $/h", "15.60$/h", "15.60 $ / hour", "USD 15.60 per hour", "15.60 USD/h", "$15.60 an hour", "$15.60/h", r"\$15.60/h", "US$15.60/h",
                      "374.4 $/day", "$374.40 a day", "$0.26 per minute", "15.60 dollars per hour", "1,560 cents an hour")),
    (1875, "token/s", ("1,875 output tokens per second", "1875 tok/s", "162 million tokens a day", "162M tokens/day", "6.75 million output tokens per hour",
                       "6.75M generated tokens an hour", "6 750 000 tokens per hour", "112,500 tokens/min", "1875 tps")),
    (327680, "byte", ("327 680 bytes", "327\u202f680 bytes", r"$327\,680$ bytes", "320 KiB", "320 Kibyte", "0.3125 MiB")),
    (0.168, "", ("16.8 %", "16.8%", "16.8 percent", r"$16.8\,\%$", "0.168", ".168")),
    (420e9, "FLOP/token", ("420 GFLOP per token", "420 GFLOPs a token", "420G FLOPs per token", "420 G FLOPs/token", r"$4.2\times10^{11}$ FLOPs per token")),
    (295, "flop/byte", ("295 FLOP/byte", "295 FLOPs per byte", "295 FLOP/B")),
    (70e9, "parameter", ("70-billion parameters", "70 billion parameters", "70B params", "70 000 000 000 parameters")),
])
def test_a_quantity_is_the_same_in_a_field_and_in_prose(value: float, unit: str, forms: tuple[str, ...]) -> None:
    criterion = {"id": "q", "title": "Q", "points": 4, "quantities": [
        {"field": name, "value": value, "unit": unit, "tolerance": 1e-9, "points": 2} for name in ("f", "text")]}
    rubric = Rubric.from_dict({"criteria": [criterion]})
    earned = {form: tuple(m.met for m in score(rubric, Answer(f"So it is {form}, as said.", fields={"f": form})).criteria[0].marks) for form in forms}
    assert {form: marks for form, marks in earned.items() if marks != (True, True)} == {}


ALIKE = {  # what both readers take for the same
    (4e-7, "$/token"): ("$0.40 / 1M tokens", "$0.40 per 1M output tokens", "$0.40 per million output tokens", "$0.40/Mtok", "$.40/Mtok",
                        "0.40 USD per million tokens", "0.40 USD/1M tok", "0.40 dollars per 1 million tokens", "40 cents per million tokens", "40 ct/Mtok",
                        "40 ¢/Mtok", "0.40 $ / 1M generated tokens", "$0.40 per M output tokens", "$0.40 per 10^6 tokens", "$0.40 / 1,000,000 tokens",
                        "$0.40 per 1 000 000 tokens", "US$ 0.40 / 1e6 tokens", "$0.0004 per 1k tokens", "$0.0004 / thousand tokens"),
    (4e-7, "€/token"): ("0.40 €/Mtok", "0.40 EUR per 1M tokens", "0.40 euros per million tokens", "€ 0.40 per million tokens"),
    (2e-6, "$/request"): ("$2 per million requests", "$2 per 1M requests", "2 USD per million requests"),
    (0.02, "$/GB"): ("$0.02/GB", "0.02 USD per GB", "2 cents per GB"),
    (3.9, "$ per GPU hour"): ("$3.90 per GPU-hour", "$3.90/GPUh", "3.90 $/GPU·h", "3.90 USD per GPU-hour", "$3.90/H100-hour", "$3.90 per GPU per hour"),
    (15.6, "$/hour"): ("$ 15.60 per hour", "US$ 15.60/h", "15.60 US$/h", "15.60 USD per hour", "1560 ct an hour"),
    (5e6, "$"): ("$5M", "$5 M", "$ 5 million", "5M$", "5 M USD", "5 million $"),
    (1.2e6, "GPU hour"): ("1.2M GPU-hours", "1.2M GPU hours", "1.2 M GPU-hours", "1.2M GPU·h", "1.2M GPUh", "1.2 million GPU-h", "1.2M H100-hours",
                          "1.2e6 GPU h", "50,000 GPU-days", "50,000 H100-days"),
    (14, "day"): ("14 d", "336 h", "336h", "2 weeks", "1.2096e6 s"),
    (5400, "s"): ("1.5 h", "90 min", "1.5 hours"),
    (24, "hours per day"): ("24 h/day", "24 h per day", "24 hours a day"),
    (1.296e20, "FLOP"): ("1.5 PFLOP/s-days", "1.5 PFLOPS-days", "1.5 petaflop/s-days", "36 PFLOP/s-hours"),
    (900, "token/s"): ("3.24 mn tokens/h", "3.24 M tokens per hour", "0.9k tokens/sec"),
    (100, "token/s/GPU"): ("100 tokens/sec/GPU", "100 tokens per second per GPU", "100 tok/s per GPU"),
    (100, "token/s/user"): ("100 tok/s/user", "100 tps per user", "100 tokens/s per user"),
    (3.35e12, "byte/s/GPU"): ("3.35 TB/s/GPU", "3350 GB/s per GPU"),
    (32, "KiB/token/layer"): ("32 KiB/token/layer", "32 KiB per token per layer"),
    (10, "ms/token"): ("10 ms/token", "10 ms per output token", "10 s per 1000 tokens", "10 s per 1k tokens", "0.01 sec/tok"),
    (70e9, "parameter"): ("70 B params", "70B parameters", "70 bn params"),
    (2, "byte/parameter"): ("2 B per parameter", "2 B/param", "2 bytes a parameter"),
    (15e12, "token"): ("15T tokens", "15 T tokens", "1.5e13 tokens", "15 trillion tokens"),
    (2, "joule/token"): ("2 J/token", "2000 mJ per token"),
    (0.5, "kWh"): ("500 Wh", "0.5 kWh"),
}


@pytest.mark.parametrize(("value", "unit", "form"), [(*wanted, form) for wanted, forms in ALIKE.items() for form in forms])
def test_both_readers_see_one_quantity_and_the_same(value: float, unit: str, form: str) -> None:
    wanted, prose = quantity(value, unit), read(f"So it comes to {form}, as said.").text
    (found,) = find_quantities(prose)
    for seen in (read_quantity(form), quantity(found.value) * (found.unit or quantity(1).units)):
        assert seen.dimensionality == wanted.dimensionality
        assert math.isclose(seen.to_base_units().magnitude, wanted.to_base_units().magnitude, rel_tol=1e-9)


@pytest.mark.parametrize(("text", "read"), [
    ("At 3.35 TB/s a token takes 40 ms", [(3.35, "TB / s"), (40, "ms")]), ("16 GB / 1,000 tokens", [(16, "GB"), (1000, "tok")]),
    ("5 s per 7 tokens", [(5, "s"), (7, "tok")]), ("2 d k bytes, 4 h^2, 5 d², the 4h neurons", [(2, ""), (4, ""), (5, ""), (4, "")]),
    ("a 3d mesh, 2 d_model, 2 d = 8192, 4 h (the MLP)", [(3, ""), (2, ""), (2, ""), (8192, ""), (4, "")]),
    ("14 d = 336 h", [(14, "d"), (336, "h")]), ("14 d (336 h)", [(14, "d"), (336, "h")]), ("24 h of traffic for 14 d.", [(24, "h"), (14, "d")]),
    ("2mn FLOPs, 2 mn FLOPs", [(2, ""), (2, "")]), ("a 512 B request, 70 B of weights", [(512, "B"), (70, "B")]),
    ("2 x 80 GB on 8×H100, 10–12 ms", [(2, ""), (80, "GB"), (8, ""), (10, ""), (12, "ms")]),
])
def test_a_sum_a_formula_or_a_range_is_no_unit(text: str, read: list[tuple[float, str]]) -> None:
    assert figures(text) == read


@pytest.mark.parametrize(("text", "seen"), [
    ("$ 15.60 = 4 × $ 3.90", [(15.6, "USD"), (4, ""), (3.9, "USD")]), ("15 $ per hour or 3 $ per card.", [(15, "USD / h"), (3, "USD")]),
    (r"$ 2 \times 10^{9} $ FLOPs and $ 140 $ GB", [(2e9, "FLOP"), (140, "GB")]), ("$ n d $ of $ 4 d^2 $", [(4, "")]),
    ("$x = 5$ at $ 7 an hour", [(5, ""), (7, "USD / h")]),
])
def test_a_dollar_sign_with_a_blank_is_money_beside_an_amount_and_else_a_formula(text: str, seen: list[tuple[float, str]]) -> None:
    assert figures(read(text).text) == seen


@pytest.mark.parametrize("text", ["$15.60/h ($3.90 a card)", "4×$3.90=$15.60 an hour", "15.60 $/h and 374.40 $/day.", "15.60$/h and 374.40$/day.",
                                  "$15 an hour against 3$ a day", "costs 15.60 $, not 3$."])
def test_money_is_no_formula(text: str) -> None:
    assert {unit.partition(" ")[0] for _, unit in figures(read(text).text)} - {""} == {"USD"}


@pytest.mark.parametrize(("accepted", "said"), [
    ("127", "126"), ("256", "255"), ("65536", "65535"), ("99.9%", "99.99%"), ("512 bytes", "510 bytes"), ("20 GB", "20.1 GB"), ("22", "2²"),
    ("-1", "1"), ("1", "-1"), ("5", ".5"), ("5 ms", ".5 ms"), ("-log p", "log p"), ("−log p", "log p"), ("-inf", "inf"), ("2^-1", "2^1"),
    ("sharded", "shared"), ("shared", "sharded"), ("contiguous", "continuous"), ("continuous batching", "contiguous batching"), ("private", "primate"),
    ("2", "at least 2"), ("2 ms", "more than 2 ms"), ("<5 ms", ">5 ms"), ("sending", "sensing"), ("bounded", "unbounded"), ("synchronous", "asynchronous"),
    ("p ≤ 0.05", "p ≥ 0.05"), ("≤ 1", "≥ 1"), ("13/4", "1¾"), ("A → B", "A ← B"), ("A → B", "A B"), ("n × m", "n ÷ m"), ("a ∧ b", "a ∨ b"), ("x ∈ S", "x ∉ S"),
    ("A & B", "A | B"), ("2", "≠ 2"), ("2", "√2"), ("2", "≥2"), ("2", "2!"), ("n", "n!"), ("2", "¬2"), ("O(n)", "O(√n)"), ("O(√n)", "O(n)"),
    ("√d", "d"), ("done", "¬done"), ("done", "!done"), ("16 GB", "≠16 GB"), ("2 GB", "≤ 2 GB"), ("1 5", "1,5"), ("10", "10 ‰"), ("n", "∑n"), ("up", "↓ up"),
    ("n-1", "n 1"), ("-1", "¯1"), ("x/(y+z)", "x/y+z"), ("(a+b)/c", "a+b/c"), ("O(n+1)", "O(n)+1"), ("(-1)^n", "-1^n"), ("n(-1)", "n-1"), ("x < -1", "x <- 1"),
    ("16 GB", "16 Gb"), ("5 ms", "5 Ms"), ("C++", "C"), ("C", "C#"), ("p(a | b)", "p(a b)"), ("5", "5 %"), ("$2", "2"), ("a:b", ""), ("?", ""),
])
def test_another_number_sign_or_word_is_no_slip(accepted: str, said: str) -> None:
    assert not same_short(said, accepted)


@pytest.mark.parametrize(("accepted", "said"), [
    ("contiguous", "contigous"), ("speculative decoding", "speculatve decoding"), ("prefill", "prefil"), ("prefill", "preffill"),
    ("memory bandwidth", "memory bandwith"), ("synchronous", "synchronuos"), ("contiguous", "contigious"), ("optimised", "optimized"),
    ("behaviour", "behavior"), ("eviction", "evictions"), ("all-reduce", "all reduce"), ("n-1", "n - 1"), ("-1", "−1"),
    ("-1", "It is -1."), ("0.5", ".5"), ("1/2", "0.5"),
    ("127 blocks", "127"), ("10%", "0.1"), ("1,000", "1000"), ("2^10", "2¹⁰"), ("O(n^2)", "O(n²)"), ("128 B", "128 bytes"), ("1-2", "1 – 2"),
    ("O(n^2)", "$O(n^2)$"), ("O(n^2)", "O(n**2)"), ("O(n^2)", "O(n^{2})"), ("O(n^2)", "O n^2"), ("O(n^2)", r"\(O(n^{2})\)"), ("O(n log n)", r"$O(n \log n)$"),
    ("a > b", "a>b"), ("p ≤ 0.05", "p<=0.05"), ("p ≤ 0.05", r"$p \leq 0.05$"), ("-∞", r"$-\infty$"), ("-∞", r"-\infty"), ("-∞", "− ∞"), ("-inf", "- inf"),
    ("-infinity", "- infinity"), ("1 3/4", "1¾"), ("1/2", "½"),     ("A → B", "A->B"), ("n × m", "n*m"), ("2 × 4", "2x4"), ("n ÷ m", "n/m"),
    ("1/√d", r"\frac{1}{\sqrt{d}}"), ("1/√d", "1 / sqrt(d)"), ("e^(-x)", "e^-x"), ("2^n", "2^(n)"), ("h/d", "h / d"), ("a ∧ b", "a && b"), ("A & B", "A and B"),
    ("all-reduce", "allreduce"), ("allreduce", "all-reduce"), ("all-reduce", "All-Reduce!"), ("top-k", "top k"), ("done", "Done!!"), ("127", "**127**"),
    ("127", "(127)"), ("127", "~127"), ("prefill", "`prefill`"), ("[0, 1]", "[0,1]"), ("f(x, y)", "f(x,y)"), ("1, 2, 4", "1,2,4"), ("16 GB", "16 gb"),
    ("not done", "¬done"), ("prefill, decode", "prefill – decode"), ("-log p", "−log(p)"), ("k-means", "k means"), ("n(n-1)/2", "n (n − 1) / 2"),
])
def test_another_way_to_type_it_and_a_slip_are_forgiven(accepted: str, said: str) -> None:
    assert same_short(said, accepted)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from([*PIECES, "(", ")", "(,", "$", "|", "!", "\\frac{", "}", "~", "√", "x", " ", "\u0301"]), max_size=12).map("".join))
def test_whatever_is_typed_is_itself_and_read_twice_as_once(text: str) -> None:
    assert normal(text) == normal(f" {text} ") and (same_short(text, text) or not normal(text))


def test_a_rejected_number_is_rejected_in_every_form() -> None:
    assert [score(QUICK, said).total for said in ("127", "127.0", "128", "128.0", "1.28e2", "126")] == [4, 4, 0, 0, 0, 0]
    percent = Rubric.from_dict({"criteria": [{"id": "q", "title": "Q", "points": 4, "accepted": ["50%"], "rejected": ["0.5"]}]})
    assert [score(percent, said).total for said in ("50%", "0.5", "0.50")] == [4, 0, 0]


@pytest.mark.parametrize(("typed", "read"), [
    ("21.5 GB", "21.5 gigabytes"), ("$0.40 per million tokens", "0.4 dollars / million tokens"), ("19.5 TFLOPS", "19.5 teraflops per second"),
    ("131 072 tokens", "131,072 tokens"), ("3.1e24 FLOPs", "3.1 × 10²⁴ flops"), ("-2.5e-7 s", "-2.5 × 10⁻⁷ seconds"), ("12", "12, a bare number"),
    ("0", "0, a bare number"), ("1 GB", "1 gigabyte"), ("3 GHz", "3 gigahertz"), ("3 per second", "3 / second"), ("80 gb", "80 gigabytes"),
])
def test_what_was_read_is_said_in_words(typed: str, read: str) -> None:
    assert spelled(read_quantity(typed)) == read


ASKED = {"id": "q", "title": "How does the KV cache grow with the sequence length?", "points": 1, "field": "growth",
         "accepted": ["linearly", "linear", "O(n)", "8 times", "3"], "rejected": ["quadratic", "quadratically", "64"]}
GROWTH = Rubric.from_dict({"criteria": [ASKED]})


def said_of_growth(text: str) -> float:
    return judge_short(GROWTH.criteria[0], Answer("linear", fields={"growth": text})).points


@pytest.mark.parametrize("said", [
    "linearly", "It grows linearly with the sequence length.", "linear in the sequence length", "the KV cache: linear", "linearly, with the length", "is O(n)",
    "Lineraly", "about 8 times", "it is 8×",
])
def test_the_question_said_back_costs_a_short_answer_nothing(said: str) -> None:
    assert said_of_growth(said) == 1


@pytest.mark.parametrize("said", [
    "", "the sequence length", "it does not grow linearly", "not linear", "linear or quadratic", "linear and quadratic", "sublinear", "sub-linear",
    "linearly, then quadratically", "other than linear", "less than linear", "more than 8 times", "linearly with the square of the length", "O(n log n)",
    "8 times 8", "64", "it is 64", "half linear", "quadratically with the sequence length", "80 times", "3 lengths", "linear " * 60,
])
def test_what_says_another_thing_is_not_saved_by_the_questions_words(said: str) -> None:
    assert said_of_growth(said) == 0


@pytest.mark.parametrize(("title", "accepted", "rejected", "right", "wrong"), [
    ("Is decode bound by compute or by memory?", "memory", "zero", ["memory", "it is memory"], ["compute, memory", "compute memory", "memory (compute)"]),
    ("How does a larger cache change it?", "smaller", "same", ["smaller"], ["larger, smaller", "smaller larger"]),
    ("How many GB do 1000 tokens of two layers take?", "80", "8", ["80", "80 GB", "about 80 GB"],
     ["80 tokens", "80 token", "80 layers", "80 MB", "two 80", "80 two", "80 bytes", "eighty", "much 80"]),
    ("How many ms does 140 GB at 3 TB/s take?", "42 ms", "47", ["42 ms", "about 42ms"], ["42 GB", "42 s", "42 Ms", "42 TB/s"]),
    ("Degree on a node of GPUs?", "eight", "16", ["eight"], ["eight nodes", "eight layers"]),
    ("Which model decides?", "x", "y", ["x", "x, not y", "x (not y)", "x rather than y", "x = x"],
     ["-x", "x, y", "x (y)", "x = y", "not x", "y, not x", "x, not x"]),
    ("Order of growth?", "O(n)", "O(n^2)", ["O(n), not O(n²)", "O(n) (O(n))", "O(n) = O(n)"], ["O(n) (O(n^2))", "O(n)(n)", "O(n) ≠ O(n)", "O(n) <= O(n)"]),
])
def test_what_a_title_gives_away_and_what_is_said_beside_an_accepted_form(title: str, accepted: str, rejected: str, right: list[str], wrong: list[str]) -> None:
    asked = ASKED | {"title": title, "accepted": [accepted], "rejected": [rejected]}
    (criterion,) = Rubric.from_dict({"criteria": [asked]}).criteria
    for answers, points in ((right, 1), (wrong, 0)):
        for said in answers:
            assert (judge_short(criterion, Answer("", fields={"growth": said})).points, said) == (points, said)


@given(st.lists(st.sampled_from(["how", "does", "the", "kv", "cache", "grow", "with", "sequence", "length", "it", "is"]), max_size=6),
       st.sampled_from(["linearly", "quadratic", "64", "8 times", "9 times", "not linear", "linear or so"]))
def test_words_of_the_question_never_change_what_a_short_answer_earns(words: list[str], core: str) -> None:
    assert said_of_growth(" ".join([*words, core])) == said_of_growth(core)


def test_a_short_answer_in_a_field_has_the_field_as_evidence_and_what_a_list_cannot_tell_goes_first_to_a_person() -> None:
    right = judge_short(GROWTH.criteria[0], Answer("", fields={"growth": " linearly "}))
    assert right.evidence == (Evidence("fields", 0, 10, " linearly ", "growth"),) and not right.unsure
    strange = judge_short(GROWTH.criteria[0], Answer("", fields={"growth": "in step with the prompt"}))
    assert strange.points == 0
    assert strange.unsure == (Unsure("unlisted", "q", "linearly or linear or O(n)", "in step with the prompt"),)
    for decided in ("", "quadratic", "not linear", "12"):
        assert not judge_short(GROWTH.criteria[0], Answer("", fields={"growth": decided})).unsure


def test_only_a_short_answer_has_a_field_of_its_own() -> None:
    assert Rubric.from_dict(GROWTH.to_dict()) == GROWTH and GROWTH.to_dict()["criteria"][0]["field"] == "growth"
    assert "field" not in QUICK.to_dict()["criteria"][0]
    claims = {"id": "c", "title": "C", "points": 1, "claims": [{"id": "a", "text": "Decode reads the weights."}], "field": "growth"}
    with pytest.raises(RubricError, match=r"criteria\[0\].field: only `accepted`"):
        Rubric.from_dict({"criteria": [claims]})
