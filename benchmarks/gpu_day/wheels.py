"""Collects the wheels that a bare machine lacks, for another Python and another system than ours.

    python -m benchmarks.gpu_day.wheels FOLDER [--with trl]

Versions are those of constraints.txt. No dependency is followed: what is not in the list below is
expected on the machine, whose torch and transformers must not be replaced.
"""

import argparse
import subprocess
import sys
from pathlib import Path

_CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"

# What service and trainer import beside torch, transformers, accelerate, peft and their needs.
PACKAGES = (
    *("fastapi", "starlette", "uvicorn", "pydantic", "pydantic_core", "pydantic-settings"),
    *("annotated-types", "typing-inspection", "python-dotenv", "fastapi-offline", "sniffio"),
    *("prometheus_client", "annotated-doc", "anyio", "h11", "idna", "click"),
    # Without these the parts that train are skipped.
    *("datasets", "dill", "multiprocess", "xxhash", "trl"),
    # Without these no recipe is trained.
    *("argcomplete", "Pebble", "tenacity", "httpx2", "httpcore2", "truststore", "openai", "jiter"),
    *("boolean.py", "license-expression", "datasketch", "tree-sitter"),
)

# pip takes a wheel's platform by its exact name.
_PLATFORMS = tuple(
    f"manylinux{name}_x86_64"
    for name in ("_2_28", "_2_27", "_2_24", "_2_17", "2014", "2010", "_2_12", "_2_5", "1")
)


def main() -> int:
    options = _options()
    lines = _CONSTRAINTS.read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    wanted = [f"{name}=={pins[name]}" for name in (*PACKAGES, *options.more)]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--implementation", "cp", "--python-version", options.python]
    for platform in _PLATFORMS:
        command += ["--platform", platform]
    command += ["--dest", str(options.folder), *wanted]
    code = subprocess.run(command, check=False).returncode
    size = sum(file.stat().st_size for file in options.folder.glob("*.whl"))
    print(f"{options.folder}: {size / 1e6:.1f} MB of wheels for Python {options.python}")
    return code


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_day.wheels",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="gets the wheels")
    parser.add_argument("--python", default="3.12", help="the machine's version")
    parser.add_argument(
        "--with", dest="more", nargs="+", default=[], metavar="NAME", help="further packages"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
