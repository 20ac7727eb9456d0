"""How Sphinx builds these pages: MyST Markdown, the reference from docstrings, the furo theme."""

from __future__ import annotations

from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic import BaseModel

import langcache

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "langcache"
author = "The langcache contributors"
release = version = langcache.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

# In docstrings a name between single backticks is a Python name; it becomes a link where the reference has it.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"langcache {release}"


def _keep_as_written(_app: Sphinx, what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
    """Adapt a docstring that Sphinx would read otherwise than it is meant."""
    if what == "module":
        # An indented block is a drawing, such as the tree of the errors, and no quotation.
        for index, (above, line) in reversed(list(enumerate(pairwise(lines), 1))):
            if not above and line.startswith(" ") and not lines[index - 2].startswith(" "):
                lines[index:index] = ["::", ""]
    elif what in ("attribute", "data", "property"):
        # Napoleon takes what stands before a colon in the first line for the type, which the annotation gives.
        # An empty comment keeps it from that.
        lines[:0] = ["..", ""]


def _hide_signature(
    _app: Sphinx, _what: str, _name: str, obj: object, _options: object, _signature: str | None, _returns: str | None
) -> tuple[str, None] | None:
    """Show no signature for a model or an enum: the members below say the same, and better."""
    return ("", None) if isinstance(obj, type) and issubclass(obj, (BaseModel, Enum)) else None


def setup(app: Sphinx) -> None:
    """Register the above with Sphinx, ahead of Napoleon."""
    app.connect("autodoc-process-docstring", _keep_as_written, priority=400)
    app.connect("autodoc-process-signature", _hide_signature)
