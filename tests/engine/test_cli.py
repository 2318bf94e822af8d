"""The command line."""

import pytest

from engine.cli import _load, _parser
from engine.verify import CoupledVerifier, RejectionVerifier


@pytest.mark.parametrize(("flags", "verifier"), [([], RejectionVerifier), (["--acceptance", "coupled"], CoupledVerifier)])
@pytest.mark.parametrize("command", ["generate", "serve"])
def test_how_drafts_are_accepted_can_be_chosen(command: str, flags: list[str], verifier: type) -> None:
    llm = _load(_parser().parse_args([command, "target", "--draft", "ngram", "--n-pages", "20", *flags]))
    assert type(llm.engine.runner.verifier) is verifier
