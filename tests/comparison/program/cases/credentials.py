"""How the key is given and sent."""

from __future__ import annotations

from typing import Any

from ..stage import Stage, call_case, case
from ..wire import CREATED, DONE, MISSED, answer

for _label, _key in {
    "plain": "secret",
    "Bearer": "Bearer secret",
    "bearer": "bearer secret",
    "BEARER": "BEARER secret",
    "Bearer without a space": "Bearersecret",
    "Bearer and two spaces": "Bearer  secret",
    "Bearer alone": "Bearer",
    "Bearer and a space alone": "Bearer ",
    "Basic": "Basic secret",
    "space before": " secret",
    "space after": "secret ",
    "white space alone": " ",
    "line break after": "secret\n",
    "tab": "a\tb",
    "umlaut": "schl\u00fcssel",
    "beyond Latin": "\u043a\u043b\u044e\u0447",
    "empty": "",
    "int": 7,
    "bytes": b"secret",
}.items():
    call_case(f"credentials/key/{_label}", "search", {"prompt": "p"}, MISSED, client={"api_key": _key})

call_case("credentials/key/missing", "search", {"prompt": "p"}, MISSED, client={"api_key": None})
for _label, _key, _variable in (
    ("in the environment", None, "its-secret"),
    ("in the environment with Bearer", None, "Bearer its-secret"),
    ("empty in the environment", None, ""),
    ("given and in the environment", "secret", "its-secret"),
    ("empty, and in the environment", "", "its-secret"),
):
    call_case(
        f"credentials/key/{_label}",
        "search",
        {"prompt": "p"},
        MISSED,
        client={"api_key": _key},
        environment={"LANGCACHE_API_KEY": _variable},
    )


def _failing() -> str:
    raise LookupError("no key today")


def _add(label: str, provider: Any, **options: Any) -> None:
    call_case(
        f"credentials/callable/{label}", "search", {"prompt": "p"}, MISSED, client={"api_key": provider}, **options
    )


_add("plain", lambda: "secret")
_add("with Bearer", lambda: "Bearer secret")
_add("empty", lambda: "")
_add("None", lambda: None)
_add("None, and in the environment", lambda: None, environment={"LANGCACHE_API_KEY": "its-secret"})
_add("int", lambda: 7)
_add("raises", _failing)


@case("credentials/callable/asked for each call", MISSED, CREATED, DONE)
async def _rotating(stage: Stage) -> None:
    keys = iter(["first", "second", "third", "fourth", "fifth", "sixth"])
    client = stage.client(api_key=lambda: next(keys))
    await stage.call("first", client, "search", prompt="p")
    await stage.call("second", client, "set", prompt="p", response="r")
    await stage.call("third", client, "flush")


@case("credentials/key/changed in the environment between calls", MISSED, environment={"LANGCACHE_API_KEY": "first"})
async def _environment_changes(stage: Stage) -> None:
    import os

    client = stage.client(api_key=None)
    await stage.call("first", client, "search", prompt="p")
    os.environ["LANGCACHE_API_KEY"] = "second"
    await stage.call("second", client, "search", prompt="p")


@case("credentials/cookies", answer(200, {"data": []}, ("Set-Cookie", "route=1; Path=/")), MISSED)
async def _cookies(stage: Stage) -> None:
    client = stage.client()
    await stage.call("first", client, "search", prompt="p")
    await stage.call("second", client, "search", prompt="p")
