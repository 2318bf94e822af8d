"""The kinds of trials there are, for the pages and the interface that all of them have alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from interviews.accounts.models import User
from interviews.review import comparing, rejudging, rescored, rescoring
from interviews.review.models import Rejudge, Rescoring, Trial


@dataclass(frozen=True)
class Kind:
    """`law` says what a trial of this kind covers, begins and decides it; the others tell of it, in words, as JSON, on its page and on that of the list."""

    model: type[Trial]
    law: ModuleType
    title: Callable[[Any, Any], str]
    json: Callable[[Any], dict[str, Any]]
    page: Callable[[Any, Mapping[str, str]], dict[str, Any]]
    offered: Callable[[User], dict[str, Any]]

    @property
    def name(self) -> str:
        """Of its templates and addresses."""
        return str(self.model._meta.model_name)

    @property
    def list(self) -> str:
        """The name of the page of all of them."""
        return f"{self.name}s"


REJUDGES = Kind(Rejudge, rejudging, comparing.title_of, comparing.rejudge_json, comparing.page_of, comparing.offered)
RESCORINGS = Kind(Rescoring, rescoring, rescored.title_of, rescored.rescoring_json, rescored.page_of, rescored.offered)
