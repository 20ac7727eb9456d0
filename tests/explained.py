"""What `LangCache.explain` says, in parts."""

from __future__ import annotations

from langcache import LangCache


def section(client: LangCache, title: str) -> list[str]:
    """Return the lines below a title, without their indentation; none where there is no such title."""
    found: list[str] = []
    is_inside = False
    for line in client.explain().splitlines():
        if not line.startswith(" "):
            is_inside = line == f"{title}:"
        elif is_inside:
            found.append(line.strip())
    return found


def names(client: LangCache, title: str) -> list[str]:
    """Return the names of the plugins whose middleware is in a stage, outermost first."""
    lines = client.explain().partition(f"{title}:\n")[2].splitlines()
    found: list[str] = []
    for line in lines:
        if not line.startswith(" "):
            break
        if not line.startswith("   "):  # options are indented further
            found.append(line.split()[0])
    return found


def call_stage(client: LangCache) -> list[str]:
    """Return the names of the plugins that see a call once, outermost first."""
    return names(client, "Once a call")


def attempt_stage(client: LangCache) -> list[str]:
    """Return the names of the plugins that see every attempt, outermost first."""
    return names(client, "Once an attempt")
