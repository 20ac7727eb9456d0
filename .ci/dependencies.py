"""Show and check what the core brings; to be run in an environment into which the core alone was installed."""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, distributions, requires, version

DIRECT = {"pluggy", "pydantic", "requests", "urllib3"}
"""What the core may require; a further one is a decision about the design."""

REFUSED = {"aiohttp", "httpcore", "httpx"}


def normalized(name: str) -> str:
    """Return `name` as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(name: str) -> dict[str, str]:
    """Return what the distribution `name` requires without its extras: the names, with the requirements as written."""
    plain = [line for line in requires(name) or [] if not re.search(r";.*\bextra\b", line)]
    return {normalized(re.split(r"[^\w.-]", line, maxsplit=1)[0]): line for line in plain}


def show(name: str, indent: str = "  ") -> set[str]:
    """Print the tree of what `name` requires, as far as it is installed here, and return the names in it."""
    seen: set[str] = set()
    for required, line in sorted(requirements(name).items()):
        try:
            print(f"{indent}{required} {version(required)}  ({line})")
        except PackageNotFoundError:  # its marker does not hold here
            continue
        seen |= {required} | show(required, indent + "  ")
    return seen


def main() -> str | None:
    """Say what is wrong, or None where nothing is."""
    print(f"langcache {version('langcache')}")
    tree = show("langcache")
    direct = set(requirements("langcache"))
    installed = {normalized(distribution.name) for distribution in distributions()} - {"langcache"}
    if direct != DIRECT:
        return f"the core requires {sorted(direct)}, but may require {sorted(DIRECT)}"
    if installed != tree:
        return f"installed beside the tree, or missing from it: {sorted(installed ^ tree)}"
    if installed & REFUSED:
        return f"the core brings {sorted(installed & REFUSED)}"
    from langcache import LangCache  # here, so that a broken import is a finding like the others

    LangCache(server_url="https://cache.invalid", cache_id="any", api_key="any").close()
    print(
        f"{len(installed)} distributions beside langcache, none of {', '.join(sorted(REFUSED))}; a client can be made"
    )
    return None


if __name__ == "__main__":
    sys.exit(main())
