"""Repetition and timeouts."""

from __future__ import annotations

import socket
from typing import Any

from ..packages import utils
from ..stage import KEY, Stage, call_case, case
from ..wire import BUSY, CLOSE, CREATED, DELETED, DONE, FOUND, HANG, MINIMAL, MISSED, answer, problem


def config(
    elapsed: int = 5000, connections: bool = False, statuses: list[str] | None = None, strategy: str = "backoff"
) -> Any:
    """Return a RetryConfig with waits of a few milliseconds, for `elapsed` milliseconds."""
    return utils.RetryConfig(strategy, utils.BackoffStrategy(1, 5, 1.0, elapsed), connections, statuses)


def _add(label: str, *answers: Any, client: Any = None, **arguments: Any) -> None:
    given = {} if client is None else {"retry_config": client}
    call_case(f"retries/{label}", "search", {"prompt": "p", **arguments}, *answers, client=given)


_add("no config", BUSY, MISSED)
_add("client's", BUSY, BUSY, MISSED, client=config())
_add("call's", BUSY, BUSY, MISSED, retries=config())
_add("call's None against client's", BUSY, MISSED, client=config(), retries=None)
_add("call's against client's", BUSY, MISSED, client=config(strategy="none"), retries=config())
_add("client's None", BUSY, MISSED, client=None)
_add("strategy none", BUSY, MISSED, client=config(strategy="none"))
_add("strategy unknown", BUSY, MISSED, client=config(strategy="linear"))
call_case(
    "retries/explicit None for the client", "search", {"prompt": "p"}, BUSY, MISSED, client={"retry_config": None}
)

for _status in (400, 401, 404, 408, 409, 413, 418, 424, 425, 429, 500, 501, 502, 503, 504, 520, 599):
    _add(f"status {_status}", problem(_status, "/errors/any"), MISSED, client=config())
for _label, _statuses in {
    "408": ["408"],
    "5XX": ["5XX"],
    "5xx": ["5xx"],
    "4XX": ["4XX"],
    "several": ["404", "408"],
    "empty": [],
    "200": ["200"],
}.items():
    for _status in (404, 408, 500, 503):
        _first = problem(_status, "/errors/any")
        _add(f"statuses {_label}/{_status}", _first, MISSED, client=config(statuses=_statuses))

for _name, _success in {"set": CREATED, "delete_by_id": DONE, "delete_query": DELETED, "flush": DONE}.items():
    call_case(f"retries/{_name}", _name, MINIMAL[_name], BUSY, BUSY, _success, client={"retry_config": config()})

for _label, _value in {
    "0": "0",
    "0.01": "0.01",
    "-1": "-1",
    "word": "soon",
    "past date": "Wed, 21 Oct 2015 07:28:00 GMT",
    "empty": "",
}.items():
    _add(f"Retry-After {_label}", answer(503, None, ("Retry-After", _value)), MISSED, client=config())
_add("retry-after-ms", answer(503, None, ("retry-after-ms", "10")), MISSED, client=config())
_add("Retry-After longer than there is time", answer(503, None, ("Retry-After", "1")), client=config(elapsed=20))

call_case(
    "retries/giving up",
    "search",
    {"prompt": "p"},
    problem(429, "/errors/too-many-requests"),
    client={"retry_config": config(elapsed=300)},
    many=True,
)
call_case(
    "retries/giving up with HTML",
    "search",
    {"prompt": "p"},
    answer(502),
    client={"retry_config": config(elapsed=300)},
    many=True,
)
_add("then another error", BUSY, problem(404, "/errors/resource-not-found"), client=config())
_add(
    "last error is told",
    BUSY,
    problem(500, "/errors/unexpected-error"),
    problem(404, "/errors/resource-not-found"),
    client=config(),
)
_add("wrong shape is not repeated", answer(200, {"data": 1}), MISSED, client=config())

for _label, _connections in {"with": True, "without": False}.items():
    _add(f"connection closed, {_label} retry_connection_errors", CLOSE, FOUND, client=config(connections=_connections))
    _add(
        f"no answer, {_label} retry_connection_errors",
        HANG,
        FOUND,
        client=config(connections=_connections),
        timeout_ms=200,
    )


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@case("retries/connection refused")
async def _refused(stage: Stage) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for label, given in {
        "no config": {},
        "without retry_connection_errors": {"retry_config": config(elapsed=50)},
        "with retry_connection_errors": {"retry_config": config(elapsed=50, connections=True)},
    }.items():
        await stage.call(label, stage.client(server_url=url, **given), "search", prompt="p")


@case("retries/key is asked for each attempt", BUSY, BUSY, MISSED)
async def _key(stage: Stage) -> None:
    keys = iter([f"{KEY}-{number}" for number in range(9)])
    client = stage.client(api_key=lambda: next(keys), retry_config=config())
    await stage.call("call", client, "search", prompt="p")


for _label, _wrong in {"string": "backoff", "dict": {"strategy": "backoff"}, "int": 3, "False": False}.items():
    _add(f"config of another type/call's {_label}", BUSY, MISSED, retries=_wrong)
    _add(f"config of another type/client's {_label}", BUSY, MISSED, client=_wrong)

call_case("timeouts/call's", "search", {"prompt": "p", "timeout_ms": 200}, HANG)
call_case("timeouts/client's", "search", {"prompt": "p"}, HANG, client={"timeout_ms": 200})
call_case(
    "timeouts/call's against client's", "search", {"prompt": "p", "timeout_ms": 200}, HANG, client={"timeout_ms": 9000}
)
call_case("timeouts/set", "set", {**MINIMAL["set"], "timeout_ms": 200}, HANG)
call_case(
    "timeouts/dripping body",
    "search",
    {"prompt": "p", "timeout_ms": 300},
    {**MISSED, "do": "drip", "body": '{"data": [           ]}' + " " * 24},
)
_TIMEOUTS: dict[str, Any] = {
    "0": 0,
    "float": 2500.5,
    "negative": -1,
    "text": "500",
    "NaN": float("nan"),
    "huge": 10**15,
}
for _label, _timeout in _TIMEOUTS.items():
    call_case(f"timeouts/call's {_label}", "search", {"prompt": "p", "timeout_ms": _timeout}, MISSED)
    call_case(f"timeouts/client's {_label}", "search", {"prompt": "p"}, MISSED, client={"timeout_ms": _timeout})


@case("timeouts/the client is usable afterwards", HANG, MISSED)
async def _afterwards(stage: Stage) -> None:
    client = stage.client(timeout_ms=200)
    await stage.call("first", client, "search", prompt="p")
    await stage.call("second", client, "search", prompt="p")
