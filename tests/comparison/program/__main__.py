"""``python -m program PORT CONTROL_PORT [PATTERN]``: play the cases and print what was observed as JSON."""

from __future__ import annotations

import json
import os
import ssl
import sys
import warnings
from fnmatch import fnmatchcase

from .cases import CASES
from .stage import Control, perform


def main() -> None:
    """Play all cases, or those whose name fits the pattern, in both modes."""
    port, control_port, *patterns = sys.argv[1:]
    for name in [name for name in os.environ if name.startswith("LANGCACHE_") or name.lower().endswith("_proxy")]:
        del os.environ[name]
    warnings.simplefilter("ignore")
    # Thousands of clients load the certificates of all authorities, which takes minutes, and no case needs any.
    ssl.SSLContext.load_verify_locations = _load_none  # type: ignore[method-assign]
    control = Control(int(control_port))
    seen = {
        f"{case.name} [{mode}]": perform(case, mode, f"http://127.0.0.1:{port}", control)
        for case in CASES
        for mode in case.modes
        if fnmatchcase(case.name, (patterns or ["*"])[0])
    }
    sys.stdout.write(json.dumps(seen))
    sys.stdout.flush()
    os._exit(0)  # nobody waits for clients that were left open and for their threads


def _load_none(*arguments: object, **options: object) -> None:
    """Load no certificates."""


main()
