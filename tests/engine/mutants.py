"""Puts bugs back: a method is replaced by itself with one piece of its source changed."""

from __future__ import annotations
import __future__

import inspect
import textwrap
from typing import Any

import pytest


def put_back(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, right: str, wrong: str) -> None:
    """Change `right` to `wrong` in the source of ``owner.name`` (a function, method, static method or property)."""
    found = inspect.getattr_static(owner, name)
    function = found.fget if isinstance(found, property) else getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(function))
    assert right in source, f"{name} reads otherwise now, so its bug can't be put back: look for {right!r}"
    namespace = vars(inspect.getmodule(function)).copy()
    code = compile(source.replace(right, wrong), f"<{name} with a bug>", "exec", flags=__future__.annotations.compiler_flag, dont_inherit=True)
    exec(code, namespace)  # our own source, changed by our own words
    monkeypatch.setattr(owner, name, namespace[name])
