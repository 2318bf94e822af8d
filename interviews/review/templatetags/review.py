"""What lists of interviews say of reviews, for pages of packages that know of none."""

from collections.abc import Iterable
from uuid import UUID

from django import template

from interviews.live.models import Interview
from interviews.review import queries

register = template.Library()


@register.simple_tag
def scored_since_review(interviews: Iterable[Interview]) -> set[UUID]:
    """Those of these interviews whose points are newer than their review."""
    return set(queries.scored_since_review().filter(job__question__interview__in=list(interviews)))
