"""Loading on first use (PEP 562), so that importing a package costs next to nothing, whatever it offers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module


def loader(package: str, names: Mapping[str, Iterable[str]], modules: Iterable[str] = ()) -> Callable[[str], object]:
    """Return the ``__getattr__`` of `package`, which loads its public names when they are first asked for.

    `names` says which module has which names, and `modules` which of its own modules are public themselves;
    a name that begins with a dot is one of its own.
    """
    homes = {name: module for module, there in names.items() for name in there}
    public = frozenset(modules)

    def load(name: str) -> object:
        if name in homes:
            value = getattr(import_module(homes[name], package), name)
        elif name in public:
            value = import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    return load
