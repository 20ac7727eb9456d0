"""The ``langcache`` command, a user of the package like any other; it also tells of plugins that no client has."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from types import ModuleType

from .. import __version__
from . import doctor


def _commands() -> tuple[ModuleType, ...]:
    """Return the commands: in a damaged installation, in which not all can be imported, the one that tells how."""
    try:
        from . import audit, demo, plugins
    except ImportError:
        return (doctor,)
    return demo, doctor, plugins, audit


_COMMANDS = _commands()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments`, or else the process's own, name; return the process's exit status."""
    parser = argparse.ArgumentParser(prog="langcache", description="The client for Redis LangCache.")
    parser.add_argument("--version", action="version", version=f"langcache {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_to(commands)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what the terminal cannot show must not end a report
            stream.reconfigure(errors="backslashreplace")
    chosen = parser.parse_args(arguments)
    try:
        status: int = chosen.run(chosen)
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130
    return status
