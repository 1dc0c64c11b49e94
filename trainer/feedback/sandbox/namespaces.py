"""Linux namespaces, privileges and system call filters of one run, through ctypes.

The zygote forks each run with `fork_isolated`; the new process then calls `enter` and can never
get anything back. Python 3.11 has no `os.unshare`, and `clone` starts a process in new namespaces
with one fork instead of two.

This module imports only the standard library.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
from functools import cache

from trainer.feedback.sandbox.types import Limits

_NEW_NAMESPACES = 0x10000000 | 0x20000000 | 0x08000000 | 0x00020000  # user, pid, ipc, mount
_ALL_NAMESPACES = 0x7E020080
_SIGCHLD = 17
_MS_NOSUID, _MS_NODEV = 2, 4
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_SECUREBITS, _PR_SET_NO_NEW_PRIVS = (
    1,
    4,
    22,
    28,
    38,
)
# No user has capabilities for being root, none are kept or raised, and all that is locked.
_SECURE_BITS = 0xEF
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97
_USER = 1000
"""The user and group that a run believes to be."""
HOME = "/tmp"  # noqa: S108 - of a run alone
INODES = 1024
STACK_BYTES = 64 << 20

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = ctypes.PyDLL(None, use_errno=True).syscall  # keeps the interpreter's lock over the fork
_syscall.restype = ctypes.c_long


def prepare() -> None:
    """Build once what every run needs."""
    _filter()


def become(user: int) -> None:
    """Turn into another user for good, without any capability."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    _drop_capabilities()
    # After such a change a process may not even write the map of its own user namespace.
    _call("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0)


def _drop_capabilities() -> None:
    _call("capset", struct.pack("Ii", 0x20080522, 0), bytes(24))


def die_with_parent() -> None:
    """Be killed when the thread that started this process ends."""
    _call("prctl", _PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def fork_isolated() -> int:
    """Fork into new user, pid, ipc and mount namespaces, of which the child is the init.

    Unlike `os.fork` it runs no hooks: they repair what other threads may have held, but this
    process has one thread, and they take a third of the time of a fork.
    """
    number = 56 if platform.machine() == "x86_64" else 220
    pid = int(_syscall(number, ctypes.c_ulong(_NEW_NAMESPACES | _SIGCHLD), 0, 0, 0, 0))
    if pid < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "clone")
    return pid


def enter(root: str, user: int, group: int, limits: Limits) -> None:
    """Shut the calling process in: its own tmpfs in `root`, no privileges, no way to new ones.

    Args:
        root: the folder that becomes `/`; its `tmp` becomes the only place to write.
        user, group: ids of the zygote, which the new user namespace maps.
    """
    os.setsid()  # or a signal to its process group would reach the zygote
    for name, text in (
        ("uid_map", f"{_USER} {user} 1"),
        ("setgroups", "deny"),
        ("gid_map", f"{_USER} {group} 1"),
        # If the machine has no memory left, a run ends, and never the zygote.
        ("oom_score_adj", "1000"),
    ):
        descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(descriptor, text.encode())
        os.close(descriptor)
    options = f"size={limits.file_bytes},nr_inodes={INODES},mode=700,uid={_USER},gid={_USER}"
    _call(
        "mount",
        b"tmpfs",
        f"{root}{HOME}".encode(),
        b"tmpfs",
        ctypes.c_ulong(_MS_NOSUID | _MS_NODEV),
        options.encode(),
    )
    os.chroot(root)
    os.chdir(HOME)
    # With these two nothing that is executed gains a capability, whatever the bounding set holds.
    # To empty that takes a call for each capability, 0.4 ms of a run of 3.
    _call("prctl", _PR_SET_SECUREBITS, _SECURE_BITS, 0, 0, 0)
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _drop_capabilities()
    program = _filter()
    _call("prctl", _PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0)


def set_limits(limits: Limits, cpu_seconds: int) -> None:
    """Resource limits of the calling process and of all that it starts."""
    for which, most in (
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NPROC, limits.processes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_STACK, STACK_BYTES),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_SIGPENDING, 256),
    ):
        _, hard = resource.getrlimit(which)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (most, most))


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), name)


class _Program(ctypes.Structure):
    """`struct sock_fprog`, with the buffer kept alive."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


# Names with their numbers on x86_64 and aarch64; from 424 on all architectures agree.
_DENIED = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "swapon": (167, 224),
    "quotactl": (179, 60),
    "acct": (163, 89),
    "sched_setaffinity": (203, 122),
    "syslog": (103, 116),
    "personality": (135, 92),
    "fanotify_init": (300, 262),
    # They write out the files of everybody, and whoever else writes has to wait.
    "sync": (162, 81),
    "syncfs": (306, 267),
    # The kernel counts these for the user, so a run could use up those of its neighbours.
    "inotify_init": (253, 26),
    "inotify_init1": (294, 26),
    "vmsplice": (278, 75),
    # Memory that no limit of a process counts.
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "pidfd_getfd": (438, 438),
    **{f"from {number}": (number, number) for number in (425, 426, 427)},  # io_uring
    **{f"from {number}": (number, number) for number in (428, 429, 430, 431, 432, 433, 442)},
    "memfd_secret": (447, 447),
}
_SECCOMP_ALLOW, _SECCOMP_ERRNO, _SECCOMP_KILL = 0x7FFF0000, 0x00050000, 0x80000000


@cache
def _filter() -> _Program:
    """The system calls that are refused: what makes namespaces, mounts, traces or hides memory."""
    arm = platform.machine() != "x86_64"
    architecture = 0xC00000B7 if arm else 0xC000003E
    clone, clone3, socket = (220 if arm else 56), 435, (198 if arm else 41)
    prlimit = 261 if arm else 302
    load, equal, above, masked, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    lines: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4),
        (equal, 1, 0, architecture),
        (answer, 0, 0, _SECCOMP_KILL),
        (load, 0, 0, 0),
        # The x32 calls of x86_64 would be a second set of numbers.
        (above, 0, 1, 0x40000000),
        (answer, 0, 0, _SECCOMP_ERRNO | _ENOSYS),
    ]
    for numbers in _DENIED.values():
        lines += [(equal, 0, 1, numbers[arm]), (answer, 0, 0, _SECCOMP_ERRNO | _EPERM)]
    lines += [
        # A filter cannot read what clone3 points to; without it the C library uses clone.
        (equal, 0, 1, clone3),
        (answer, 0, 0, _SECCOMP_ERRNO | _ENOSYS),
        (equal, 0, 4, clone),
        (load, 0, 0, 16),
        (masked, 0, 1, _ALL_NAMESPACES),
        (answer, 0, 0, _SECCOMP_ERRNO | _EPERM),
        (answer, 0, 0, _SECCOMP_ALLOW),
        # Limits of the init are not the program's to set.
        (equal, 0, 4, prlimit),
        (load, 0, 0, 16),
        (equal, 1, 0, 0),
        (answer, 0, 0, _SECCOMP_ERRNO | _EPERM),
        (answer, 0, 0, _SECCOMP_ALLOW),
        (equal, 0, 6, socket),
        (load, 0, 0, 16),
        *((equal, 2 - i, 0, family) for i, family in enumerate((1, 2))),
        (equal, 0, 1, 10),
        (answer, 0, 0, _SECCOMP_ALLOW),
        (answer, 0, 0, _SECCOMP_ERRNO | _EAFNOSUPPORT),
        (answer, 0, 0, _SECCOMP_ALLOW),
    ]
    code = b"".join(struct.pack("HBBI", *line) for line in lines)
    return _Program(len(lines), code)
