"""Question folders as this room reads them: prompt, rubric and exemplar answers of one variant. The bank itself is the site's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from grading.result import Answer, Question
from grading.rubric import Rubric
from grading.variants import GENERATOR, PUBLISHED, files_of

SCENE = re.compile(r"^```excalidraw\n(.*?)^```[ \t]*$", re.S | re.M)
FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.S)


@dataclass(frozen=True, slots=True)
class Folder:
    """One question with the numbers of one seed; `exemplars` are (name, level that it must get, answer)."""

    path: Path
    question: Question
    rubric: Rubric
    exemplars: tuple[tuple[str, str, Answer], ...]
    varies: bool
    topics: frozenset[str] = frozenset()

    @property
    def best(self) -> Answer | None:
        """The exemplar for L7, if there is one."""
        return next((answer for _, level, answer in self.exemplars if level == "L7"), None)

    @property
    def judged(self) -> bool:
        """Whether some points come from running code."""
        return any(criterion.tests for criterion in self.rubric.criteria)


def read_answer_file(text: str) -> tuple[dict[str, Any], Answer]:
    """(front matter, answer) of an answer file; a fenced `excalidraw` block is a whiteboard's scene."""
    front = FRONT.match(text)
    meta = yaml.safe_load(front[1]) if front else {}
    meta = meta if isinstance(meta, dict) else {}
    fields = {str(key): str(value) for key, value in (meta.get("fields") or {}).items()}
    text = FRONT.sub("", text)
    scene = SCENE.search(text)
    return meta, Answer(SCENE.sub("", text), fields=fields, scene=scene[1] if scene else "")


def read_folder(path: Path, seed: int = PUBLISHED) -> Folder:
    """One question's folder.

    Raises:
        RubricError, VariantError, OSError, yaml.YAMLError: a file is wrong, or missing.
    """
    names = ["prompt.md", "rubric.yaml", *(p.relative_to(path).as_posix() for p in sorted(path.glob("answers/*.md")))]
    raw = {name: (path / name).read_text("utf-8") for name in [*names, *([GENERATOR] if (path / GENERATOR).exists() else [])]}
    files = files_of(raw, seed)
    about = path / "question.yaml"
    meta = yaml.safe_load(about.read_text("utf-8")) if about.exists() else {}
    answers = [(Path(name).stem, *read_answer_file(files[name])) for name in names[2:]]
    return Folder(path, Question(files["prompt.md"], meta.get("title", ""), meta.get("kind", "written")),
                  Rubric.from_dict(yaml.safe_load(files["rubric.yaml"]), str(path / "rubric.yaml")),
                  tuple((name, str(front.get("level", "")), answer) for name, front, answer in answers), GENERATOR in raw, frozenset(meta.get("topics", ())))


def folders(root: Path, seed: int = PUBLISHED) -> Iterator[Folder]:
    """Every question folder under a folder, in order of their paths."""
    for rubric in sorted(root.rglob("rubric.yaml")):
        yield read_folder(rubric.parent, seed)
