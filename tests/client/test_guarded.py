import subprocess
import sys

import psutil
import pytest

from codepmp_client.guarded import guarded

# A server that ignores SIGTERM, with a worker of its own.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(worker.pid, flush=True)
time.sleep(600)
"""


def test_a_process_that_ignores_its_end_is_killed_with_its_workers() -> None:
    command = [sys.executable, "-c", STUBBORN]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout
    worker = psutil.Process(int(process.stdout.readline()))
    with pytest.raises(KeyboardInterrupt), guarded(process, 0.1):
        raise KeyboardInterrupt
    assert process.returncode == -9
    _, alive = psutil.wait_procs([worker], timeout=10)
    assert not alive
