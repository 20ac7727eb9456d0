"""What the tests of governance share: plugins, and packages that offer some."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pytest

from langcache import LangCache, Middleware, Next, Request, Response, Steps, hookimpl
from langcache.governance import discovery
from langcache_transports.testing import FakeTransport
from tests.conftest import Installed


def passing(request: Request, call_next: Next) -> Steps[Response]:
    """A middleware that does nothing."""
    return (yield from call_next(request))


class Both:
    """A plugin with a middleware in each stage."""

    def __init__(self, name: str = "both") -> None:
        self.name = name

    @hookimpl
    def langcache_call_middleware(self) -> Middleware:
        return passing

    @hookimpl
    def langcache_attempt_middleware(self) -> Middleware:
        return passing


class OnlyCalls:
    """A plugin that sees calls."""

    @hookimpl
    def langcache_call_middleware(self) -> Middleware:
        return passing


class OnlyAttempts:
    """A plugin that sees attempts."""

    @hookimpl
    def langcache_attempt_middleware(self) -> Middleware:
        return passing


class Misspelt:
    """A plugin whose hook would never be called."""

    @hookimpl
    def langcache_cal_middleware(self) -> Middleware:
        raise AssertionError("never called")


class Failing:
    """A plugin that fails when a client is built."""

    @hookimpl
    def langcache_call_middleware(self) -> Middleware:
        return passing

    @hookimpl
    def langcache_attempt_middleware(self) -> Middleware:
        raise RuntimeError("no settings\nfor this")


def made(*plugins: object, **arguments: Any) -> LangCache:
    return LangCache("http://cache.example", "k", "c", transport=FakeTransport(), plugins=plugins, **arguments)


def offer(installed: Installed, monkeypatch: pytest.MonkeyPatch, **plugins: object) -> None:
    """Install plugins by name, each as an attribute of a module of its own; None is one that does not import."""
    for name, plugin in plugins.items():
        module = f"package_of_{name}"
        entry_point = EntryPoint(name, f"{module}:plugin", discovery.PLUGIN_GROUP)
        installed.setdefault(discovery.PLUGIN_GROUP, {})[name] = [entry_point]
        if plugin is not None:
            found: Any = ModuleType(module)
            found.plugin = plugin
            monkeypatch.setitem(sys.modules, module, found)
