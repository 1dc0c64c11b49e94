"""Makes an API key and its line for the key file: `python -m service.keys new NAME >> FILE`."""

import argparse
import secrets
import sys

from service.auth.key_file import NAME, digest_of

# Secret scanners recognize a key by its prefix.
_PREFIX = "rmk-"


def new_key() -> str:
    return _PREFIX + secrets.token_urlsafe(32)


def main(arguments: list[str]) -> None:
    """Print the line for the key file on standard output, and the key, once, on standard error."""
    parser = argparse.ArgumentParser("python -m service.keys", description=main.__doc__)
    commands = parser.add_subparsers(required=True, metavar="new")
    new = commands.add_parser("new", help="make a key and the line for --api-keys-file")
    new.add_argument(
        "name", help="name of the person or program that will use it; logs and metrics show it"
    )
    name = parser.parse_args(arguments).name
    if not NAME.fullmatch(name):
        parser.error(
            "a name is up to 64 letters, digits and ._-, and begins with a letter or digit"
        )
    key = new_key()
    print(f"the key, shown this once: {key}", file=sys.stderr)
    print(f"{name} sha256:{digest_of(key).hex()}")


if __name__ == "__main__":
    main(sys.argv[1:])
