"""Masking: options and texts of strangers as they may be shown, without what could be a secret.

It errs on the safe side: what follows the name of a secret, or stands before an @, is hidden whatever it is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final, cast

from ..errors import describe
from ..http import display_url, is_secret_name
from ..secret import is_secret

_HIDDEN: Final = "***"

_LONGEST: Final = 400
"""How many characters of one value are shown at the most."""

# Of a longer scheme the end is found, which does as well; without a bound a text of letters would take long.
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}://[^\s,;|\"'<>]*")
# A name with "=" or ":" behind it, unless it is the host of a URL, with its port, or with a quotation behind it; or the
# option of a command.
_NAMED: Final = re.compile(
    r"(?<![\w.-])(?:(-[\w.-]+)[\"']?[\s,]\s*|(?!(?<=://)[\w.-]+:\d{1,5}\b)([\w.-]+)(?:[\"']?\s*[=:]|\s+(?=[\"'`])))"
)
_CREDENTIAL: Final = re.compile(r"\b(bearer)\s+\S+|\b(basic)\s+[a-z0-9+/]{8,}=*", re.IGNORECASE)


def shown(value: object, name: str = "") -> str:
    """Return `value`, which is called `name`, as it may be shown: secrets hidden, and strange objects by their kind."""
    if is_secret_name(name) or is_secret(value):
        return _HIDDEN
    text = _as_text(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _as_text(value: Any) -> str:
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if isinstance(value, str):
        return repr(masked(value))
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value).items()
        return "{" + ", ".join(f"{_key(key)}: {shown(item, str(key))}" for key, item in items) + "}"
    if _is_named_tuple(value):
        return _with_names(value, zip(value._fields, value, strict=False))
    if isinstance(value, (list, tuple, set, frozenset)):
        return "[" + ", ".join(_items(list(cast("Iterable[object]", value)))) + "]"
    if is_dataclass(value) and not isinstance(value, type):
        return _with_names(value, ((item.name, getattr(value, item.name)) for item in fields(value) if item.repr))
    return describe(value)


def _is_named_tuple(value: object) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields")  # pyright: ignore[reportUnknownArgumentType]


def _key(key: object) -> str:
    return in_one_line(masked(key)) if isinstance(key, str) else shown(key)


def _with_names(value: object, items: Iterable[tuple[str, object]]) -> str:
    return f"{type(value).__name__}({', '.join(f'{name}={shown(item, name)}' for name, item in items)})"


def _items(items: list[object]) -> Iterator[str]:
    """Return what is in a list; what stands behind a text may be the value of what the text names."""
    before: object = None
    for item in items:
        yield shown(item, str(before) if isinstance(before, (str, bytes)) else "")
        before = item


def masked(text: str) -> str:
    """Return `text` without what may be a secret.

    These are the user information and the queries of URLs, what follows the name of a secret ("password=...",
    "password '...'", "--password ..."), what stands before an @, and credentials of HTTP ("Bearer ...").
    """
    text = _URL.sub(lambda url: display_url(url.group()), text)
    # The names first: a secret may have an @ in it, before which its name would be hidden, and its end shown.
    text = _without_named(text)
    if "@" in text:
        text = f"{_HIDDEN}@{text.rpartition('@')[2]}"
    return _CREDENTIAL.sub(lambda found: f"{found[1] or found[2]} {_HIDDEN}", text)


def _without_named(text: str) -> str:
    for named in _NAMED.finditer(text):
        name = named[1] or named[2]
        if is_secret_name(name) or name == "input_value":  # which is what pydantic quotes
            return f"{text[: named.end()]}{_HIDDEN}"
    return text


def said(error: BaseException) -> str:
    """Return what a stranger's error says, in one line: its type and its text, without what may be a secret.

    pydantic's errors quote what they refuse: of these it is the places, and what is wrong there.
    """
    kind = type(error).__name__
    try:
        if _is_of_pydantic(error):
            found: list[Any] = cast("Any", error).errors(include_url=False, include_context=False, include_input=False)
            text = ", ".join(f"{'.'.join(map(str, each['loc'])) or 'it'} ({each['type']})" for each in found)
        else:
            text = masked(in_one_line(str(error)))
    except Exception:  # noqa: BLE001 - a stranger's error, which cannot even tell itself
        return kind
    return in_one_line(f"{kind}: {text}")


def _is_of_pydantic(error: BaseException) -> bool:
    pydantic: Any = sys.modules.get("pydantic_core")  # who has not loaded it has no error of it
    return pydantic is not None and isinstance(error, pydantic.ValidationError)


def in_one_line(text: str) -> str:
    """Return a stranger's text so that it stays in its line of a log or a listing."""
    return " ".join(printable(text).split())


def printable(text: str) -> str:
    """Return a stranger's text with a space for each character that a terminal would obey."""
    return text if text.isprintable() else "".join(each if each.isprintable() else " " for each in text)
