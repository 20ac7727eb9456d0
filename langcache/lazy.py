"""Loading and working out on first use, so that importing a package costs next to nothing, whatever it offers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


def loader(package: str, names: Mapping[str, Iterable[str]], modules: Iterable[str] = ()) -> Callable[[str], object]:
    """Return the ``__getattr__`` (PEP 562) of `package`, which loads its public names when they are first asked for.

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


class CachedProperty(Generic[T]):
    """A property that is worked out on first use, and is an attribute in the instance's ``__dict__`` from then on.

    Unlike functools.cached_property before Python 3.12 it has no lock: that would be one for all instances, which a
    forked child finds held for ever where a thread of its parent's had it. Threads that come at the same time may each
    work it out; all get the same.
    """

    def __init__(self, work_out: Callable[[Any], T]) -> None:
        self._work_out = work_out
        self._name = work_out.__name__
        self.__doc__ = work_out.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> CachedProperty[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> CachedProperty[T] | T:
        """Return the value, which is kept; this is not asked again."""
        if instance is None:
            return self
        value = self._work_out(instance)
        kept: T = vars(instance).setdefault(self._name, value)  # atomic; a frozen dataclass allows it
        return kept
