"""A question as files: read, checked, hashed. Plain Python; the database is `actions.py`'s.

Every fault is a `BankError` that names file, line and reason, so that whoever wrote the file can go there.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

import yaml
from jsonschema import Draft202012Validator

from grading import Answer, Rubric, RubricError
from grading.rubric import TEXT
from grading.scene import SceneError, parse_scene
from grading.variants import GENERATOR, PUBLISHED, VariantError, files_of
from sandbox import labs

MAX_FILE_BYTES = 512 * 1024
MAX_RUBRIC = 120_000  # characters of a rubric that is typed in; the scorer reads such a one in some 20 s
KINDS = ["written", "design", "debug", "estimate", "quickfire", "whiteboard", "code"]
PROSE = ("written", "design", "debug")  # the kinds that are answered in words alone
FILLED_IN = ("estimate", "quickfire")  # those whose answers are fields
BANDS = ["L5", "L6", "L7"]
PACK = "pack.yaml"
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MAX_SLUG = 80
TRIED_SEEDS = (1, 2, 3)  # variants beside the published one that must be sound before a pack is taken
ANSWER_NAME = r"[a-z0-9][a-z0-9-]*"
ANSWER_PATH = re.compile(rf"answers/{ANSWER_NAME}\.md")

_TEXT = {"type": "string", "minLength": 1, "maxLength": 200}
QUESTION_SCHEMA = {
    "type": "object",
    "required": ["uuid", "title", "kind", "topics", "levels", "minutes", "syllabus"],
    "additionalProperties": False,
    "properties": {
        "uuid": {"type": "string"},
        "title": _TEXT,
        "kind": {"enum": KINDS},
        "topics": {"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True},
        "levels": {"type": "array", "items": {"enum": BANDS}, "minItems": 1, "uniqueItems": True},
        "minutes": {"type": "integer", "minimum": 1, "maximum": 180},
        "syllabus": {"type": "array", "items": _TEXT},
        "lab": {"type": ["string", "null"], "maxLength": 80},
        "fields": {
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "required": ["id", "label"],
                "additionalProperties": False,
                "properties": {"id": _TEXT, "label": _TEXT, "hint": {"type": "string", "maxLength": 200}},
            },
        },
    },
}
PACK_SCHEMA = {
    "type": "object",
    "required": ["slug", "title", "description"],
    "additionalProperties": False,
    "properties": {
        "slug": {"type": "string", "pattern": f"^{SLUG.pattern}$", "maxLength": 50},
        "title": _TEXT | {"maxLength": 120},
        "description": _TEXT | {"maxLength": 2000},
    },
}


class BankError(ValueError):
    """A file of a bank that can't be used: which file, which line (from 1), and why. `others` are the first faults of the pack's other questions."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}")
        self.file, self.line, self.reason = file, line, reason
        self.others: tuple[BankError, ...] = ()


@dataclass(frozen=True)
class Exemplar:
    """An answer with the band that it must get."""

    name: str
    level: str
    answer: Answer


@dataclass(frozen=True)
class ParsedQuestion:
    """What `question.yaml`, `prompt.md`, `rubric.yaml` and `answers/` say.

    `files` are the folder's; `prompt`, `rubric` and `exemplars` are those of one variant when the folder has a generator.
    """

    slug: str
    files: dict[str, str]
    meta: dict[str, Any]
    prompt: str
    rubric: Rubric
    exemplars: tuple[Exemplar, ...]

    @property
    def hash(self) -> str:
        return content_hash(self.files)


@dataclass(frozen=True)
class ParsedPack:
    slug: str
    title: str
    description: str
    source: str
    questions: tuple[ParsedQuestion, ...]


def content_hash(value: Any) -> str:
    """SHA-256, in hex, of the value's canonical JSON."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _useless(value: Any) -> str:
    """Why no database or scorer can do with a scalar; empty when they can. Escapes such as "\\0" and "\\ud83d" make texts that no file could hold."""
    if isinstance(value, str):
        if "\0" in value:
            return "holds a NUL character"
        if any("\ud800" <= character <= "\udfff" for character in value):
            return "holds half a character: write the character itself, not its escape"
    if isinstance(value, int | float):
        try:
            return "" if math.isfinite(value) else "is no finite number"
        except OverflowError:
            return "is too large a number"
    return ""


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, which YAML would silently let the last one win, aliases, of which a few lines make a billion values,
    and scalars that are of no use."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        value = super().construct_object(node, deep)
        if fault := _useless(value):
            raise yaml.MarkedYAMLError(problem=fault, problem_mark=node.start_mark)
        return value

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not read", problem_mark=self.peek_event().start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool):
                raise yaml.MarkedYAMLError(problem=f"{key!r} can't be a key", problem_mark=key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Yaml:
    """A YAML document with the line of every place in it."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        try:
            self.value = yaml.load(text, Loader=_Loader)
            self.root = yaml.compose(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise BankError(file, mark.line + 1 if mark else 1, error.problem or "not YAML") from error
        except (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError) as error:  # the last three by what a tag or a date can't be
            raise BankError(file, 1, f"not YAML: {error}") from error
        if not isinstance(self.value, dict):
            raise BankError(file, 1, "expected a mapping of keys to values")

    def line(self, path: list[str | int]) -> int:
        """The line, from 1, of the deepest part of the path that exists."""
        node, line = self.root, 1
        for step in path:
            found = None
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    if key.value == str(step):
                        line, found = key.start_mark.line + 1, value
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                found = node.value[step]
                line = found.start_mark.line + 1
            if found is None:
                break
            node = found
        return line

    def refuse(self, path: list[str | int], reason: str) -> NoReturn:
        raise BankError(self.file, self.line(path), reason)

    def check(self, schema: dict[str, Any]) -> None:
        errors = sorted(Draft202012Validator(schema).iter_errors(self.value), key=lambda error: list(map(str, error.path)))
        if errors:
            where = ".".join(map(str, errors[0].path))
            self.refuse(list(errors[0].path), f"{where}: {errors[0].message}" if where else errors[0].message)


def _steps(path: str) -> list[str | int]:
    """`criteria[2].claims[0].terms` as steps."""
    return [int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path)]


def _rubric(file: str, text: str) -> Rubric:
    document = _Yaml(file, text)
    try:
        return Rubric.from_dict(document.value)
    except RubricError as error:
        document.refuse(_steps(error.path), f"{error.path}: {error.problem}" if error.path else error.problem)


FRONT = re.compile(r"\A---\n(.*?)^---\n", re.DOTALL | re.MULTILINE)
CODE_FENCE = re.compile(r"^```python\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
SCENE_FENCE = re.compile(r"^```excalidraw\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)


def parse_answer(text: str, *, kind: str, file: str = "answer") -> tuple[dict[str, Any], Answer]:
    """Front matter and answer of an answer file. For code questions the one fenced `python` block is the module and the rest the notes; for
    whiteboards the one fenced `excalidraw` block is the scene.

    Raises:
        BankError: front matter that is not YAML, more than one such block, or a scene that can't be read.
    """
    front: dict[str, Any] = {}
    if match := FRONT.match(text):
        front = _Yaml(file, match[1]).value
        text = text[match.end() :]
    written = front.get("fields") or {}
    if not isinstance(written, dict):
        raise BankError(file, 1, "fields: expected a mapping of ids to what is filled in")
    fields = {str(key): str(value) for key, value in written.items()}
    fence = {"code": CODE_FENCE, "whiteboard": SCENE_FENCE}.get(kind)
    blocks = list(fence.finditer(text)) if fence else []
    if len(blocks) > 1:
        what = "a code answer has one ```python block" if kind == "code" else "a whiteboard's answer has one ```excalidraw block"
        raise BankError(file, 1, f"{what}, this one has more")
    block = blocks[0][1] if blocks else ""
    if blocks:
        text = text[: blocks[0].start()] + text[blocks[0].end() :]
    if kind == "whiteboard":
        try:
            parse_scene(block)
        except SceneError as error:
            raise BankError(file, 1, f"the scene can't be read: {error}") from error
    return front, Answer(text=text.strip("\n"), code=block if kind == "code" else "", fields=fields, scene=block if kind == "whiteboard" else "")


def in_words(answer: Answer, asked: Sequence[Mapping[str, str]] = ()) -> str:
    """An answer as Markdown, its fields, called as they are `asked` for, and what its drawing shows before its text. Code stands by itself."""
    labels = {field["id"]: field["label"] for field in asked}
    named = ((labels.get(name, name).rstrip(":"), value) for name, value in answer.fields.items())
    fields = "".join(f"- {label}{'' if label.endswith('?') else ':'} {value}\n" for label, value in named)
    drawn = "".join(f"- {line}\n" for line in parse_scene(answer.scene).lines())
    return f"{fields}\n{drawn}\n{answer.text}"


def _exemplar(file: str, name: str, text: str, kind: str) -> Exemplar:
    front, answer = parse_answer(text, kind=kind, file=file)
    level = front.get("level")
    if level not in ("below", *BANDS):
        raise BankError(file, 1, "the front matter must say `level:` below, L5, L6 or L7")
    return Exemplar(name, level, answer)


def write_question(about: Mapping[str, Any], prompt: str, rubric: str, model_answer: str, level: str) -> dict[str, str]:
    """The files of a question with one exemplar answer, named by its level, as reports look for it. Whether they are right, `parse_question` says.

    Raises:
        BankError: the model answer begins with front matter, which would be read for what stands in it, or else be shown.
    """
    if FRONT.match(model_answer):
        raise BankError(f"answers/{level.lower()}.md", 1, "leave out the lines between --- and ---: what they would say is asked for beside the answer")
    files = {
        "question.yaml": yaml.safe_dump(dict(about), sort_keys=False, allow_unicode=True, default_flow_style=None, width=math.inf),
        "prompt.md": prompt,
        "rubric.yaml": rubric,
        f"answers/{level.lower()}.md": f"---\nlevel: {level}\n---\n{model_answer}",
    }
    return {path: text if text.endswith("\n") else f"{text}\n" for path, text in files.items()}


def parse_question(slug: str, files: Mapping[str, str], root: str = "", seed: int = PUBLISHED) -> ParsedQuestion:
    """Checks one question's files and reads the variant of `seed`. A generator has to be sound for a few other seeds too.

    Raises:
        BankError: a file is missing, unknown, too large or wrong; says which, where and why.
    """
    if not SLUG.fullmatch(slug) or len(slug) > MAX_SLUG:
        raise BankError(f"{root}{slug}", 1, f"a question's folder is named in lower-case words joined by hyphens, {MAX_SLUG} characters at most")
    root = f"{root}{slug}/"
    for path, text in files.items():
        if path not in ("question.yaml", "prompt.md", "rubric.yaml", GENERATOR) and not ANSWER_PATH.fullmatch(path):
            raise BankError(root + path, 1, "no such file belongs to a question")
        if len(text.encode()) > MAX_FILE_BYTES:
            raise BankError(root + path, 1, f"larger than {MAX_FILE_BYTES // 1024} KiB")
        if "\0" in text:
            raise BankError(root + path, text[: text.index("\0")].count("\n") + 1, "holds a NUL byte")
    for path in ("question.yaml", "prompt.md", "rubric.yaml"):
        if path not in files:
            raise BankError(root + path, 1, "the file is missing")
    document = _Yaml(root + "question.yaml", files["question.yaml"])
    document.check(QUESTION_SCHEMA)
    meta = document.value
    try:
        meta["uuid"] = str(UUID(meta["uuid"]))
    except ValueError:
        document.refuse(["uuid"], "uuid: not a UUID")
    if (meta["kind"] == "code") != bool(meta.get("lab")):
        document.refuse(["lab"], "lab: a code question names its lab, no other kind does")
    if (meta["kind"] in FILLED_IN) != bool(meta.get("fields")):
        document.refuse(["fields"], "fields: an estimate and a quick-fire round list what is filled in, no other kind does")
    _check_lab_and_fields(document)
    if GENERATOR in files and meta["kind"] != "estimate":
        raise BankError(root + GENERATOR, 1, "only an estimate has variants")
    if not files["prompt.md"].strip():
        raise BankError(root + "prompt.md", 1, "the prompt is empty")
    for tried in (*TRIED_SEEDS, seed) if GENERATOR in files else (seed,):
        prompt, rubric, exemplars = read_variant(files, meta["kind"], tried, root)
        if misfit := next(_misfits(meta, rubric), None):
            _Yaml(root + "rubric.yaml", files_of(files, tried)["rubric.yaml"]).refuse(*misfit)
    return ParsedQuestion(slug, dict(sorted(files.items())), meta, prompt, rubric, exemplars)


def _check_lab_and_fields(document: _Yaml) -> None:
    """The lab must be one, and fields need names of their own."""
    if lab := document.value.get("lab"):
        try:
            labs.load(lab)
        except (labs.UnknownLab, labs.BadLab) as error:
            document.refuse(["lab"], f"lab: {error}")
    names = [field["id"] for field in document.value.get("fields") or []]
    for number, name in enumerate(names):
        if name in (TEXT, *names[:number]):
            document.refuse(["fields", number, "id"], f"fields: {name!r} " + ("is what a rubric calls the prose" if name == TEXT else "is used twice"))


def _misfits(meta: Mapping[str, Any], rubric: Rubric) -> Iterator[tuple[list[str | int], str]]:
    """What a rubric looks for where the question has no such thing: place and reason. Nobody could earn those points."""
    fields = [field["id"] for field in meta.get("fields") or []]
    groups = [group.name for group in labs.load(meta["lab"]).groups] if meta.get("lab") else []
    for i, criterion in enumerate(rubric.criteria):
        for j, quantity in enumerate(criterion.quantities):
            if quantity.field not in (TEXT, *fields):
                known = ", ".join([*fields, f"{TEXT} (the prose)"])
                yield ["criteria", i, "quantities", j, "field"], f"field: the question has no field {quantity.field!r}; there are {known}"
        if criterion.field not in (TEXT, *fields):
            yield ["criteria", i, "field"], f"field: the question has no field {criterion.field!r}; there are {', '.join([*fields, TEXT])}"
        if meta["kind"] == "quickfire" and TEXT in ([q.field for q in criterion.quantities] or [criterion.field]):
            yield ["criteria", i], "a quick-fire round has nothing but its fields: `accepted` with a `field`, or `quantities` of fields"
        for j, group in enumerate(criterion.tests):
            if group not in groups:
                known = f"its lab has {', '.join(groups)}" if groups else "only a code question has tests"
                yield ["criteria", i, "tests", j], f"tests: there is no test group {group!r}; {known}"


def read_variant(files: Mapping[str, str], kind: str, seed: int, root: str = "") -> tuple[str, Rubric, tuple[Exemplar, ...]]:
    """Prompt, rubric and exemplars with one seed's numbers.

    Raises:
        BankError: the generator, a template or what comes of it is wrong.
    """
    try:
        files = files_of(files, seed)
    except VariantError as error:
        raise BankError(root + error.file, error.line, error.reason) from error
    rubric = _rubric(root + "rubric.yaml", files["rubric.yaml"])
    exemplars = tuple(
        _exemplar(root + path, path.removeprefix("answers/").removesuffix(".md"), text, kind)
        for path, text in sorted(files.items())
        if path.startswith("answers/")
    )
    return files["prompt.md"], rubric, exemplars


def _read(path: Path, name: str) -> str:
    try:
        return as_text(path.read_bytes(), name)
    except OSError as error:
        raise BankError(name, 1, error.strerror or "can't be read") from error


def as_text(content: bytes, name: str) -> str:
    """A file's text.

    Raises:
        BankError: it is not UTF-8.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BankError(name, 1, f"not UTF-8: {error.reason} at byte {error.start}") from error


def read_pack(folder: Path) -> ParsedPack:
    """Reads a pack's folder.

    Raises:
        BankError: any file of it is wrong.
    """
    files = {PACK: _read(folder / PACK, PACK)}
    places = sorted(path for path in folder.iterdir() if path.is_dir())
    for path in (path for place in places for path in sorted(place.rglob("*")) if path.is_file()):
        name = path.relative_to(folder).as_posix()
        files[name] = _read(path, name)
    return parse_pack(files, [place.name for place in places])


def parse_pack(files: Mapping[str, str], folders: Iterable[str] = ()) -> ParsedPack:
    """Checks a pack's files, `pack.yaml` and `<slug>/<file>`. `folders` may name such as have no file, which is a fault.

    Raises:
        BankError: any of them is wrong; `others` has a fault of each other question that has one.
    """
    if PACK not in files:
        raise BankError(PACK, 1, "the file is missing")
    document = _Yaml(PACK, files[PACK])
    document.check(PACK_SCHEMA)
    contents: dict[str, dict[str, str]] = {folder: {} for folder in folders}
    for path, text in files.items():
        slug, inside, name = path.partition("/")
        if inside:
            contents.setdefault(slug, {})[name] = text
    questions: dict[str, ParsedQuestion] = {}  # by uuid
    faults: list[BankError] = []
    for slug, content in sorted(contents.items()):
        try:
            parsed = parse_question(slug, content)
            if other := questions.get(parsed.meta["uuid"]):
                raise BankError(f"{slug}/question.yaml", 1, f"uuid: {other.slug} has the same one")
        except BankError as fault:
            faults.append(fault)
        else:
            questions[parsed.meta["uuid"]] = parsed
    if faults:
        faults[0].others = tuple(faults[1:])
        raise faults[0]
    meta = document.value
    return ParsedPack(meta["slug"], meta["title"], meta["description"].strip(), files[PACK], tuple(questions.values()))
