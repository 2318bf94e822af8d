"""What a jail needs of this machine to run Python: the interpreter, the libraries, the packages; nothing else of it.

The interpreter may lie where the jail's user cannot go (under a private home): only (source, place) pairs are computed here, and the launcher binds
the sources before it gives up its rights.
"""

import functools
import sys
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from sandbox.verdict import Unavailable

PYTHON = "/opt/python"
SITE = "/opt/site"
GUEST = "/opt/judge"


@dataclass(frozen=True, slots=True)
class Runtime:
    """Read-only binds (absolute source on the host, absolute place in the jail), symlinks, and how to start Python there."""

    binds: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]  # (target, place)
    masks: tuple[str, ...]  # folders of the binds that are shown empty
    python: str


def _interpreter() -> list[tuple[str, str]]:
    base = Path(sys.base_prefix)
    executable = Path(getattr(sys, "_base_executable", "") or sys.executable).resolve()
    binds = [(str(executable), f"{PYTHON}/bin/python3")]
    for name in {"stdlib", "platstdlib"}:
        library = Path(sysconfig.get_path(name, vars={"base": str(base), "platbase": str(base)}))
        pair = (str(library.resolve()), f"{PYTHON}/{library.relative_to(base)}")
        if pair not in binds:
            binds.append(pair)
    shared = Path(sysconfig.get_config_var("LIBDIR") or base / "lib")
    binds += [(str(so.resolve()), f"{PYTHON}/lib/{so.name}") for so in sorted(shared.glob("libpython3*.so*"))]
    return binds


def _system() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    binds, links = [("/usr/lib", "/usr/lib")], []
    for name in ("lib", "lib64", "lib32"):
        if Path("/usr", name).is_dir() and name != "lib":
            binds.append((f"/usr/{name}", f"/usr/{name}"))
        root = Path("/", name)
        if root.is_symlink():
            links.append((str(root.readlink()), f"/{name}"))
        elif root.is_dir():
            binds.append((f"/{name}", f"/{name}"))
    if Path("/etc/ld.so.cache").is_file():
        binds.append(("/etc/ld.so.cache", "/etc/ld.so.cache"))
    return binds, links


@functools.lru_cache(maxsize=8)
def closure(names: tuple[str, ...]) -> tuple[str, ...]:
    """The distributions and, transitively, what they require on this platform.

    Raises:
        Unavailable: one of `names` is not installed.
    """
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        key = name.lower().replace("_", "-")
        if key in found:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            if name in names:
                raise Unavailable(f"the jail needs the Python package {name}, which is not installed: pip install {name}") from None
            continue  # a requirement for another platform
        found[key] = None
        for requirement in distribution.requires or []:
            bare, _, marker = requirement.partition(";")
            if "extra" not in marker:
                waiting.append(_project(bare))
    return tuple(found)


def _project(requirement: str) -> str:
    for index, character in enumerate(requirement):
        if not (character.isalnum() or character in "-_."):
            return requirement[:index]
    return requirement


def _packages(names: tuple[str, ...]) -> list[tuple[str, str]]:
    binds: dict[str, str] = {}
    for name in closure(names):
        distribution = metadata.distribution(name)
        for file in distribution.files or []:
            top = file.parts[0]
            if top in ("..", "__pycache__") or top.endswith((".dist-info", ".pth", ".egg-info")):
                continue
            source = Path(str(distribution.locate_file(top))).resolve()
            if source.exists():
                binds[f"{SITE}/{top}"] = str(source)
    return [(source, place) for place, source in sorted(binds.items())]


@functools.lru_cache(maxsize=8)
def describe(packages: tuple[str, ...]) -> Runtime:
    """The runtime of a jail that may import `packages`.

    Raises:
        Unavailable: a package is missing here.
    """
    system, links = _system()
    guest = Path(__file__).with_name("guest").resolve()
    binds = [*system, *_interpreter(), *_packages(packages), (str(guest), f"{GUEST}/guest")]
    masks = [f"{place}/site-packages" for source, place in binds if Path(source, "site-packages").is_dir() and place.startswith(PYTHON)]
    return Runtime(tuple(binds), tuple(links), tuple(dict.fromkeys(masks)), f"{PYTHON}/bin/python3")
