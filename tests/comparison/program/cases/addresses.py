"""Where calls go: base URLs, and cache and entry ids as parts of the path."""

from __future__ import annotations

from ..stage import Stage, call_case, case
from ..wire import DONE, MISSED

IDS = {
    "path and query": "../x?y#z",
    "two dots": "..",
    "one dot": ".",
    "space": "a b",
    "umlaut": "\u00fc",
    "percent": "%41",
    "slash": "a/b",
    "slash at the start": "/a",
    "safe characters": "a-b_c.d~e",
    "sub-delimiters": "a!$&'()*+,;=:@b",
    "braces": "{cacheId}",
    "line break": "a\nb",
    "empty": "",
    "surrogate": "\ud800",
}

for _label, _id in IDS.items():
    call_case(f"addresses/cache id/{_label}", "search", {"prompt": "p"}, MISSED, client={"cache_id": _id})
    call_case(f"addresses/entry id/{_label}", "delete_by_id", {"entry_id": _id}, DONE)

call_case("addresses/cache id/missing", "search", {"prompt": "p"}, MISSED, client={"cache_id": None})
call_case("addresses/cache id/int", "search", {"prompt": "p"}, MISSED, client={"cache_id": 7})
call_case(
    "addresses/cache id/from the environment",
    "search",
    {"prompt": "p"},
    MISSED,
    client={"cache_id": None},
    environment={"LANGCACHE_CACHE_ID": "its-cache"},
)
call_case(
    "addresses/cache id/given and in the environment",
    "search",
    {"prompt": "p"},
    MISSED,
    environment={"LANGCACHE_CACHE_ID": "its-cache"},
)
call_case(
    "addresses/cache id/empty in the environment",
    "search",
    {"prompt": "p"},
    MISSED,
    client={"cache_id": None},
    environment={"LANGCACHE_CACHE_ID": ""},
)

URLS = {
    "plain": "{url}",
    "slash at the end": "{url}/",
    "prefix": "{url}/gate/way",
    "prefix and slash": "{url}/gate/way/",
    "two slashes at the end": "{url}//",
    "escaped prefix": "{url}/a%20b",
    "prefix with a space": "{url}/a b",
    "prefix with dots": "{url}/a/../b",
    "query": "{url}?a=b",
    "query after a prefix": "{url}/gate?a=b",
    "fragment": "{url}#a",
    "user information": "http://user:word@{host}",
    "upper case scheme": "HTTP://{host}",
    "no scheme": "{host}",
    "no scheme, with slashes": "//{host}",
    "other scheme": "ftp://{host}",
    "no host": "http://",
    "empty": "",
    "white space around": " {url} ",
    "braces": "{url}/{name}",
    "port out of range": "http://127.0.0.1:99999",
    "unknown host": "http://host.invalid",
}


def _written(template: str, url: str) -> str:
    return template.replace("{url}", url).replace("{host}", url.removeprefix("http://"))


def _add(label: str, template: str) -> None:
    async def of_the_client(stage: Stage) -> None:
        stage.probe("constructor", stage.client, server_url=_written(template, stage.url))
        if stage.observations["constructor"]["outcome"] == "returned":
            made = stage.client(server_url=_written(template, stage.url))
            await stage.call("call", made, "search", prompt="p")

    async def of_the_call(stage: Stage) -> None:
        made = stage.client(server_url="http://other.invalid")
        await stage.call("call", made, "search", prompt="p", server_url=_written(template, stage.url))

    case(f"addresses/client's URL/{label}", MISSED)(of_the_client)
    case(f"addresses/call's URL/{label}", MISSED)(of_the_call)


for _label, _template in URLS.items():
    _add(_label, _template)

call_case("addresses/client's URL/None", "search", {"prompt": "p"}, MISSED, client={"server_url": None})
call_case("addresses/client's URL/int", "search", {"prompt": "p"}, MISSED, client={"server_url": 7})
call_case(
    "addresses/client's URL/None, one in the environment",
    "search",
    {"prompt": "p"},
    MISSED,
    client={"server_url": None},
    environment={"LANGCACHE_SERVER_URL": "{url}"},
)


@case("addresses/proxy from the environment", MISSED, environment={"HTTP_PROXY": "{url}"})
async def _proxy(stage: Stage) -> None:
    made = stage.client(server_url="http://service.invalid")
    await stage.call("call", made, "search", prompt="p", timeout_ms=3000)


@case(
    "addresses/no proxy from the environment",
    MISSED,
    environment={"HTTP_PROXY": "http://proxy.invalid", "NO_PROXY": "127.0.0.1"},
)
async def _no_proxy(stage: Stage) -> None:
    await stage.call("call", stage.client(), "search", prompt="p", timeout_ms=3000)
