"""Seconds from starting a container of the service until it is ready.

    python -m benchmarks.image_start [--image codepmp-service:cpu] [--starts 5]

As a cluster would run it: read-only, without capabilities, as nobody in particular. Apart from
`podman run`, that is from the image on disk: what pulling takes depends on the registry.
"""

import argparse
import json
import statistics
import subprocess

import httpx
from tqdm import tqdm

from benchmarks.harness.page import Page, add_output_options, verdict
from benchmarks.harness.processes import Launch, running

_MOST_SECONDS = 10.0
RESTRICTED = (
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--network=host",
)
"""As a restricted pod runs, on this host's ports."""
_ALONE = "--env=REWARD_HOST=127.0.0.1"
_BODY = {"inputs": [{"prompt": "add two numbers", "candidates": ["def add(a, b): ..."]}]}


def launch(image: str) -> Launch:
    """The port is an option of the service, which is the image's entry point."""
    return Launch(("podman", "run", "--rm", *RESTRICTED, _ALONE, image), ready="/readyz")


def start(image: str) -> float:
    """Seconds until it was ready; it is also asked for a score."""
    with running(launch(image)) as container:
        answer = httpx.post(f"{container.url}/v1/score", json=_BODY, timeout=60, trust_env=False)
        answer.raise_for_status()
        return container.ready_after


def size(image: str) -> float:
    """Gigabytes (10^9 bytes) on disk."""
    command = ["podman", "image", "inspect", image]
    (found,) = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return float(found["Size"]) / 1e9


def main() -> None:
    options = _options()
    page = Page("image-start", "From the image to a ready service")
    gigabytes = size(options.image)
    seconds = [start(options.image) for _ in tqdm(range(options.starts), desc="starts")]
    page.say(f"{options.image}, {gigabytes:.2f} GB, the release that is in it, on the CPU.")
    found = {"median": statistics.median(seconds), "slowest": max(seconds)}
    page.table(
        [f"{options.starts} starts, from `podman run` to ready", "measured", "limit", ""],
        [
            [name, f"{value:.2f} s", f"{_MOST_SECONDS:g} s", verdict(value <= _MOST_SECONDS)]
            for name, value in found.items()
        ],
    )
    page.facts |= {"seconds": seconds, "gigabytes": gigabytes}
    page.write(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.image_start", description=__doc__)
    parser.add_argument(
        "--image", default="codepmp-service:cpu", help="made by scripts/build-image"
    )
    parser.add_argument("--starts", type=int, default=5)
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
