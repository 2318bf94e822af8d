"""Numbers with units as people write them: `21.5 GB`, `3 x 10^9 tokens/s`, `$0.40 per million tokens`, `70B`, `2e12 FLOPs`.

`read_quantity` takes a whole field, `find_quantities` every number in a text. Both give pint quantities, so GiB and GB differ by 7.4 %
and a time can't pass for a size.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import pint
from pint.facets.plain import PlainUnit

from grading.text import read


class UnitError(ValueError):
    """A unit or a quantity that can't be read."""


# Units of this field. FLOPs is a count, FLOPS a rate: the two conventions are told apart by the capital S.
# A bit is a dimension of its own here: by default it is a bare number, and 2 GB would pass for a count.
COUNTS = ("token", "request", "parameter", "block", "layer", "gpu", "step", "user", "sequence", "forward_pass")
_COUNTED = frozenset(f"[{name}]" for name in COUNTS)
_SAME_COUNT = {"[request]": "[sequence]", "[user]": "[sequence]", "[forward_pass]": "[step]"}  # 55 requests in a batch are its 55 sequences
_DEFINITIONS = (
    "bit = [information]", "baud = bit / second",
    "token = [token] = tok", "dollar = [currency] = USD = usd", "euro = [euro] = EUR", "flop = [flop] = FLOP",
    "flop_per_second = flop / second = FLOPS", "request = [request] = req", "parameter = [parameter] = param",
    "block = [block]", "layer = [layer]", "gpu = [gpu] = GPU", "step = [step]", "user = [user]", "sequence = [sequence] = seq",
    "cent = 0.01 * dollar", "forward_pass = [forward_pass]",
)
_MAGNITUDE = {"k": 1e3, "thousand": 1e3, "m": 1e6, "mn": 1e6, "million": 1e6, "millions": 1e6, "b": 1e9, "bn": 1e9, "billion": 1e9,
              "billions": 1e9, "t": 1e12, "trillion": 1e12, "trillions": 1e12}
_ALIAS = {
    "tokens": "token", "toks": "token", "flops": "flop", "FLOPs": "flop", "FLOPS": "flop_per_second", "requests": "request",
    "reqs": "request", "params": "parameter", "parameters": "parameter", "sec": "second", "secs": "second", "seconds": "second",
    "hr": "hour", "hrs": "hour", "hours": "hour", "h": "hour", "min": "minute", "mins": "minute", "dollars": "dollar",
    "bytes": "byte", "bits": "bit", "B": "byte", "GPUs": "gpu", "gpus": "gpu", "%": "percent", "days": "day",
    "blocks": "block", "layers": "layer", "steps": "step", "users": "user", "seqs": "sequence", "sequences": "sequence",
    "us": "microsecond", "µs": "microsecond", "μs": "microsecond", "euros": "euro", "€": "euro", "$": "dollar", "x": "", "times": "",
    "cents": "cent", "ops": "flop", "op": "flop", "operations": "flop", "pass": "forward_pass", "passes": "forward_pass", "weeks": "week",
    "ct": "cent", "¢": "cent", "tps": "token/second", "rps": "request/second", "qps": "request/second",
}
_SI = {"k": "kilo", "K": "kilo", "M": "mega", "G": "giga", "T": "tera", "P": "peta", "E": "exa", "Z": "zetta", "m": "milli", "u": "micro", "n": "nano"}
_SUP = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻−", "0123456789+--")
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
# Groups of three; between plain blanks only before "000", as in 1 000 000: "Llama 3 405B" is two numbers. Then a decimal comma, which is not read.
# No more than eight groups and two blanks after a sign: what fails must fail soon.
_NUMBER = (r"(?:[1-9]\d{0,2}(?:(?:,\d{3}){1,8}|(?:_\d{3}){1,8}|(?:['’]\d{3}){1,8}|(?:[\u2009\u202f\u00a0]\d{3}){1,8}|(?: \d{3}){0,7} 000)(?!,?\d)(?:\.\d+)?"
           r"|[1-9]\d{0,2}(?: \d{3}){1,8}(?=\s(?:bytes?|bits?|tokens?|tok|FLOPs?|param(?:eter)?s?)\b)"  # nobody counts in bytes what is less than a thousand
           r"|(?<!\d,)\d+,\d+(?!,?\d|[\])])|\d+(?:\.\d+)?|\.\d+)")
_BLANK_GROUPS = re.compile(r"^[-−–]?[1-9]\d{0,2}(?: \d{3})+(?![\d,^*⁰¹²³⁴⁵⁶⁷⁸⁹])")  # 131 072 alone in a field is one number
_DECIMAL_COMMA = re.compile(r"(?![1-9]\d{0,2},\d{3}$)\d+,\d+")
# A ten alone is no power: "2 x 10 GB" is two numbers. Two asterisks with a blank on one side are markup.
_POWER = (r"(?:(?:\s*\^\s*|\*\*|\s+\*\*\s+)(?:\{\s*)?(?P<pow>[-−+]?\d{1,3})(?:\s*\})?(?!\.?\d)|(?P<sup>[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3})(?![⁰¹²³⁴⁵⁶⁷⁸⁹]))")
_EXPONENT = re.compile(_POWER)
_VALUE = re.compile(
    rf"(?:(?P<sign>[-−–])\s{{0,2}})?(?P<value>(?:(?P<factor>{_NUMBER})\s*[xX×*·⋅]\s*)?(?P<base>2|10){_POWER}"
    rf"|(?P<num>{_NUMBER})(?:[eE](?P<exp>[-−+]?\d{{1,3}})(?!\.?\d)|\s*[eE]\s*(?P<apart>[-−+]?\d{{1,3}})(?![A-Za-z\d]))?)"
)
_UNREAD = re.compile(r"\s?\^|\*\*\d|[⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹]")  # what follows a number whose power is not read
_PER_NUMBER = re.compile(rf"(?:per|/)\s*{_NUMBER}(?:[eE][-+]?\d+)?")
_PER = ("/", "per ", "a ", "an ")
MAX_EXPONENT = 9  # of a unit
_ABOUT = r"about|around|approximately|approx\.?|roughly|circa|ca\.?|~|≈|≃|=|\s"
_BOUND = r"at\s+(?:least|most)\b|up\s+to\b|(?:no|not)\s+(?:more|less|fewer)\s+than\b|(?:more|less|fewer)\s+than\b|[<>]=?|[≤≥⩽⩾]"
_MONEY = re.compile(r"(?:US\s?(?=\$)|(?:USD|EUR)(?=\s*[\d.]))", re.I)  # before an amount; the sign that follows, or the code, is the unit
_CARD = r"\b(?:GB|GH|MI|[ABHLTV])\d{1,3}[A-Z]?(?:[- ]GPU)?"
_HOURS, _DAYS = r"(?:hours?|hrs?|h)", r"(?:days?|d|weeks?|months?|years?)"
_CARD_HOUR = re.compile(rf"{_CARD}(?=[-– ·⋅*]?{_HOURS}\b|[-– ·⋅*]{_DAYS}\b)")  # an hour of an H100 is one of a GPU
_GPU_FOR = re.compile(rf"\bGPU(?:\s?[·⋅*–-]\s?)?(?={_HOURS}\b|{_DAYS}\b)")  # one thing, also behind a slash: GPU-h, GPU·h, GPUh
_RATE_TIME = re.compile(rf"\b([A-Za-z]*flops?)\s?/\s?s(?:ec(?:ond)?)?[-–·⋅* ](?={_HOURS}\b|{_DAYS}\b)", re.I)  # a PFLOP/s-day is a day at 1 PFLOP/s
# Words beside a count that leave it what it is. Not "input": a price per input token is another price.
_BESIDE = r"(?:output|generated|decoded|concurrent|simultaneous|parallel)\s+(?=(?:[kM]?tok(?:en)?|seq(?:uence)?|req(?:uest)?|user)s?\b)"
_WHICH = re.compile(rf"\b{_BESIDE}", re.I)
_TYPESET = re.compile(r"\\|\$[^$]+\$|^\s*\*\*\S|`|\{,\}|<sup>|(?<=\d)~")  # LaTeX or markup around what is a number when it is read as prose is
_IN_ALL = re.compile(r"(?<=\w)\s+(?:in\s+(?:total|all|sum)|total|altogether|overall)$", re.I)  # 80 GiB in total
_FASTER = re.compile(r"^(?:(?:x|×|\*|times)\s*(?:faster|quicker|as\s+fast)|(?:(?:x|×|\*|times)\s*)?speed-?up)$", re.I)

@cache
def registry() -> pint.UnitRegistry[Any]:
    ureg: pint.UnitRegistry[Any] = pint.UnitRegistry(cache_folder=None, on_redefinition="ignore")
    for line in _DEFINITIONS:
        ureg.define(line)
    ureg._build_cache()  # the first definitions were resolved while a bit still was a bare number
    return ureg


@dataclass(frozen=True, slots=True)
class Found:
    """A quantity in a text: code-point span, magnitude and unit as written, and the pint unit (None: no known unit)."""

    start: int
    end: int
    value: float
    unit: pint.Unit | None


def _word_unit(word: str) -> str:
    """One unit word as pint knows it. Raises UnitError."""
    if word in _ALIAS:
        return _ALIAS[word]
    if word in ("t", "kt"):  # 1,875 t/s: nothing here weighs tonnes
        return "token" if word == "t" else "kilotoken"
    counted = re.fullmatch(r"([kMGTPEZ])(tok(?:en)?s?|flops?)", word, re.I)  # TFLOPS, GFlop, MTok; nobody counts thousandths of a token
    if counted:
        return _SI[counted[1].upper()] + ("token" if counted[2][0] in "tT" else _ALIAS.get(counted[2], "flop"))
    lower = word.lower()
    if re.fullmatch(r"[kmgtpe]i?bps", lower):  # gbps are bits, as Gbps are; who meant bytes writes GBps
        size = word[:-2] if word != lower else lower[0].upper() + lower[1:-2]
        return f"{_word_unit(size)}/second"
    if re.fullmatch(r"[kmgt]i?b", word):  # whoever has no capitals at hand means bytes: 80 gb
        return _word_unit(word[0].upper() + word[1:-1] + "B")
    long = re.fullmatch(r"([kKMGTPE]i?)([Bb])(?:yte|it)s?", word)  # GByte, Gibit
    if long and word[len(long[1]) :].lower().startswith(("byte", "bit")):
        return _word_unit(long[1] + ("B" if "yte" in word else "b"))
    if re.fullmatch(r"[kKMGTPE]i?[Bb]", word):  # GB, GiB, Gb, Gib; kB and KB are the same
        binary = {"k": "kibi", "m": "mebi", "g": "gibi", "t": "tebi", "p": "pebi", "e": "exbi"}
        prefix = binary[word[0].lower()] if "i" in word else _SI[word[0]]
        return prefix + ("byte" if word.endswith("B") else "bit")
    if lower in _MAGNITUDE and len(lower) > 2:
        return f"{_MAGNITUDE[lower]:.0f}"
    if re.fullmatch(r"[kmgt]i?b", lower) and word != lower:
        return _word_unit(lower[0].upper() + lower[1:-1] + "B")
    if lower in _ALIAS:
        return _ALIAS[lower]
    try:
        registry().parse_units(word)
        return word
    except Exception:  # pint raises many kinds for odd words; each means the same here
        pass
    try:
        prefix = registry().parse_unit_name(lower)[0][0]
    except Exception:  # as above
        raise UnitError(f"unknown unit {word!r}") from None
    if word[0] in "MP" and not lower.startswith(prefix):  # a mega is no milli, a peta no pico
        raise UnitError(f"unknown unit {word!r}")
    return lower


@lru_cache(maxsize=4096)
def _unit(text: str) -> tuple[float, pint.Unit]:
    spelled = re.sub(r"(?:^|(?<=\s))(?:per|an?|each)(?=\s)", "/", text.strip())
    spelled = _RATE_TIME.sub(r"\1/s*", _GPU_FOR.sub("GPU ", _CARD_HOUR.sub("GPU", spelled)))
    spelled = re.sub(r"\b([kKMGTPE])\s+(?=(?:bytes?|bits?|FLOPs?)\b)", r"\1", spelled)  # 140 G bytes
    spelled = re.sub(r"(/\s*)(\d+)\s*([kKMB])\b", lambda m: f"{m[1]}{float(m[2]) * _MAGNITUDE[m[3].lower()]:.0f}", spelled)  # "$ per 1M tokens"
    spelled = _WHICH.sub("", re.sub(r"(?<=[A-Za-z])-(?=[A-Za-z])", " ", spelled))  # GPU-hours
    spelled = re.sub(r"\b([kKMB])\s+(?=tok)", lambda m: f"{_MAGNITUDE[m[1].lower()]:.0f} ", spelled)  # "$ per M tokens"
    spelled = re.sub(r"\bforward\s+(?=pass)", "", spelled, flags=re.I)
    spelled = spelled.replace("·", "*").replace("⋅", "*").replace("×", "*")
    spelled = _EXPONENT.sub(lambda m: f"**{_exponent(m):d}", spelled)
    if re.search(r"[A-Za-zµμ](?<!\d[eE])\d", spelled):  # H100, 1h30
        raise UnitError(f"unknown unit {text!r}")
    groups: list[list[str]] = [[]]  # words side by side bind tighter than a slash: "$/1000 tokens" is $/(1000 tokens)
    operators: list[str] = []
    count = r"\d+(?:\.\d+)?(?:[eE][-+]?\d{1,3}(?!\d))?"
    for piece in re.findall(rf"{count}|[A-Za-zµμ€$¢%]+|\*\*-?\d+|[*/]|[^\s()]", re.sub(r"(?<=\d)(?:[,_](?=\d{3})|[\s’'](?=000))", "", spelled)):
        if piece in "*/" and (groups[-1] or operators == []):
            operators.append(piece)
            groups.append([])
        elif re.fullmatch(rf"{count}|[A-Za-zµμ€$¢%]+", piece):
            groups[-1].append(repr(float(piece)) if piece[0].isdigit() else f"({_word_unit(piece) or '1'})")
        elif piece.startswith("**") and groups[-1] and (groups[-1][-1][0] != "(" or abs(int(piece[2:])) <= MAX_EXPONENT):
            groups[-1][-1] += piece
        else:
            raise UnitError(f"unknown unit {text!r}")
    if operators and (not groups[-1] or (not groups[0] and operators[0] != "/")):
        raise UnitError(f"unknown unit {text!r}")
    terms = [f"({'*'.join(group) or '1'})" for group in groups]
    out = "".join(a + b for a, b in zip(terms, [*operators, ""], strict=True)) if any(groups) else ""
    if not out:
        return 1.0, registry().Unit("")
    try:
        parsed = registry().parse_expression(out)
        quantity = parsed if isinstance(parsed, pint.Quantity) else registry().Quantity(parsed)
        factor, units = float(quantity.magnitude), registry().Unit(str(quantity.units))
        if math.isfinite(factor) and math.isfinite(_base(registry().Quantity(1.0, units))):
            return factor, units
    except Exception:  # as above
        pass
    raise UnitError(f"unknown unit {text!r}")


def _base(found: pint.Quantity[float]) -> float:
    return float(found.to_base_units().magnitude)


def parse_unit(text: str) -> pint.Unit:
    """The pint unit of a text such as `GiB`, `tokens/s` or `$ per million tokens`. Raises UnitError."""
    return _unit(text)[1]


def quantity(value: float, unit: str = "") -> pint.Quantity[float]:
    """`value` in `unit`; a count inside the unit (`per million tokens`) goes into the magnitude. Raises UnitError."""
    factor, units = _unit(unit)
    return registry().Quantity(value * factor, units)


def _exponent(match: re.Match[str]) -> int:
    return int((match["pow"] or match["sup"]).translate(_SUP))


def _value(match: re.Match[str]) -> float:
    """The number that was matched; nan for one with a decimal comma, infinity for one that is too large."""
    written = match["factor"] or match["num"] or "1"
    if _DECIMAL_COMMA.fullmatch(written):
        return math.nan
    plain = re.sub(r"[^\d.]", "", written)
    if match["base"] == "2":
        value = float(plain) * 2.0 ** _exponent(match)
    else:
        exponent = _exponent(match) if match["base"] else (match["exp"] or match["apart"] or "0").translate(_SUP)
        value = float(f"{plain}e{exponent}")
    return -value if match["sign"] else value


def _plural(unit: str) -> str:
    """`flops per second` for `flop per second`, `meters²` for `meter²`; what has no plural stays."""
    counted, per, other = unit.partition(" per ")
    word = counted.rstrip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
    ends = "" if not word[-1:].isalpha() or word.endswith(("s", "z", "percent")) else "s"
    return f"{word}{ends}{counted[len(word) :]}{per}{other}"


def spelled(found: pint.Quantity[float]) -> str:
    """How a quantity was understood, in words that leave no doubt: `21.5 gigabytes`, `0.4 dollars / million tokens`, `12, a bare number`."""
    value, unit = found.magnitude, f"{found.units:P}".replace("_", " ").replace("gpu", "GPU").replace("/", " / ")
    if abs(value) < 1e-3 and unit.endswith(" / token"):  # a price
        value, unit = value * 1e6, unit.replace("/ token", "/ million tokens")
    written = f"{value:,.6g}"
    if value and not 1e-4 <= abs(value) < 1e6:
        digits, power = f"{value:.5e}".split("e")
        written = f"{float(digits):g} × 10{str(int(power)).translate(_SUPERSCRIPT)}"
    if found.units == registry().Unit(""):
        return f"{written}, a bare number"
    counted, *per = unit.split(" / ")
    name = "" if counted == "1" else counted if written == "1" else _plural(counted)
    return " / ".join([f"{written} {name}".strip(), *per])


def read_quantity(text: str, bounds: bool = True) -> pint.Quantity[float]:
    """The quantity that a whole field holds, such as `≈ 21.5 GB` or `$0.40 per million tokens`.

    With `bounds` a bound before the number is passed over: who fills "at least 10.4 ms" into a field for the least time says 10.4 ms. Raises UnitError
    when there is no number, more than one, or an unknown unit: a field that hedges ("12 or 24 GB") earns nothing.
    """
    if len(text) > 200:
        raise UnitError("a field holds one number and its unit")
    rest = (read(text).text if _TYPESET.search(text) else text).strip().rstrip(".;")
    rest = re.sub(rf"^(?:{_BOUND}|{_ABOUT})+" if bounds else rf"^(?:{_ABOUT})+", "", rest, flags=re.I)
    rest = re.sub(r"^[x×](?=\s?[\d.]+$)\s?", "", _IN_ALL.sub("", rest))  # ×2.05
    rest = _CARD_HOUR.sub("GPU", _MONEY.sub(lambda m: {"usd": "$", "eur": "€"}.get(m[0].lower(), ""), rest, count=1))
    dollar = rest.startswith(("$", "€"))
    lead = rest[0] if dollar else ""
    rest = rest[1:].lstrip() if dollar else rest
    rest = _BLANK_GROUPS.sub(lambda m: m[0].replace(" ", ""), rest)
    match = _VALUE.match(rest)
    if match is None:
        raise UnitError("there is no number here")
    value = _value(match)
    if math.isnan(value):
        raise UnitError("a decimal is written with a point, not with a comma")
    rest = re.sub(r"^(?:-(?=[A-Za-z]{2})|×|\*$)", "", _FASTER.sub("", rest[match.end():].strip()))  # 2.1\times is read as 2.1 *
    magnitude = re.match(r"(thousand|million|billion|trillion|[kKMBT]|bn|mn)(?![A-Za-z/])\s*", rest)
    if magnitude and (magnitude[1] != "B" or lead or (rest[magnitude.end():] and not rest.startswith(_PER, magnitude.end()))):  # 2 B, 2 B per parameter
        value *= _MAGNITUDE[magnitude[1].lower()]
        rest = rest[magnitude.end():]
    if re.search(r"\d", _PER_NUMBER.sub("", _EXPONENT.sub("", rest))):
        raise UnitError("a field holds one number and its unit")
    unit = f"{lead} {rest}" if lead and rest.startswith(_PER) else lead + (f" {rest}" if rest and not lead else "")
    if lead and rest and not rest.startswith(_PER):
        raise UnitError(f"unknown unit {rest!r}")
    found = quantity(value, unit)
    if not math.isfinite(_base(found)):
        raise UnitError("the number is too large")
    return found


_TIME = r"s|secs?|seconds?|min|minutes?|hours?|hrs?|h|days?|weeks?|months?|years?"
_GPU_TIME = rf"(?:GPU|{_CARD})(?:[-–·⋅* ]?{_HOURS}|[-–·⋅* ]{_DAYS}|[-–·⋅*](?:s|seconds?|minutes?))(?![A-Za-z_^])"
_THING = (rf"(?:{_BESIDE})?(?:{_GPU_TIME}|(?:{_TIME}|[kKmM]?[tT]ok(?:en)?|GPU|req(?:uest)?|layer|step|param(?:eter)?|seq(?:uence)?|user|(?:forward\s)?pass"
          r"|block|bytes?|bit|B)s?)(?![A-Za-z])")
_SIZE = r"(?:[kKMGTP]i?B|[kMGTP]?FLOPs?|k?Wh|[WJ])(?![A-Za-z])"
_WRAP = r"(?: ?\n ?|\s?)"  # a blank, or the end of a line that goes on below, there indented as an item of a list is
# "336 h" and "14 d" are times where a sentence could end or goes on with a small word; "4 h²", "2 d k" and "the 4h neurons" are sizes in a formula.
_TIME_ENDS = (rf"(?=\s?(?:$|[.,;:!?)\]|\0\u2029\n]|/\s?[a-z]{{3}}|[–—-]\s[a-z]{{2}}|[=≈~(]\s?[\d.,]+\s?(?:{_HOURS}|{_DAYS})\b)|\s(?:a|all|and|as|at|because|but"
              r"|each|every|for|from|if|in|instead|is|later|long|of|on|or|per|so|than|that|to|total|under|until|was|when|which|with|without)\b)")
_CASH = r"USD|EUR|[dD]ollars?|[eE]uros?|[cC]ents?|ct|¢"
_UNIT_TAIL = re.compile(
    rf"(?:{_WRAP}(?:{_BESIDE})?|-(?=[A-Za-z]{{2}}))"
    rf"(?P<unit>(?P<cash>{_CASH})(?![A-Za-z])|{_GPU_TIME}|(?:[kMGTPEZ]|tera|peta|exa)?(?:FLOPs?/s|FLOPS|flops?/s)[-–·⋅*](?:{_HOURS}|{_DAYS})(?![A-Za-z])"
    r"|[kKMGTPmgt]i?[Bb](?:ps)?|[kMGTPEZ]\s(?:bytes?|bits?|FLOPs?)|[kMGTPEZ]?FLOPs?|[kMGTPEZ]?FLOPS|[kMGTPmunµμ]?[sgW]|[kMGTPm]?(?:J|Wh|Hz)|ms|us|[µμ]s|ns"
    rf"|%|tokens?|tok|k?t(?=\s?/\s?s)|bytes?|bits?|seconds?|minutes?|hours?|days?|B|h{_TIME_ENDS}|(?<=\s)d{_TIME_ENDS}|[A-Za-z]{{3,12}})"
    r"(?:\s?[*·⋅]?\s?(?P<inverse>s)\s?(?:\^\s?\{?\s?[-−]\s?1\s?\}?|⁻¹))?(?![A-Za-z])")
_HOW_MANY = (r"(?:1\s?)?(?:thousand|million|billion)\s|1\s?[kKMB]\s|[kKMB]\s|[kKM](?=[tT]ok)|1(?:(?:[,_\s’']?000){1,3}|e[369]|0\s?\^\s?[369]|0[³⁶⁹])\s")
_OF_MANY = rf"(?:{_HOW_MANY})(?:{_BESIDE})?(?:[tT]ok(?:en)?|req(?:uest)?|seq(?:uence)?|user|step)s?(?![A-Za-z])"
# What a figure is per. "At 3 TB/s a token takes 5 ms": behind another, "a" begins none. "16 GB / 1,000 tokens" is a sum, a price per so many is a price.
_AND_PER = rf"(?:(?:\s?/\s?|\sper\s)(?:{_THING}|{_SIZE})){{0,2}}"
_PER_TAIL = re.compile(rf"(?:(?:\s?/\s?|\sper\s)(?:{_THING}|{_SIZE})|\sper\s{_OF_MANY}|\san?\s{_THING}){_AND_PER}")
_PRICE_TAIL = re.compile(rf"\s?(?:(?:/|\bper\b)\s?(?:{_OF_MANY}|{_THING}|{_SIZE})|\ban?\b\s?(?:{_OF_MANY}|{_THING})){_AND_PER}")
_PRICED = re.compile(r"([$€]|\b(?:USD|EUR)(?=\s?$))\s?$")  # before an amount
_SIGN = re.compile(r"\s?(?:US\s?(?=\$))?([$€])(?!\s?\d)")  # behind one
_PAID = r"USD\b|EUR\b|US\s?\$|[$€]|dollars?\b|euros?\b"
_MANY = re.compile(rf"(?:{_WRAP}|-)(?P<word>thousand|million|billion|trillion)\b|(?P<letter>k|K|M|B|T|bn)(?![A-Za-z/])"
                   rf"|\s?(?P<apart>(?:k|M|T|mn|bn)(?=\s(?:{_BESIDE})?(?:tok|param|req|seq|step|user|{_GPU_TIME})|\s?(?:{_PAID}))"
                   rf"|B(?=\s(?:{_BESIDE})?(?:tok|param)|\s?(?:{_PAID})))")
_MANY_PAID = re.compile(r"\s?(?P<apart>k|M|B|bn|mn)\b(?!\s?[/^_*=]|\stok)")  # $5 M


def find_quantities(text: str) -> list[Found]:
    """Every number of a text with the unit that follows it, in order; `unit` is None for a bare number.

    A number that isn't surely read is left out: `3,5`, `007`, `n` in `10^n`.
    """
    out: list[Found] = []
    read_to = 0
    for match in _VALUE.finditer(text):
        start, end = match.start("value"), match.end()
        inside = start and (text[start - 1].isalnum() or text[start - 1] in "_.^")
        if start < read_to or inside or re.match(r"0\d", match["value"]) or _UNREAD.match(text, end):
            continue
        value, unit = _value(match), None
        if match["sign"] and (match.end("sign") < start or re.match(r"[\w)]", text[match.start() - 1:match.start()] or " ")):
            value = abs(value)  # a hyphen, a bullet, a dash or a range, as in GPT-4 and 5-10, is no minus
        before = _PRICED.search(text, max(0, start - 5), start)
        magnitude = _MANY.match(text, end) or (_MANY_PAID.match(text, end) if before else None)
        if magnitude and not (match["exp"] and magnitude["apart"] is None and magnitude["letter"] == "B"):  # 8.6e9B are bytes
            value *= _MAGNITUDE[next(filter(None, magnitude.groups())).lower()]
            end = magnitude.end()
        behind = None if before else _SIGN.match(text, end)
        tail = None if before or behind else _UNIT_TAIL.match(text, end)
        if what := before or behind or tail:
            over = end if what is before else what.end()
            written = what["unit"] + (" / s" if what["inverse"] else "") if what is tail else what[1]
            per = (_PER_TAIL if what is tail and not what["cash"] else _PRICE_TAIL).match(text, over)
            try:
                factor, found = _unit(written + (per[0] if per else ""))
                if not found.dimensionless or factor != 1.0 or per or str(found) == "percent":
                    value, unit, end = value * factor, found, per.end() if per else over
            except UnitError:
                pass
        if math.isfinite(value):
            out.append(Found(start, end, value, unit))
            read_to = end
    return out


_PREFIXES = (("kilo", "kibi"), ("mega", "mebi"), ("giga", "gibi"), ("tera", "tebi"), ("peta", "pebi"), ("exa", "exbi"))


def other_prefix(found: pint.Quantity[float], expected: pint.Quantity[float], tolerance: float) -> str:
    """Why a size is wrong when its number would be right with the other prefix, GiB for GB or GB for GiB; "" when that is not it."""
    for thousands, pair in enumerate(_PREFIXES, 1):
        powers = dict(zip(pair, (f"10^{3 * thousands}", f"2^{10 * thousands}"), strict=True))
        for written, meant in (pair, pair[::-1]):
            for name in ("byte", "bit"):
                other = registry().Quantity(found.magnitude, meant + name)
                if found.units != registry().Unit(written + name) or compare(other, expected, tolerance) != "exact":
                    continue
                share = 100 * _base(found) / _base(other) - 100
                return (f"the number is right in {other.units:~P} and not in {found.units:~P}: 1 {found.units:~P} is {powers[written]} {name}s, "
                        f"1 {other.units:~P} is {powers[meant]}, so this is {abs(share):.1f} % too {'much' if share > 0 else 'little'}")
    return ""


def is_count(unit: PlainUnit | None) -> bool:
    """Whether a number with this unit only counts things: "2.8", "2.8 tokens", "1.35 passes", and not "2.8 tokens per layer"."""
    return unit is None or (set(unit.dimensionality) <= _COUNTED and all(power > 0 for power in _dimensions(unit).values()))


@lru_cache(maxsize=4096)
def _dimensions(unit: PlainUnit) -> dict[str, float]:
    """The exponents of a unit's dimensions, counts that are one taken together."""
    out: dict[str, float] = {}
    for name, power in unit.dimensionality.items():
        name = _SAME_COUNT.get(name, name)
        out[name] = out.get(name, 0.0) + float(str(power))
    return {name: power for name, power in out.items() if power}


def stands_for(found: PlainUnit, expected: PlainUnit) -> bool:
    """Whether a figure in one unit may be one in the other.

    The two have the same dimensions, but a number of things may be bare, and a bare one may say what it counts. What a figure is per is never passed over:
    80 GiB per sequence are not the 80 GiB of a batch. Where "320 KiB per token" says what 320 KiB says, the rubric names both.
    """
    mine, wanted = _dimensions(found), _dimensions(expected)
    if mine == wanted:
        return True
    return set(wanted) <= _COUNTED and all(power > 0 for power in wanted.values()) and (not mine or (not wanted and is_count(found)))


def compare(found: pint.Quantity[float], expected: pint.Quantity[float], tolerance: float) -> str:
    """`exact` (inside the relative tolerance), `order` (right kind of unit, within a factor of ten), `value` (right kind only) or `unit`.

    Bare numbers stand for the expected unit only when the expected one has no dimension or counts things.
    """
    if not stands_for(found.units, expected.units):
        return "unit"
    a, b = _base(found), _base(expected)
    if abs(a - b) <= tolerance * abs(b) + 1e-12 * abs(b):
        return "exact"
    if a and b and (a > 0) == (b > 0) and abs(math.log10(abs(a)) - math.log10(abs(b))) < 1.0:
        return "order"
    return "value"
