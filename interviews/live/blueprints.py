"""From "level, minutes, topics" to sections, and from sections to questions of the bank. Pure but for the questions passed in."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from interviews.bank.files import PROSE
from interviews.bank.models import Question

CODE_MINUTES, ESTIMATE_MINUTES, BOARD_MINUTES, PROSE_MINUTES, QUICK_MINUTES = 30, 10, 20, 15, 5
MIN_MINUTES, MAX_MINUTES = 10, 180


class NothingToAsk(ValueError):
    """The bank has no question that fits."""


@dataclass(frozen=True)
class Section:
    """`count` questions of these kinds, each with `minutes`. No topics means any."""

    kinds: tuple[str, ...]
    topics: tuple[str, ...]
    level: str
    count: int
    minutes: int

    def as_dict(self) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Section":
        return cls(tuple(data["kinds"]), tuple(data["topics"]), data["level"], data["count"], data["minutes"])


# The interviews that the site offers by name.
SHIPPED = (
    ("advanced-inference-l6-60", "Advanced inference, L6, 60 minutes", "L6", 60),
    ("advanced-inference-l5-30", "Advanced inference, L5, 30 minutes", "L5", 30),
    ("advanced-inference-l7-90", "Advanced inference, L7, 90 minutes", "L7", 90),
)


def generate(level: str, minutes: int, topics: Sequence[str], kinds: frozenset[str]) -> tuple[Section, ...]:
    """Sections that fill the time: a quick-fire round to warm up, prose, then a drawing, an estimate, code, as far as the time and the bank's `kinds` reach.

    Raises:
        NothingToAsk: the bank has none of the kinds that fit into the time.
    """
    wanted = tuple(topics)
    left = minutes
    tail = []
    if "code" in kinds and left >= CODE_MINUTES + PROSE_MINUTES:
        tail.append(Section(("code",), wanted, level, 1, CODE_MINUTES))
        left -= CODE_MINUTES
    if "estimate" in kinds and (left >= ESTIMATE_MINUTES + PROSE_MINUTES or not kinds & set(PROSE)):
        tail.append(Section(("estimate",), wanted, level, 1, min(left, ESTIMATE_MINUTES)))
        left -= ESTIMATE_MINUTES
    prose = tuple(kind for kind in PROSE if kind in kinds)
    if "whiteboard" in kinds and left > 0 and (left >= BOARD_MINUTES + PROSE_MINUTES or not (prose or tail)):
        tail.append(Section(("whiteboard",), wanted, level, 1, min(left, BOARD_MINUTES)))
        left -= BOARD_MINUTES
    head = []
    count = max(1, round(left / 20)) if prose else 0
    if "quickfire" in kinds and left - QUICK_MINUTES >= count * PROSE_MINUTES:  # no question of prose makes room for it
        head.append(Section(("quickfire",), wanted, level, 1, QUICK_MINUTES))
        left -= QUICK_MINUTES
    if prose:
        head.append(Section(prose, wanted, level, count, left // count))
    sections = (*head, *reversed(tail))
    if not sections:
        raise NothingToAsk("No question of the bank fits these topics and this time. Choose more topics or more minutes.")
    return sections


def _fits(question: Question, section: Section, *, level: bool, topics: bool) -> bool:
    version = question.current
    if version is None or version.kind not in section.kinds:
        return False
    if level and section.level not in version.levels:
        return False
    return not (topics and section.topics) or bool(set(section.topics) & set(version.topics))


def choose(sections: Sequence[Section], questions: Sequence[Question], seen: frozenset[Any], seed: int) -> list[tuple[Question, int]]:
    """A question and its minutes for each place, without repeats; the same for the same seed.

    Questions that suit the level and that this person has not had come first. Topics are never given up; the level is, when
    nothing else is left.

    Raises:
        NothingToAsk: a section can't be filled.
    """
    draw = random.Random(seed)
    chosen: list[tuple[Question, int]] = []
    taken: set[Any] = set()
    ordered = sorted(questions, key=lambda question: str(question.pk))
    for section in sections:
        for _ in range(section.count):
            pool: list[Question] = []
            for fresh, level in ((True, True), (True, False), (False, True), (False, False)):
                pool = [
                    question
                    for question in ordered
                    if question.pk not in taken
                    and not (fresh and question.pk in seen)
                    and _fits(question, section, level=level, topics=True)
                ]
                if pool:
                    break
            if not pool:
                if any(_fits(question, section, level=False, topics=True) for question, _ in chosen):
                    continue  # the bank has fewer such questions than places
                kinds = " or ".join(section.kinds)
                raise NothingToAsk(f"The bank has no {kinds} question on these topics. Choose more topics.")
            question = draw.choice(pool)
            taken.add(question.pk)
            chosen.append((question, section.minutes))
    return chosen
