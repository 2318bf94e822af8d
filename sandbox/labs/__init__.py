"""The labs: one folder each, read into a frozen record.

Reading a lab needs neither torch nor a jail. Only `tests` executes a test file, in the trusted process, when a run starts.
"""

import ast
import functools
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.spec import JailSpec, Limits

if TYPE_CHECKING:
    from sandbox.testing import Test

FOLDER = Path(__file__).parent
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
FAILS = re.compile(r"#\s*fails:\s*(\w+)\s*$")


class UnknownLab(LookupError):
    """There is no lab of this name."""


class BadLab(Exception):
    """A lab's files do not say what they must; the message names the file and the fault."""


@dataclass(frozen=True, slots=True)
class Group:
    """Tests that are marked together. When a `gate` group fails, later groups are skipped."""

    name: str
    title: str
    points: float
    gate: bool = False


@dataclass(frozen=True, slots=True)
class TestInfo:
    """What a candidate may know of a test before running it."""

    __test__ = False

    name: str
    group: str
    doc: str


@dataclass(frozen=True, slots=True)
class Lab:
    """One lab. `queue` is "cpu" or "gpu"."""

    slug: str
    title: str
    entry: str
    seam: str
    brief: str
    starter: str
    groups: tuple[Group, ...]
    limits: Limits
    spec: JailSpec
    queue: str
    folder: Path

    @property
    def max_score(self) -> float:
        return sum(group.points for group in self.groups)

    @property
    def public_tests(self) -> tuple[TestInfo, ...]:
        return _listed(self.folder / "public_tests.py")

    @property
    def reference(self) -> str:
        return (self.folder / "solutions" / "reference.py").read_text()

    def wrong(self) -> dict[str, tuple[str, str]]:
        """The wrong solutions: file name -> (source, name of the hidden test that it fails)."""
        found = {}
        for path in sorted((self.folder / "solutions").glob("wrong_*.py")):
            source = path.read_text()
            match = FAILS.match(source.partition("\n")[0])
            if match is None:
                raise BadLab(f"{path}: the first line must be '# fails: <test name>'")
            found[path.name] = (source, match[1])
        return found

    def tests(self, *, hidden: bool) -> "tuple[Test, ...]":
        """The tests, ready to run.

        Raises:
            BadLab: they do not fit the groups.
        """
        tests = _executed(self.folder / ("hidden_tests.py" if hidden else "public_tests.py"))
        names = {group.name: group.points for group in self.groups}
        for test in tests:
            if test.group not in names:
                raise BadLab(f"{self.slug}: test {test.name} is in group {test.group!r}, which lab.yaml does not have")
        if hidden:
            for name, points in names.items():
                total = sum(test.points for test in tests if test.group == name)
                if total != points:
                    raise BadLab(f"{self.slug}: the tests of group {name} make {total:g} points and lab.yaml says {points:g}")
        order = list(names)
        return tuple(sorted(tests, key=lambda test: order.index(test.group)))


def slugs() -> list[str]:
    """The names of all labs."""
    return sorted(path.parent.name for path in FOLDER.glob("*/lab.yaml"))


def load(slug: str) -> Lab:
    """The lab of this name.

    Raises:
        UnknownLab: there is none.
        BadLab: its files are faulty.
    """
    if not SLUG.fullmatch(slug) or not (FOLDER / slug / "lab.yaml").is_file():
        raise UnknownLab(f"there is no lab {slug!r}; there are {', '.join(slugs()) or 'none'}")
    return read(FOLDER / slug)


def every() -> list[Lab]:
    """All labs."""
    return [load(slug) for slug in slugs()]


@functools.lru_cache(maxsize=64)
def read(folder: Path) -> Lab:
    """A lab from its folder.

    Raises:
        BadLab: a key is missing, unknown or of the wrong kind.
    """
    path = folder / "lab.yaml"
    try:
        data = yaml.safe_load(path.read_text())
        if not isinstance(data, dict):
            raise BadLab(f"{path}: a mapping is due")
        known = {"slug", "title", "entry", "seam", "groups", "limits", "jail", "queue"}
        if extra := set(data) - known:
            raise BadLab(f"{path}: unknown keys {', '.join(sorted(map(str, extra)))}")
        if data["slug"] != folder.name:
            raise BadLab(f"{path}: slug {data['slug']!r} in the folder {folder.name!r}")
        jail: dict[str, Any] = dict(data.get("jail") or {})
        if "packages" in jail:
            jail["packages"] = tuple(jail["packages"])
        groups = tuple(
            Group(str(group["name"]), str(group["title"]), float(group["points"]), bool(group.get("gate", False)))
            for group in data["groups"]
        )
        if len({group.name for group in groups}) != len(groups):
            raise BadLab(f"{path}: two groups have the same name")
        queue = data.get("queue", "cpu")
        if queue not in ("cpu", "gpu"):
            raise BadLab(f"{path}: queue is cpu or gpu, not {queue!r}")
        if "devices" in jail:
            raise BadLab(f"{path}: device nodes come with the leased GPU; say gpu_memory_mb")
        if (queue == "gpu") != (jail.get("gpu_memory_mb", 0) > 0):
            raise BadLab(f"{path}: queue gpu and jail.gpu_memory_mb above 0 go together")
        return Lab(
            slug=folder.name,
            title=str(data["title"]),
            entry=str(data["entry"]),
            seam=str(data["seam"]),
            brief=(folder / "brief.md").read_text(),
            starter=(folder / "starter.py").read_text(),
            groups=groups,
            limits=Limits(**(data.get("limits") or {})),
            spec=JailSpec(**jail),
            queue=queue,
            folder=folder,
        )
    except KeyError as error:
        raise BadLab(f"{path}: the key {error} is missing") from None
    except (TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise BadLab(f"{path}: {error}") from None
    except OSError as error:
        raise BadLab(f"{folder}: {error}") from None


def _listed(path: Path) -> tuple[TestInfo, ...]:
    """The tests of a file, read without executing it."""
    found = []
    for node in ast.parse(path.read_text(), str(path)).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "test":
                group = decorator.args[0]
                if not isinstance(group, ast.Constant):
                    raise BadLab(f"{path}: the group of {node.name} must be a literal")
                doc = " ".join((ast.get_docstring(node) or "").split())
                found.append(TestInfo(node.name, str(group.value), doc))
    return tuple(found)


def _executed(path: Path) -> "tuple[Test, ...]":
    from sandbox.testing import collect

    name = "sandbox_lab_" + re.sub(r"\W", "_", f"{path.parent.name}_{path.stem}")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadLab(f"{path}: can't be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return collect(module)
