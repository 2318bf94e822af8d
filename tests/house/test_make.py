"""What `make` builds anew, asked of make itself about a small copy of the tree."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("package.json", "package-lock.json", "tsconfig.json", "vite.config.ts")  # without them there is no front end
PARTS = ("src/site.ts", "src/room/Room.tsx", "public/favicon.svg", "stubs/one/index.js")
LONG_AGO = 1_000_000_000


def touch(path: Path) -> None:
    path.write_text("")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree in which everything is built."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", ".venv/.ready", *(f"frontend/{name}" for name in (*NEEDED, *PARTS, "node_modules/.ready", "dist/manifest.json"))):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    order = ["frontend/dist/manifest.json", "frontend/node_modules/.ready", ".venv/.ready"]  # from the last that was made to the first
    for path in tmp_path.rglob("*"):
        name = str(path.relative_to(tmp_path))
        age = order.index(name) if name in order else len(order)
        os.utime(path, (LONG_AGO - age, LONG_AGO - age))
    return tmp_path


def current(tree: Path) -> bool:
    """Whether make would build nothing."""
    done = subprocess.run(["make", "-q", "frontend"], cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


def test_what_is_built_is_not_built_again(tree: Path) -> None:
    assert current(tree)


@pytest.mark.parametrize(("name", "change"), [*((name, touch) for name in (*NEEDED, *PARTS)), *((name, Path.unlink) for name in PARTS)])
def test_each_source_of_the_front_end_builds_it_anew(tree: Path, name: str, change: Callable[[Path], None]) -> None:
    change(tree / "frontend" / name)
    assert not current(tree)
