"""One bubblewrap with a zygote in it, as the parent sees it."""

import json
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path

from trainer.feedback.sandbox import namespaces, zygote
from trainer.feedback.sandbox.supervise import PATIENCE
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Status
from trainer.pipeline.stage import StageError

GRACE_SECONDS = 30.0
"""How much longer than its wall limit a run may take until its worker counts as dead."""
START_SECONDS = 60.0
USER, OTHER_USER, NOBODY = 1000, 1001, 65534
_MODULES = ("child", "namespaces", "supervise", "types", "values", "zygote")
_SYSTEM = (
    "/usr/bin",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
)
_TOP = ("/bin", "/lib", "/lib32", "/lib64")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_BOOT = (
    "import sys; sys.path.insert(0, '/worker'); "
    "from trainer.feedback.sandbox import zygote; zygote.main()"
)
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": namespaces.HOME,
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
}


class WorkerDied(Exception):
    """A worker ended, or answers no more."""


class Worker:
    """One bubblewrap with a zygote in it.

    Args:
        core: the only core that its runs may use; None for any.

    Raises:
        StageError: the walls cannot be built here.
    """

    def __init__(self, core: int | None = None) -> None:
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise StageError(_NO_BWRAP)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        mapped = _may_map_users()
        info_read, info = os.pipe()
        go, go_write = os.pipe()
        self._process = subprocess.Popen(
            command(bwrap, core, (info, go) if mapped else ()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=ENVIRONMENT | _loader_paths(),
            bufsize=0,
            pass_fds=(info, go) if mapped else (),
        )
        os.close(info)
        os.close(go)
        try:
            if mapped:
                _map_users(info_read)
        except OSError as error:
            self.close()
            raise StageError(
                _NO_WALLS.format(said=f"its users cannot be mapped: {error}")
            ) from None
        finally:
            os.close(info_read)
            os.close(go_write)
        try:
            ready = self._read(len(zygote.READY), START_SECONDS)
        except WorkerDied:
            self._errors.seek(0)
            said = self._errors.read().decode("utf-8", "replace").strip()[-500:]
            self.close()
            raise StageError(_NO_WALLS.format(said=said or "it ended without a word")) from None
        assert ready == zygote.READY

    def run(self, program: Program, inputs: list[Input], limits: Limits) -> Iterator[Outcome]:
        """Outcomes as they come.

        Raises:
            WorkerDied: some are missing.
        """
        task = {
            "program": asdict(program),
            "inputs": [asdict(given) for given in inputs],
            "limits": asdict(limits),
        }
        frame = json.dumps(task).encode()
        stdin = self._process.stdin
        assert stdin is not None
        try:
            data = memoryview(struct.pack("<I", len(frame)) + frame)
            while data:
                data = data[stdin.write(data) :]
        except OSError as error:
            raise WorkerDied(f"a worker of the sandbox took no request: {error}") from None
        patience = limits.wall_seconds * (1 + PATIENCE) + GRACE_SECONDS
        for _ in inputs:
            (size,) = struct.unpack("<I", self._read(4, patience))
            reply = json.loads(self._read(size, GRACE_SECONDS))
            yield Outcome(**{**reply, "status": Status(reply["status"])})

    def _read(self, size: int, seconds: float) -> bytes:
        stdout = self._process.stdout
        assert stdout is not None
        deadline = time.monotonic() + seconds
        parts = bytearray()
        while len(parts) < size:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([stdout], [], [], left)[0]:
                raise WorkerDied("a worker of the sandbox answers no more")
            piece = stdout.read(size - len(parts))
            if not piece:
                raise WorkerDied("a worker of the sandbox has died")
            parts += piece
        return bytes(parts)

    def close(self) -> None:
        """End it with everything in it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._errors.close()


def _may_map_users() -> bool:
    """Whether this process is root, with the capabilities that a mapping of two users needs.

    Limits of processes do not bind root, so its runs become another user.
    """
    if os.geteuid() != 0:
        return False
    status = Path("/proc/self/status").read_text()
    effective = int(status.partition("CapEff:")[2].split(maxsplit=1)[0], 16)
    users = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    known = any(int(first) <= NOBODY < int(first) + int(count) for first, _, count in users)
    # setgid, setuid and setfcap
    return known and all(effective >> capability & 1 for capability in (6, 7, 31))


def _map_users(info: int) -> None:
    """Give bubblewrap's user namespace root, who mounts, and nobody, who runs programs."""
    told = bytearray()
    while piece := os.read(info, 4096):
        told += piece
        if told.rstrip().endswith(b"}"):
            break
    if not told:
        return  # it has died, and its standard error says why
    child = int(json.loads(told)["child-pid"])
    try:
        for name in ("uid_map", "gid_map"):
            users = f"{USER} 0 1\n{OTHER_USER} {NOBODY} 1\n"
            Path(f"/proc/{child}/{name}").write_text(users)
    except OSError:
        os.kill(child, signal.SIGKILL)  # it waits for its users, and not yet for its parent
        raise


def command(bwrap: str, core: int | None, mapping: tuple[int, ...]) -> list[str]:
    """The command line of a worker.

    Args:
        bwrap: path of bubblewrap.
        mapping: where bubblewrap tells of its process, and waits until its users are mapped;
            empty if nothing is to be mapped.

    Its root holds the zygote with its `/proc`. Runs see only `/jail` of it: system folders, the
    interpreter without installed packages, and a few devices.
    """
    line = [bwrap, "--unshare-all", "--unshare-user", "--cap-drop", "ALL"]
    line += ["--new-session", "--die-with-parent"]
    line += ["--uid", str(USER), "--gid", str(USER), "--hostname", "sandbox"]
    line += ["--proc", "/proc"] if _may_mount_proc(bwrap) else ["--bind", "/proc", "/proc"]
    made: set[Path] = set()
    for option, source, target in [*_mounts(""), *_mounts(zygote.ROOT), *_modules()]:
        for parent in reversed(Path(target).parents[:-1]):
            if parent not in made:  # bubblewrap would make it readable by its own user alone
                line += ["--dir", str(parent)]
                made.add(parent)
        line += [option, source, target]
    for packages in _packages():
        for folder in (packages, zygote.ROOT + packages):
            line += ["--tmpfs", folder, "--remount-ro", folder]
    for device in _DEVICES:
        # A device can still be written to, but nobody may change its owner, mode or times.
        line += ["--remount-ro", zygote.ROOT + device]
    # What usually lies in `/proc` and in a tmpfs of its own: queues and pools need the second.
    for name, target in (("stdin", zygote.STDIN), ("shm", namespaces.HOME)):
        line += ["--symlink", target, f"{zygote.ROOT}/dev/{name}"]
    line += ["--dir", zygote.ROOT + namespaces.HOME, "--chdir", "/", "--remount-ro", "/"]
    user = USER
    if mapping:
        line += ["--info-fd", str(mapping[0]), "--userns-block-fd", str(mapping[1])]
        line += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        user = OTHER_USER
    python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    # Not `-I`, which would ignore the hash seed, too.
    return [*line, python, "-P", "-s", "-S", "-B", "-c", _BOOT, str(user), str(core)]


@cache
def _may_mount_proc(bwrap: str) -> bool:
    """Whether the kernel permits a new `/proc`.

    It does not in a container that hides parts of its own. There the zygote gets the container's,
    which no run sees either.
    """
    line = [bwrap, "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc"]
    return subprocess.run([*line, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


def _mounts(root: str) -> Iterator[tuple[str, str, str]]:
    """Option, source and target of each system folder and device."""
    prefix = Path(sys.base_prefix)
    interpreter = (str(prefix / part) for part in ("bin", "lib", "lib64"))
    for folder in dict.fromkeys([*_SYSTEM, *interpreter]):
        yield "--ro-bind-try", folder, root + folder
    for top in map(Path, _TOP):
        if top.is_symlink():
            yield "--symlink", str(top.readlink()), f"{root}{top}"
        else:
            yield "--ro-bind-try", str(top), f"{root}{top}"
    for device in _DEVICES:
        yield "--dev-bind", device, root + device


def _modules() -> Iterator[tuple[str, str, str]]:
    """What the zygote imports of this package."""
    for module in _MODULES:
        source = Path(__file__).with_name(f"{module}.py")
        yield "--ro-bind", str(source), f"/worker/trainer/feedback/sandbox/{module}.py"


def _packages() -> list[str]:
    """Folders of installed packages: one of them may hold the solutions of a benchmark."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    base = {"base": sys.base_prefix, "platbase": sys.base_exec_prefix}
    scheme = sysconfig.get_paths("posix_prefix", vars=base)
    found = [scheme["purelib"], scheme["platlib"], "/usr/lib/python3/dist-packages"]
    found += [f"/usr/lib/{version}/site-packages"]
    return [name for name in dict.fromkeys(found) if Path(name).is_dir()]


def _loader_paths() -> dict[str, str]:
    """What a relocated interpreter may need to find its own library."""
    name = "LD_LIBRARY_PATH"
    return {name: os.environ[name]} if name in os.environ else {}


_NO_BWRAP = (
    "Programs run only behind walls, and bubblewrap is not installed here: "
    "`apt-get install bubblewrap` (or dnf, apk, pacman). SandboxFusion can be used instead "
    "(isolation: sandbox_fusion). docs/feedback.md, section Sandbox, tells more."
)
_NO_WALLS = (
    "Programs run only behind walls, and bubblewrap cannot build them here: {said}. "
    "It needs unprivileged user namespaces: `sysctl kernel.unprivileged_userns_clone=1` on Debian, "
    "`sysctl kernel.apparmor_restrict_unprivileged_userns=0` on Ubuntu 24.04 and later, and in a "
    "container a security context that permits them. docs/feedback.md, section Sandbox, tells more."
)
