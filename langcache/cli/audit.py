"""``langcache audit verify``: whether the lines of chained audit files are as they were written, and all there."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..audit import Chain, Verification, verify
from ..errors import ConfigurationError
from ..secret import Secret

if TYPE_CHECKING:
    from .connection import Commands

_DESCRIPTION = """\
Read audit files that were written with a chain, and tell which lines are altered, missing, reordered or no records.
Several files are one chain: give the oldest first. The exit status is 0 where all is as it was written, 1 where it is
not, and 2 where that cannot be told. That records were cut off at the end is only seen where it is known from elsewhere
what the end was: give that with --expect-last or --expect-records."""

_HASH = re.compile("[0-9a-f]{64}")
_WHOLE, _NOT_WHOLE, _UNKNOWN = 0, 1, 2


def add_to(commands: Commands) -> None:
    """Add this command to the parser's `commands`."""
    parser = commands.add_parser("audit", help="verify audit files", description="Work with audit files.")
    parts = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    check = parts.add_parser(
        "verify", help="tell whether audit files are as they were written", description=_DESCRIPTION
    )
    check.add_argument("files", nargs="+", metavar="FILE", help="an audit file; of several, the oldest first")
    check.add_argument("--key-env", metavar="NAME", help="the environment variable that holds the chain's key")
    check.add_argument(
        "--after", metavar="HASH", type=_hash, help="the files continue older ones, whose last record has this hash"
    )
    check.add_argument("--expect-last", metavar="HASH", type=_hash, help="the hash that the last record must have")
    check.add_argument("--expect-records", metavar="COUNT", type=int, help="how many records there must be")
    check.add_argument("--json", action="store_true", help="tell it in JSON")
    check.set_defaults(run=_run)


def _hash(text: str) -> str:
    if not _HASH.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no hash, which has 64 hexadecimal digits, in lower case")
    return text


def _run(chosen: argparse.Namespace) -> int:
    try:
        found = verify(
            chosen.files,
            _chain(chosen.key_env),
            after=chosen.after,
            expect_last=chosen.expect_last,
            expect_records=chosen.expect_records,
        )
    except (ConfigurationError, OSError) as error:
        print(f"langcache audit verify: {error}", file=sys.stderr)
        return _UNKNOWN
    if chosen.json:
        print(json.dumps({"whole": found.is_whole, **asdict(found)}))
    else:
        _show(found, keyed=chosen.key_env is not None)
    return _WHOLE if found.is_whole else _NOT_WHOLE


def _chain(key_env: str | None) -> Chain:
    if key_env is None:
        return Chain()
    key = os.environ.get(key_env)
    if not key:
        raise ConfigurationError(f"the environment variable {key_env!r}, which --key-env names, holds no key")
    return Chain(Secret(key))


def _show(found: Verification, keyed: bool) -> None:
    for finding in found.findings:
        print(f"{finding.file}:{finding.line}: {finding.problem}: {finding.text}")
    more = found.problems - len(found.findings)
    if more:
        print(f"... and {more} more")
    if found.records and found.problems >= found.records and all(f.problem == "altered" for f in found.findings):
        other = "Is it the key that they were written with?" if keyed else "Were they written with a key (--key-env)?"
        print(f"No record is as it was written. {other}")
    end = "" if found.last is None else f", the last is number {found.last.seq} with the hash {found.last.hash}"
    print(f"{'Whole' if found.is_whole else 'Not whole'}: {found.records} records{end}")
