"""The `container` driver: the same guest under gVisor's `runsc`, started through Docker; frames on stdin and stdout, text on stderr.

The image (ROOFLINE_JAIL_IMAGE) holds Python, the packages of the spec and `sandbox/guest`; it must hold nothing else of ours.
"""

import os
import shutil
from collections.abc import Sequence

from sandbox.bwrap import guest_arguments
from sandbox.spec import JailSpec
from sandbox.verdict import Unavailable

USER = 60_000
COMMAND = "import sys; sys.dont_write_bytecode = True; sys.path.append('/opt/judge'); from guest import zygote; zygote.main(sys.argv[1:])"


def program() -> str:
    """The path of Docker's client.

    Raises:
        Unavailable: it is not installed.
    """
    found = shutil.which("docker")
    if not found:
        raise Unavailable("docker is not installed; the container driver needs it and gVisor: apt-get install docker.io runsc, then runsc install")
    return found


def image() -> str:
    """The image's name.

    Raises:
        Unavailable: none is set.
    """
    name = os.environ.get("ROOFLINE_JAIL_IMAGE", "")
    if not name:
        raise Unavailable("set ROOFLINE_JAIL_IMAGE to the image that holds Python, torch and sandbox/guest")
    return name


def arguments(spec: JailSpec, image: str, name: str) -> list[str]:
    """The whole command of one container.

    Raises:
        ValueError: the spec wants device nodes, which this driver hands out by `--gpus` only.
    """
    gpus: Sequence[str] = ()
    if spec.devices:
        indices = [node.removeprefix("/dev/nvidia") for node in spec.devices if node.removeprefix("/dev/nvidia").isdigit()]
        if not indices:
            raise ValueError(f"no GPU among the devices {spec.devices}")
        gpus = ("--gpus", "device=" + ",".join(indices))
    return [
        "docker", "run", "--rm", "--interactive", "--init", "--name", name, "--runtime=runsc", "--pull=never",
        "--network=none", "--ipc=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges",
        f"--user={USER}:{USER}", f"--memory={spec.memory_mb}m", f"--memory-swap={spec.memory_mb}m",
        f"--pids-limit={spec.processes + 8}", f"--cpus={spec.threads}", "--ulimit=core=0",
        f"--ulimit=nofile={spec.open_files}", f"--tmpfs=/tmp:rw,noexec,nosuid,nodev,size={spec.scratch_mb}m,mode=1777",
        "--workdir=/tmp", "--log-driver=none", f"--env=OMP_NUM_THREADS={spec.threads}", "--env=TMPDIR=/tmp", *gpus,
        "--entrypoint=python3", image, "-I", "-c", COMMAND, *guest_arguments(spec, contained=True), "stream=stdio",
    ]  # fmt: skip
