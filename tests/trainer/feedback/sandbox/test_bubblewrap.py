import os
import select
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Thread

import psutil
import pytest

from tests.bubblewrap import needs_bubblewrap
from trainer.feedback.sandbox.bubblewrap import BubblewrapSandbox
from trainer.feedback.sandbox.open import SandboxConfig, open_sandbox
from trainer.feedback.sandbox.types import Input, Limits, Outcome, Program, Status
from trainer.feedback.sandbox.values import decode
from trainer.pipeline.stage import StageError

pytestmark = needs_bubblewrap
QUICK = Limits(cpu_seconds=0.3, wall_seconds=10.0, memory_bytes=256 << 20, output_bytes=10_000)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[BubblewrapSandbox]:
    with BubblewrapSandbox(2) as opened:
        yield opened


def script(
    sandbox: BubblewrapSandbox, code: str, stdin: str = "", limits: Limits = QUICK
) -> Outcome:
    (outcome,) = sandbox.run(Program(code), [Input(stdin=stdin)], limits)
    return outcome


def test_each_input_has_a_fresh_process(sandbox: BubblewrapSandbox) -> None:
    program = Program("seen = []\ndef f(x):\n    seen.append(x)\n    return seen", entry_point="f")
    inputs = [Input(arguments=f"({n},)") for n in range(5)]
    outcomes = sandbox.run(program, inputs, QUICK)
    assert [decode(outcome.value) for outcome in outcomes] == [[n] for n in range(5)]


def test_threads_share_the_workers(sandbox: BubblewrapSandbox) -> None:
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda n: script(sandbox, f"print({n})"), range(40)))
    assert [outcome.stdout for outcome in outcomes] == [f"{n}\n" for n in range(40)]


def test_workers_outlive_the_thread_that_opens_the_sandbox() -> None:
    opened: list[BubblewrapSandbox] = []
    thread = Thread(target=lambda: opened.append(BubblewrapSandbox(1)))
    thread.start()
    thread.join()
    with opened[0] as sandbox:
        assert script(sandbox, "print(1)").stdout == "1\n"


def test_a_worker_that_dies_is_replaced_and_its_run_repeated(sandbox: BubblewrapSandbox) -> None:
    # Other descendants, such as multiprocessing's resource tracker, belong to other tests.
    workers = [each for each in psutil.Process().children() if each.name() == "bwrap"]
    assert workers
    for worker in workers:
        for process in (worker, *worker.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # each of them takes those below along
                process.kill()
    assert [script(sandbox, "print(1)").status for _ in range(3)] == [Status.OK] * 3


def test_no_text_of_an_input_hurts_the_worker(sandbox: BubblewrapSandbox) -> None:
    program = Program("print(ascii(input()))")
    outcomes = sandbox.run(program, [Input(stdin="\ud800"), Input(stdin="\udcff\0é")], QUICK)
    assert [outcome.status for outcome in outcomes] == [Status.OK] * 2


def test_a_run_that_is_interrupted_leaves_no_outcome_to_the_next() -> None:
    """An interrupt between two answers, as by Ctrl-C."""
    with BubblewrapSandbox(1) as sandbox:
        previous = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        slow = Program("import time; time.sleep(1); print('stale')")
        with pytest.raises(KeyboardInterrupt):
            sandbox.run(slow, [Input()] * 3, QUICK)
        signal.signal(signal.SIGALRM, previous)
        assert script(sandbox, "print('fresh')").stdout == "fresh\n"


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("while True: pass", Status.TIMEOUT),
        ("x = [0] * 10**9", Status.MEMORY),
        ("while True: print('x' * 1000)", Status.OUTPUT_LIMIT),
        ("def (", Status.COMPILE),
        ("(" * 10_000, Status.COMPILE),
        ("a = '\0'", Status.COMPILE),
        ("1 / 0", Status.EXCEPTION),
        ("raise SystemExit(3)", Status.EXCEPTION),
        ("import os; os._exit(2)", Status.EXCEPTION),
        ("import os; os.abort()", Status.EXCEPTION),
        ("import sys; sys.exit(0)", Status.OK),
        ("import sys; sys.stdout.buffer.write(b'a'); sys.stdin.buffer.read()", Status.OK),
    ],
)
def test_how_a_script_ends(sandbox: BubblewrapSandbox, code: str, status: Status) -> None:
    assert script(sandbox, code).status is status


def test_a_sleeping_program_meets_the_wall_limit(sandbox: BubblewrapSandbox) -> None:
    outcome = script(sandbox, "import time; time.sleep(60)", limits=Limits(wall_seconds=0.3))
    assert (outcome.status, outcome.error) == (Status.TIMEOUT, "limit: wall")
    assert outcome.cpu_seconds < 0.2


def test_all_processes_count_together(sandbox: BubblewrapSandbox) -> None:
    code = "import os\nfor _ in range(3): os.fork()\nwhile True: pass"
    outcome = script(sandbox, code)
    assert outcome.status is Status.TIMEOUT
    assert outcome.cpu_seconds > QUICK.cpu_seconds


def test_the_second_outcome_counts_where_the_load_may_have_decided(
    sandbox: BubblewrapSandbox,
) -> None:
    """It would take 90 % of the limit, so it runs twice, the second time with no neighbour."""
    code = "import time\nwhile time.process_time() < 0.9 * 0.3: pass\nprint('done')"
    with ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(lambda _: script(sandbox, code), range(2)))
    assert {outcome.stdout for outcome in outcomes} == {"done\n"}


def test_what_a_run_sees_is_a_few_folders_and_nobody(sandbox: BubblewrapSandbox) -> None:
    code = """
import os
print(sorted(os.listdir("/tmp")), os.getcwd(), os.getpid(), sorted(os.listdir("/dev")))
print(os.path.exists("/proc/self"), os.path.exists("/work"), os.path.exists("/worker"))
print([n for n in range(100) if os.path.exists(f"/dev/fd/{n}")], sorted(os.environ))
alive = []
for n in range(100):
    try:
        os.fstat(n)
        alive.append(n)
    except OSError: pass
print(alive)
"""
    lines = script(sandbox, code).stdout.splitlines()
    assert lines[0] == "[] /tmp 1 ['null', 'random', 'shm', 'stdin', 'urandom', 'zero']"
    assert lines[1] == "False False False"
    assert lines[2] == "[] ['HOME', 'LC_ALL', 'PATH', 'PYTHONHASHSEED', 'TZ']"
    assert lines[3] == "[0, 1, 2, 3]"


def test_no_privilege_can_be_had(sandbox: BubblewrapSandbox) -> None:
    code = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for name, *arguments in [
    ("unshare", 0x10000000), ("mount", b"a", b"/tmp", b"tmpfs", 0, 0), ("chroot", b"/tmp"),
    ("ptrace", 0, 0, 0, 0), ("setns", 0, 0), ("setuid", 0), ("syscall", 425, 8, 0),
    ("syscall", 319, b"m", 0), ("socket", 40, 1, 0), ("socket", 16, 3, 0),
]:
    print(name, getattr(libc, name)(*arguments), end=" ")
"""
    outcome = script(sandbox, code)
    assert set(outcome.stdout.split()[1::2]) == {"-1"}, outcome


def test_a_signal_to_the_own_group_reaches_nobody_else(sandbox: BubblewrapSandbox) -> None:
    code = "import os\nfor target in (0, -1):\n try: os.kill(target, 9)\n except OSError: pass"
    before = descendants(os.getpid())
    script(sandbox, code)
    assert descendants(os.getpid()) == before


def test_nothing_stays_behind(sandbox: BubblewrapSandbox) -> None:
    before = descendants(os.getpid())
    code = "import os, time\nopen('left', 'w').write('x')\nif os.fork() == 0:\n time.sleep(60)"
    assert script(sandbox, code).status is Status.OK
    assert script(sandbox, "import os; print(os.listdir())").stdout == "[]\n"
    assert descendants(os.getpid()) == before


def test_closing_ends_every_process() -> None:
    before = descendants(os.getpid())
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with BubblewrapSandbox(2):
        assert descendants(os.getpid()) > before
    assert descendants(os.getpid()) == before
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_a_killed_parent_leaves_no_process() -> None:
    code = (
        "import time; from trainer.feedback.sandbox.bubblewrap import *\n"
        "sandbox = BubblewrapSandbox(2); print('up', flush=True)\n"
        "sandbox.run(Program('import time; time.sleep(60)'), [Input()], Limits())"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "up\n"
    workers = descendants(parent.pid)
    watched = [os.pidfd_open(pid) for pid in workers]
    assert len(watched) >= 4
    parent.kill()
    parent.communicate()
    for descriptor in watched:
        ended, *_ = select.select([descriptor], [], [], 10.0)
        assert ended, "a process outlives its parent"
        os.close(descriptor)


def test_a_container_that_hides_parts_of_proc_can_have_a_sandbox() -> None:
    """There no `/proc` can be mounted, and only one user is known."""
    container = "bwrap --unshare-user --unshare-pid --cap-add ALL --ro-bind / / --bind /tmp /tmp"
    hidden = "--proc /proc --tmpfs /proc/acpi --dev-bind /dev /dev --die-with-parent"
    code = (
        "from trainer.feedback.sandbox.bubblewrap import *\n"
        "with BubblewrapSandbox(1) as sandbox:\n"
        "    print(sandbox.run(Program('while True: pass'), [Input()], Limits(0.2)))"
    )
    command = [*container.split(), *hidden.split(), sys.executable, "-c", code]
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert "error='limit: cpu'" in told.stdout, told.stderr[-2000:]


def test_without_bubblewrap_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StageError, match="apt-get install bubblewrap"):
        open_sandbox(SandboxConfig())
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2; exit 1\n")
    refusing.chmod(refusing.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(StageError, match=r"No permissions.*user namespaces"):
        open_sandbox(SandboxConfig())


def descendants(root: int) -> set[int]:
    """All processes below one."""
    parents: dict[int, int] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                fields = (process / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if fields[0] != "Z":
                parents[int(process.name)] = int(fields[1])
    found: set[int] = set()
    while more := {pid for pid, above in parents.items() if above in {root, *found}} - found:
        found |= more
    return found
