"""``langcache audit verify``: whether the lines of chained audit files are as they were written, and all there."""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..audit import Chain, Verification, verify
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .connection import Commands

_DESCRIPTION = """\
Read audit files that were written with a chain, and tell which lines are altered, missing, reordered or no records.
Several files are one chain: those that were put aside are read in their order, others as they are given, the oldest
first. The exit status is 0 where all is as it was written, 1 where it is not, and 2 where that cannot be told. That
records were cut off at the end is seen where the head, .NAME.head, still stands beside the file; it is told where it
does not. Who may have set that back too is only found where the end is known from elsewhere: give it with --expect-last
or --expect-records."""

_HASH = re.compile("[0-9a-f]{64}")
_IDENTITY = re.compile("[0-9a-f]{32}")
_WHOLE, _NOT_WHOLE, _UNKNOWN = 0, 1, 2


def add_to(commands: Commands) -> None:
    """Add this command to the parser's `commands`."""
    parser = commands.add_parser("audit", help="verify audit files", description="Work with audit files.")
    parts = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    check = parts.add_parser(
        "verify", help="tell whether audit files are as they were written", description=_DESCRIPTION
    )
    check.add_argument("files", nargs="+", metavar="FILE", help="an audit file")
    key = check.add_mutually_exclusive_group()
    key.add_argument("--key-file", metavar="FILE", help="the file that holds the chain's key: all of its bytes")
    key.add_argument("--key-env", metavar="NAME", help="the environment variable that holds the chain's key")
    check.add_argument(
        "--key-format",
        choices=sorted(_DECODERS),
        help="how the key is written in the environment variable; text, its UTF-8 encoding, where nothing is said",
    )
    check.add_argument(
        "--after", metavar="HASH", type=_hash, help="the files continue older ones, whose last record has this hash"
    )
    check.add_argument("--expect-last", metavar="HASH", type=_hash, help="the hash that the last record must have")
    check.add_argument("--expect-records", metavar="COUNT", type=_count, help="how many records there must be")
    check.add_argument("--expect-chain", metavar="ID", type=_identity, help="the id that the chain must have")
    check.add_argument("--json", action="store_true", help="tell it in JSON")
    check.set_defaults(run=_run)


def _hash(text: str) -> str:
    if not _HASH.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no hash, which has 64 hexadecimal digits, in lower case")
    return text


def _identity(text: str) -> str:
    if not _IDENTITY.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no id, which has 32 hexadecimal digits, in lower case")
    return text


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of records, which is 0 or more")
    return int(text)


def _run(chosen: argparse.Namespace) -> int:
    try:
        found = verify(
            chosen.files,
            _chain(chosen),
            after=chosen.after,
            expect_last=chosen.expect_last,
            expect_records=chosen.expect_records,
            expect_chain=chosen.expect_chain,
        )
    except (ConfigurationError, OSError) as error:
        print(f"langcache audit verify: {error}", file=sys.stderr)
        return _UNKNOWN
    if chosen.json:
        print(json.dumps({"whole": found.is_whole, **asdict(found)}))
    else:
        _show(found, keyed=chosen.key_env is not None or chosen.key_file is not None)
    return _WHOLE if found.is_whole else _NOT_WHOLE


def _chain(chosen: argparse.Namespace) -> Chain:
    if chosen.key_format is not None and chosen.key_env is None:
        raise ConfigurationError("--key-format says how the key is written that --key-env names; give that")
    if chosen.key_file is not None:
        return Chain(Path(chosen.key_file).read_bytes())
    if chosen.key_env is None:
        return Chain()
    text = os.environ.get(chosen.key_env)
    if not text:
        raise ConfigurationError(f"the environment variable {chosen.key_env!r}, which --key-env names, holds no key")
    try:
        return Chain(_DECODERS[chosen.key_format or "text"](text))
    except ValueError as error:
        if isinstance(error, ConfigurationError):
            raise
        raise ConfigurationError(
            f"the environment variable {chosen.key_env!r} holds no key in the format {chosen.key_format}"
        ) from None


_DECODERS: Final[dict[str, Callable[[str], bytes]]] = {
    "text": lambda text: text.encode("utf-8", "surrogatepass"),
    "hex": bytes.fromhex,
    "base64": lambda text: base64.b64decode(text, validate=True),
}
"""How a key that is bytes can be written where only text can be."""


def _show(found: Verification, keyed: bool) -> None:
    for finding in found.findings:
        print(f"{finding.file}:{finding.line}: {finding.problem}: {finding.text}")
    for warning in found.warnings:
        print(f"Warning: {warning}")
    more = found.problems - len(found.findings)
    if more:
        print(f"... and {more} more")
    if found.records and found.problems >= found.records and all(f.problem == "altered" for f in found.findings):
        other = "Is it the key that they were written with?" if keyed else "Were they written with a key (--key-file)?"
        print(f"No record is as it was written. {other}")
    last = found.last
    end = "" if last is None else f", the last is number {last.seq} with the hash {last.hash}"
    chain = "" if last is None or last.chain is None else f", of the chain {last.chain}"
    print(f"{'Whole' if found.is_whole else 'Not whole'}: {found.records} records{end}{chain}")
