"""``python -m tests.benchmarks.chaos``: see the package's docstring."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path

from tests.benchmarks.lag import MachineLag, OwnLag

from .process import ChaosServer
from .report import HEADLINE, Lags, columns, problems, summary, table
from .soak import TRANSPORTS, Measured, settle, soak


def main() -> int:
    """Soak each transport, print what was found, and return the exit status."""
    arguments = _arguments()
    each = arguments.seconds / len(arguments.transports)
    _say(HEADLINE.format(seconds=each) + f" Python {platform.python_version()}, seed {arguments.seed}.")
    transports = [TRANSPORTS[name] for name in arguments.transports]
    settle(transports)
    measured: list[Measured] = []
    with MachineLag() as machine, ChaosServer() as server, OwnLag() as own:
        for transport in transports:
            _say(f"{transport.name} ...")
            measured.append(soak(server, transport, each, arguments.seed))
    return _report(measured, Lags(machine, own), arguments.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.chaos", description="Soak a client in chaos.")
    parser.add_argument("--seconds", type=float, default=120, help="how long the storms take, in all (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which storm it is (%(default)s)")
    parser.add_argument("--transports", nargs="+", choices=TRANSPORTS, default=list(TRANSPORTS), metavar="NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found there too")
    return parser.parse_args()


def _report(measured: list[Measured], lags: Lags, file: Path | None) -> int:
    shown = columns(measured, lags)
    found = [problem for each in measured for problem in problems(each, lags)]
    _say(f"\n{table(shown)}\n\n{summary(found)}")
    if file is not None:
        file.write_text(
            json.dumps({"transports": shown, "problems": [problem._asdict() for problem in found]}, indent=2)
        )
    return int(bool(found))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
