"""Random checkpoints, made once per run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine import factory

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, Any]]:
    """(family, seed) -> (checkpoint folder, transformers model)."""
    made: dict[Any, tuple[Path, Any]] = {}

    def get(family: str = "llama", seed: int = 0, **changes: Any) -> tuple[Path, Any]:
        key = (family, seed, repr(sorted(changes.items())))
        if key not in made:
            made[key] = factory.checkpoint(tmp_path_factory.mktemp("checkpoint"), family, seed, **changes)
        return made[key]

    return get
