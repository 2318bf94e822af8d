"""The command line: what is wrong with it is one line and a status, never a traceback."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from engine import LLM, checkpoint_path
from engine.cli import _load, _parser, main
from engine.errors import RequestError
from engine.verify import CoupledVerifier, RejectionVerifier

WRONG: list[tuple[list[str], str]] = [
    (["--page-size", "0"], "page_size = 0"), (["--page-size", "-3"], "page_size = -3"), (["--n-pages", "0"], "n_pages = 0"),
    (["--device", "cuda"], "torch sees 0 GPUs"), (["--device", "cuda:7"], "'cuda:7' is not there"), (["--device", "foo"], "'foo' is unknown"),
    (["--device", "meta"], "'meta' is unknown"), (["--json-schema", "binary"], "binary: no text"), (["--grammar", "binary"], "binary: no text"),
    (["--grammar", "nowhere"], "nowhere"), (["--draft", "nowhere"], "nowhere"), (["--max-running", "0"], "limits"),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "says"), WRONG)
def test_a_wrong_flag_is_one_line(flags: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    Path("binary").write_bytes(b"\xff\xfe\x00")
    assert main(["generate", "target", "--prompt", "x", "--max-tokens", "1", *flags]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("engine: ") and err.count("\n") == 1 and says in err


def test_a_prompt_that_is_no_text_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"The \xff"), "utf-8"))
    assert main(["generate", "target"]) == 1
    assert "standard input: no text" in capsys.readouterr().err


def test_a_pool_without_pages_is_refused() -> None:
    for sizes in ({"page_size": 0}, {"n_pages": 0}, {"n_pages": -1}):
        with pytest.raises(RequestError, match="at least one page"):
            LLM(checkpoint_path("target"), **sizes)


@pytest.mark.parametrize("n_pages", [2**48, 2**70, 10**400])
def test_a_pool_that_no_memory_holds_is_refused(n_pages: int) -> None:
    with pytest.raises(RequestError, match="GiB can't be had"):
        LLM(checkpoint_path("target"), n_pages=n_pages)


@pytest.mark.parametrize(("flags", "verifier"), [([], RejectionVerifier), (["--acceptance", "coupled"], CoupledVerifier)])
@pytest.mark.parametrize("command", ["generate", "serve"])
def test_how_drafts_are_accepted_can_be_chosen(command: str, flags: list[str], verifier: type) -> None:
    llm = _load(_parser().parse_args([command, "target", "--draft", "ngram", "--n-pages", "20", *flags]))
    assert type(llm.engine.runner.verifier) is verifier
