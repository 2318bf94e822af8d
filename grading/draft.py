"""A rubric from a model answer: its atomic statements become claims, to be edited by an author or used as they are."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from math import inf

import yaml

from grading.lexicon import NEGATORS
from grading.rubric import Claim, Criterion, Rubric
from grading.text import Clause, read, tokenise

MAX_CLAIMS = 24
_META = re.compile(r"\b(?:one|two|three|some|any|all|either) of the following\b|\bshould be (?:given|mentioned|named|stated)\b|\bconsidered (?:fully )?correct\b"
                   r"|\bpossible (?:answers?|differences|challenges|solutions)\b|\bfor example\s*:?$|\balternatively\b.{0,30}$|\banswer may\b|\bit is also (?:sufficient|valid)\b", re.I)
# A bare number in brackets counts points only at the end of a line: "Flow control (2)", but "softmax(0)" and "O(1) time".
_POINTS = re.compile(r"\(\s*\d*\.?\d+\s*(?:p|pt|pts|points?|marks?)\s*\)|(?<=\s)\(\s*\d*\.?\d+\s*\)(?=[ \t]*\r?$)", re.I | re.M)
_FALSE = re.compile(r"\b(?:false|untrue|wrong|incorrect|myth|misconception) that\b", re.I)
_GOES_ON = frozenset(["and", "or", "nor", "that"])
LONG = 20  # a sentence of more words is taken apart
MAX_POINTS = 1000  # as in rubric.schema.json
BANDS, OF = {"L5": 14, "L6": 20, "L7": 25}, 28  # as in the rubrics of the bank
LACKS = """\
# A draft: each claim is a statement of the model answer, as it stands there. Such a rubric finds
# little more than half of what careful readers find, and gives a fluent wrong answer a third of the
# points. Before it decides anything, give each claim
#   paraphrases:     the same in other words, as different candidates would say it
#   contradictions:  what people wrongly write instead
#   terms:           words that it can't be said without: [[keep, accept], [ratio, "p over q"]]
# and make several criteria of the one, each with its part of the claims and of the points.
# Take out what need not be said.
"""


def split_reference(text: str) -> list[str]:
    """The atomic statements of a model answer, in order and without repeats. Remarks to graders and lone headings are left out; what earns points is none."""
    document = read(_POINTS.sub(lambda m: " " * len(m[0]), text))
    sentences = document.sentences
    begins = [sentence.start for sentence in sentences]
    paid = {sentences[i - 1].sentence for m in _POINTS.finditer(text) if (i := bisect_right(begins, m.start()))}  # points stand behind what they are for
    by_sentence: dict[int, list[Clause]] = {}
    for clause in document.clauses:
        by_sentence.setdefault(clause.sentence, []).append(clause)
    out: dict[str, bool] = {}  # whether it states something by itself
    for clauses in by_sentence.values():
        whole, parts = clauses[0], clauses[1:]
        content = sum(t.content for t in whole.tokens)
        if (_META.search(whole.text) and content < 12) or not content:
            continue
        if len(whole.tokens) > LONG and len(parts) > 1 and not _denies_on(parts):
            for part in parts:
                if sum(t.content for t in part.tokens) >= 2:
                    out[_tidy(part.text)] = True
        else:
            out[_tidy(whole.text)] = content >= 2 or whole.sentence in paid
    lines = [line for line in out if len(line) > 1]
    solid = [line for line in lines if out[line]]
    return (solid or lines)[:MAX_CLAIMS]


def _denies_on(parts: Sequence[Clause]) -> bool:
    """Whether a later part may stand within the denial of an earlier one: "it is false that ..., and that ..."."""
    denying = next((i for i, part in enumerate(parts) if _FALSE.search(part.text) or any(t.text in NEGATORS for t in part.tokens)), len(parts))
    return any(part.tokens[0].text in _GOES_ON for part in parts[denying + 1 :])


def _tidy(text: str) -> str:
    return " ".join(text.split()).strip(" .;,:([{-–→")


def draft_rubric(question: str, model_answer: str, points: float = 4) -> Rubric:
    """A rubric of one criterion whose claims are the statements of `model_answer`, worth `points` in proportion to the claims met.

    `question` keeps claims out that only say the question back. Terms are not guessed (a term is a demand, and a demand is the author's to
    make). Raises ValueError when the model answer states nothing, and for points that no criterion can have.
    """
    if isinstance(points, bool) or not 0 < points <= MAX_POINTS:
        raise ValueError(f"a criterion is worth more than 0 and at most {MAX_POINTS} points, not {points}")
    asked = {t.stem for t in tokenise(question) if t.content}
    statements = split_reference(model_answer)
    new = [s for s in statements if {t.stem for t in tokenise(s) if t.content} - asked] or statements
    if not new:
        raise ValueError("the model answer states nothing that can be marked")
    claims = tuple(Claim(f"claim-{i + 1}", text[:2000]) for i, text in enumerate(new))
    return Rubric((Criterion("answer", "The model answer's statements", points, claims=claims),))


class _Quoted(str):
    """Words of somebody's, which stand in double quotes: whoever edits them may use a colon."""


class _Dumper(yaml.SafeDumper):
    """YAML in the look of the bank's rubrics."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


_Dumper.add_representer(_Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def draft_yaml(question: str, model_answer: str, points: float = OF) -> str:
    """The text of a `rubric.yaml` to start from: what `draft_rubric` makes, with bands and with a comment on what it lacks. Raises ValueError as that does."""
    drafted = draft_rubric(question, model_answer, points).to_dict()
    bands = {"bands": {level: _whole(float(f"{points * least / OF:.4g}")) for level, least in BANDS.items()}}
    Rubric.from_dict(bands | drafted)  # next to no points have no bands
    for criterion in drafted["criteria"]:
        criterion["points"] = _whole(criterion["points"])
        for claim in criterion["claims"]:
            claim["text"] = _Quoted(claim["text"])
    return LACKS + yaml.dump(bands, Dumper=_Dumper, default_flow_style=None, width=inf) + yaml.dump(
        drafted, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=inf)


def _whole(points: float) -> float:
    return int(points) if points == int(points) else points
