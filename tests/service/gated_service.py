"""The service as a process whose engine says when it begins a batch, and waits for a line to go on.

Takes the flags of `python -m service`.
"""

import sys

from reward_model.packing import Sequence
from service.__main__ import serve
from service.settings import Settings
from tests.service.fakes import FakeEngine, model


class PipedEngine(FakeEngine):
    def score(self, batch: list[Sequence]) -> list[list[float]]:
        if batch:
            sys.stdout.write("batch\n")
            sys.stdout.flush()
            sys.stdin.readline()
        return super().score(batch)


if __name__ == "__main__":
    serve(Settings(_cli_parse_args=True), lambda _: model(PipedEngine()))
