"""The process of a run without walls: it limits itself, then it becomes the program."""

import json
import math
import os
import sys

from trainer.feedback.sandbox import child, namespaces, supervise
from trainer.feedback.sandbox.types import Input, Limits, Program


def main() -> None:
    """Run what the file of the descriptor in the last argument asks for."""
    namespaces.die_with_parent()
    with os.fdopen(int(sys.argv[2])) as file:
        task = json.load(file)
    limits = Limits(**task["limits"])
    teller = child.Teller(os.dup2(task["told"], 3, inheritable=False), task["nonce"])
    os.closerange(4, 1 << 16)
    sys.argv[:] = [""]
    sys.path.pop(0)
    sys.set_int_max_str_digits(0)
    cpu_seconds = math.ceil(limits.cpu_seconds * supervise.LENIENCE) + 1
    namespaces.set_limits(limits, cpu_seconds)
    child.run(Program(**task["program"]), Input(**task["given"]), teller)
