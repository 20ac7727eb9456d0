"""Whether something that was held is freed at once, or only by the next collection."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any


def freed_at_once(hold: Callable[[], weakref.ref[Any]]) -> bool:
    """Say whether what `hold` returns a reference to is gone when it has returned: no reference cycle keeps it."""
    hold()  # what is done once, such as an import, may keep something
    gc.disable()
    try:
        return all(hold()() is None for _ in range(5))
    finally:
        gc.enable()
