"""What must be right before the site starts."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from grading.judge_models import model_of


@register()
def judge_settings(**kwargs: Any) -> list[CheckMessage]:
    """A language-model judge that is named has to be named rightly; otherwise every answer would end up not scored."""
    found: list[CheckMessage] = []
    try:
        model_of(**settings.JUDGE)
    except ValueError as error:
        found.append(Error(f"JUDGE_*: {error}", id="review.E001"))
    if settings.JUDGE_RUNS < 3 or settings.JUDGE_RUNS % 2 == 0:
        found.append(Error("JUDGE_RUNS: an odd number, at least 3", id="review.E002"))
    return found
