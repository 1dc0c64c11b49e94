"""Known vulnerabilities of the pinned packages: python -m scripts.audit CONSTRAINTS...

Fails when one is found. Where OSV, or what PIP_AUDIT_OSV_URL names in its place, cannot be reached
it says so and succeeds, because a check that needs the internet must not fail a build without it.
OSV and not PyPI, whose mirrors answer for no package, which pip-audit takes for no vulnerability.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NotRequired, TypedDict

_OUT_OF_REACH = ("requests.exceptions.", "ServiceError", "Could not connect")
"""What pip-audit writes, beside its exit code 1, when it is the service that failed."""


class Vulnerability(TypedDict):
    id: str
    fix_versions: list[str]


class Package(TypedDict):
    name: str
    version: NotRequired[str]
    vulns: NotRequired[list[Vulnerability]]
    skip_reason: NotRequired[str]


def audit(constraints: Path) -> bool:
    """Whether nothing is known against any of the packages, as far as can be told."""
    packages = ask_osv(constraints)
    if packages is None:
        print(
            f"{constraints.name}: NOT AUDITED, the vulnerability service OSV could not be asked. "
            "That is no finding, and no clean bill either."
        )
        return True
    return judge(constraints, packages)


def ask_osv(constraints: Path) -> list[Package] | None:
    """pip-audit's report; None if the service could not be reached."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        run = subprocess.run(
            [
                *(sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip"),
                *("--vulnerability-service", "osv", "--timeout", "10"),
                *("--progress-spinner", "off", "--cache-dir", folder),
                *("--format", "json", "--output", str(report), "-r", str(constraints)),
            ],
            capture_output=True,
            check=False,
            text=True,
        )
        if report.exists():
            packages: list[Package] = json.loads(report.read_text())["dependencies"]
            return packages
    if any(sign in run.stderr for sign in _OUT_OF_REACH):
        return None
    sys.exit(f"pip-audit failed:\n{run.stderr}")


def judge(constraints: Path, packages: list[Package]) -> bool:
    """Prints what was found, and what was left out."""
    found = [(package, each) for package in packages for each in package.get("vulns", [])]
    for package, each in found:
        fixed = ", ".join(each["fix_versions"]) or "no version yet"
        print(f"{package['name']} {package.get('version')}: {each['id']}, fixed in {fixed}")
    for package in packages:
        if "skip_reason" in package:
            print(f"{package['name']} was left out: {package['skip_reason']}")
    print(f"{constraints.name}: known vulnerabilities of {len(packages)} packages: {len(found)}")
    return not found


if __name__ == "__main__":
    verdicts = [audit(Path(name)) for name in sys.argv[1:]]
    sys.exit(not all(verdicts))
