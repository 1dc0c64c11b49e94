"""What starts a program on a SandboxFusion server: it is sent as text, with a call of `main`.

The program runs in the same process, so all that is printed may be forged: no more comes of that
than of a wrong value, because nothing here knows what is expected.
"""

import json
import os
import resource
import sys
import types


def main(sources: "dict[str, str]", text: str) -> None:
    """Run a program once, as the sandbox of this machine does.

    Args:
        sources: of the modules `values` and `child`.
        text: the task, as JSON.
    """
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Hash seed and text encoding are fixed when an interpreter starts.
        fixed = {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        command = [sys.executable, "-X", "utf8", sys.argv[0]]
        os.execve(sys.executable, command, {**os.environ, **fixed})  # noqa: S606 - this interpreter
    task = json.loads(text)
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    package = "trainer.feedback.sandbox"
    for name in ("trainer", "trainer.feedback", package, f"{package}.types"):
        sys.modules[name] = types.ModuleType(name)
    # The server's Python may be older than ours: of the types only the names are needed there.
    for name in ("Program", "Input"):
        setattr(sys.modules[f"{package}.types"], name, types.SimpleNamespace)
    for name in ("values", "child"):
        module = types.ModuleType(f"{package}.{name}")
        sys.modules[module.__name__] = module
        setattr(sys.modules[package], name, module)
        exec(sources[name], module.__dict__)  # noqa: S102 - these are our own modules
    child = sys.modules[f"{package}.child"]
    limit_resources(task["limits"])
    program = types.SimpleNamespace(**task["program"])
    child.run(program, types.SimpleNamespace(**task["given"]), child.Teller(1, task["nonce"]))


def limit_resources(limits: "dict[str, float]") -> None:
    """Limit this process; the server's own limits may be wider or absent."""
    for which, value in (
        (resource.RLIMIT_CPU, -(-limits["cpu_seconds"] // 1)),
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_FSIZE, limits["file_bytes"]),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(which)[1]
        soft = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
        # Where both are the same, the kernel kills at once, and nobody learns the reason.
        spare = int(which == resource.RLIMIT_CPU)
        above = soft + spare if hard == resource.RLIM_INFINITY else min(soft + spare, hard)
        resource.setrlimit(which, (soft, above))
