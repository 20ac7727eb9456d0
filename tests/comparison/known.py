"""The differences on purpose: what differs from the official SDK, and why, in words for its users."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from .differences import Difference

ANY = ".*"


@dataclass(frozen=True)
class Rule:
    """Which differences are meant: patterns for all of the case, the place and the two texts."""

    cases: str
    places: str
    official: str = ANY
    ours: str = ANY

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(text, re.DOTALL) for text in (self.cases, self.places, self.official, self.ours))

    def fits(self, difference: Difference) -> bool:
        """Say whether `difference` is meant."""
        texts = (difference.case, difference.place, difference.official, difference.ours)
        return all(pattern.fullmatch(text) for pattern, text in zip(self._patterns, texts, strict=True))


@dataclass(frozen=True)
class Known:
    """A difference on purpose: its id, what differs, why it does, and the rules that say which differences it is."""

    id: str
    what: str
    why: str
    rules: tuple[Rule, ...] = field(repr=False)


_END = r"/steps/(call|constructor)"
"""How the call, or the making of the client, ended."""
_SENT = r"/number of requests|/requests/\d+"
"""What was sent in one package and not in the other, as a consequence of how the call ended."""
_REFUSED = r"raised \w*(ConfigurationError|ValidationError|UnknownTransportError): .*|\(absent\)"
"""Ours refuses in words; where it does so otherwise than at the official place, nothing is at the latter."""
_REPEATED = "retries/connection closed, with .*|clients/retries of connections"
_STATUS = "failures/(400|401|403|404|413|424|429|500)/.*"


def _refused(cases: str) -> tuple[Rule, ...]:
    """Return the rules for what ours refuses, with the consequence that it sends nothing."""
    return Rule(cases, _END, ours=_REFUSED), Rule(cases, _SENT, ours=r"\(absent\)|0")


def _accepted(cases: str, ours: str = "returned .*") -> tuple[Rule, ...]:
    """Return the rules for what the official SDK refuses, with the consequence that it sends nothing."""
    return Rule(cases, _END, "raised .*", ours), Rule(cases, _SENT, official=r"\(absent\)|0")


KNOWN: tuple[Known, ...] = (
    Known(
        "user-agent",
        "The User-Agent header is `langcache/... python/...` instead of `speakeasy-sdk/python ...`.",
        "It names the client that sends. A value in `http_headers` replaces it in both. A client of the caller's keeps "
        "its own; the official SDK replaces it.",
        (
            Rule(ANY, r"/requests/\d+/headers/user-agent", r'\["speakeasy-sdk/.*', r'\["langcache/[^"]*"\]'),
            Rule(
                "clients/headers that collide",
                "/requests/0/headers/user-agent",
                r'\["speakeasy-sdk/.*',
                r'\["program/1"\]',
            ),
        ),
    ),
    Known(
        "request-id-header",
        "`X-Request-ID` is sent: 32 random hexadecimal digits for each call, the same with all of its attempts.",
        "By the id that is on its result, its errors and its lines in the log, a call is found in the service's log. "
        "`request_id_header=` names another header, or None for none; an id in `http_headers` stands before it.",
        (Rule(ANY, r"/requests/\d+/headers/x-request-id", r"\(absent\)", r'\["[0-9a-f]{32}"\]'),),
    ),
    Known(
        "connection-header",
        "`Connection: keep-alive` is not sent.",
        "HTTP/1.1 connections are kept open without it (RFC 9112, section 9.3).",
        (Rule(ANY, r"/requests/\d+/headers/connection", r'\["keep-alive"\]', r"\(absent\)"),),
    ),
    Known(
        "accept-header",
        "`delete_by_id` and `flush` send no `Accept: application/json`.",
        "They have no result that could be asked for in a format. With a client of the caller's, the library's own "
        "`Accept: */*` is sent.",
        (
            Rule(ANY, r"/requests/\d+/headers/accept", r'\["application/json"\]', r"\(absent\)"),
            Rule("clients/every operation", r"/requests/\d+/headers/accept", r'\["application/json"\]', r'\["\*/\*"\]'),
        ),
    ),
    Known(
        "json-spelling",
        "Text beyond ASCII is sent in UTF-8 instead of as `\\uXXXX` escapes, and `1e-07` as `1e-7`.",
        "It is the same JSON, and shorter.",
        (
            Rule(
                "arguments/(set/full|.*/attributes umlaut|threshold exponent|prompt control characters)",
                r"/requests/\d+/(body|headers/content-length)",
            ),
        ),
    ),
    Known(
        "path-segments",
        "Cache and entry ids are percent-encoded as one segment of the path; an empty entry id is refused.",
        'Unescaped, `delete_by_id(entry_id="..")` deletes the cache itself, and an id with `/`, `?` or `%` reaches '
        "another path than its own.",
        (
            Rule("addresses/(cache|entry) id/.*", "/requests/0/target"),
            *_accepted("addresses/(cache|entry) id/line break"),
            *_refused("addresses/entry id/empty"),
        ),
    ),
    Known(
        "slashes-of-the-url",
        "All slashes at the end of a call's `server_url` are removed.",
        "The official SDK removes one, and the path then begins with two.",
        (Rule("addresses/call's URL/two slashes at the end", "/requests/0/target"),),
    ),
    Known(
        "missing-key",
        "Without an API key, or with an empty one, the first call raises `ConfigurationError`, a ValueError.",
        "The official SDK sends the call without a key, or fails in the HTTP library. Where the key comes from "
        "`http_headers` or from a client of the caller's, none is required.",
        _refused(
            "credentials/(key/(missing|empty.*|white space alone|Bearer alone|Bearer and a space alone)"
            "|callable/(None.*|empty))"
        ),
    ),
    Known(
        "missing-cache-id",
        "Without a cache id the first call raises `ConfigurationError`, a ValueError.",
        "The official SDK sends the literal placeholder `{cacheId}` in its place.",
        _refused("addresses/cache id/(missing|empty.*)"),
    ),
    Known(
        "checked-url",
        "A `server_url` that cannot work raises `ConfigurationError` at the first call: no scheme, no host, white "
        "space, a query, a fragment, user information. A scheme that no transport serves is refused by the "
        "constructor.",
        "The official SDK sends to another path (a query swallows it), sends `Basic` credentials instead of the "
        "API key (user information), or fails in the HTTP library.",
        _refused(
            "addresses/(client|call)'s URL/(no scheme.*|other scheme|no host|empty|None|int|port out of range"
            "|white space around|prefix with a space|query.*|fragment|user information)"
        ),
    ),
    Known(
        "url-from-environment",
        "`server_url` may be left out; it is then read from LANGCACHE_SERVER_URL.",
        "The key and the cache id come from the environment too. `server_url=None` fails at the first call in "
        "both, where the variable is not set.",
        (
            *_accepted("addresses/client's URL/None, one in the environment"),
            Rule("lifetime/constructor/without .*", "/steps/constructor", "raised TypeError.*", "returned .*"),
            Rule("lifetime/constructor/positional", "/steps/one too many/str", ".*from 2 to 9.*", ".*from 1 to 9.*"),
            Rule("names/signatures", "/steps/constructor", r'.*"server_url", "\w+", "none".*'),
        ),
    ),
    Known(
        "checked-arguments",
        "Arguments that cannot work are refused before anything is sent, in words and as a ValueError: a `retries` "
        "or `retry_config` that is neither a RetryPolicy nor a RetryConfig or cannot work, a `timeout_ms` that is no "
        "possible number of milliseconds, a key, cache id or header that is no text or that HTTP cannot carry, a "
        "threshold of NaN, a lone surrogate.",
        "The official SDK ignores a wrong `retries`, sends what is no JSON, or fails in the HTTP library with an "
        "error of its.",
        (
            *_refused("retries/config of another type/.*"),
            *_refused("timeouts/.* (negative|text|NaN|huge)"),
            *_refused(
                "credentials/(key/(int|bytes|line break after|beyond Latin|space before|space after)|callable/int)"
            ),
            *_refused(
                "headers/((bytes|int|None) value|beyond Latin|line break|space in the name|Content-Length"
                "|list of pairs)"
            ),
            Rule("addresses/(cache|entry) id/(int|surrogate)", _END, ours=_REFUSED),
            *_refused("arguments/(threshold (NaN|infinity)|prompt surrogate)"),
            Rule("lifetime/constructor/raises nothing.*", "/steps/.* of another type"),
        ),
    ),
    Known(
        "latin-1-headers",
        "Keys and header values with letters of Latin-1 are sent.",
        "HTTP can carry them; the official SDK fails in the HTTP library.",
        _accepted("headers/umlaut|credentials/key/umlaut"),
    ),
    Known(
        "timeout-of-zero",
        "`timeout_ms=0` means no limit.",
        "In the official SDK every such call fails at once.",
        _accepted("timeouts/.* 0"),
    ),
    Known(
        "timeout-of-the-attempt",
        "`timeout_ms` limits a whole attempt, however slowly the answer drips.",
        "In the official SDK it limits each wait for the socket, so that an answer that drips never times out.",
        (Rule("timeouts/dripping body", "/steps/call", "returned .*", "raised ReadTimeout.*"),),
    ),
    Known(
        "headers-once",
        "A header of `http_headers` replaces the client's own of that name, whatever the case of the two; it is "
        "sent once.",
        "The official SDK compares the names by case and sends both, so that the receiver decides which of them "
        "counts.",
        (
            Rule(
                "headers/accept",
                "/requests/0/headers/accept",
                r'\["application/json", "text/plain"\]',
                r'\["text/plain"\]',
            ),
            Rule(
                "headers/Content-Type", "/requests/0/headers/content-type", r'\["application/json", .*', r'\["[^"]*"\]'
            ),
            Rule("headers/User-Agent", "/requests/0/headers/user-agent", ours=r'\["program/1"\]'),
            Rule("headers/(authorization|AUTHORIZATION)", "/requests/0/headers/authorization", ours=r'\["\w+ other"\]'),
            Rule("headers/same name twice", "/requests/0/headers/x-own", r'\["1", "2"\]', r'\["2"\]'),
        ),
    ),
    Known(
        "redirects",
        "Redirects are followed within the origin alone, and only those that ask for the same request again (307, 308, "
        "and all for `health`); after the others the error says where to.",
        "The key and the prompt reach no other address, and a POST never becomes a GET. Of clients of your own, only "
        "an httpx client with `follow_redirects=True` follows them.",
        (
            Rule(
                "failures/30./redirect",
                "/steps/call",
                "returned .*",
                "raised an error answer APIError: .*a redirect to.*",
            ),
            Rule("failures/30./redirect", _SENT, ours=r"\(absent\)|1"),
        ),
    ),
    Known(
        "cookies",
        "Cookies of the service are not kept.",
        "No state passes from one call to another. Give a client of your own where a gateway needs cookies.",
        (Rule("credentials/cookies", "/requests/1/headers/cookie", ours=r"\(absent\)"),),
    ),
    Known(
        "key-of-each-attempt",
        "A callable key is asked before every attempt, also of a repeated call.",
        "A key that was rotated is used at once; the official SDK repeats with the old one.",
        (Rule("retries/key is asked for each attempt", r"/requests/[12]/headers/authorization"),),
    ),
    Known(
        "every-2xx",
        "Every 2xx is a success, whatever its Content-Type, where the body has the documented form.",
        "The official SDK raises for a 200 in the place of a 201, and for JSON that is sent as another type, "
        "though what was asked has been done.",
        (
            Rule(
                "answers/.*",
                "/steps/call",
                "raised an error answer APIError: Unexpected response received.*",
                "returned .*",
            ),
        ),
    ),
    Known(
        "wrong-form",
        "A good answer without the documented form is always a ResponseValidationError, also where it is no JSON; "
        "`cause` is a pydantic ValidationError.",
        "One error for one thing: the official SDK raises APIError where the Content-Type or the status is "
        "another. `cause` is a ValueError in both.",
        (
            Rule(
                "answers/.*",
                "/steps/call",
                "raised an error answer APIError: Unexpected response received.*",
                "raised an error answer ResponseValidationError: .*",
            ),
            Rule("answers/.*", "/steps/call/cause", "ValueError", "ValidationError"),
        ),
    ),
    Known(
        "lenient-results",
        "`data` or `attributes` that are null, and an entry without `attributes`, are read as empty.",
        "Some services write null for an empty list; a hit must not fail over it.",
        (
            Rule(
                "answers/.*(data|attributes) (null|missing)",
                "/steps/call",
                "raised .*ResponseValidation.*",
                "returned .*",
            ),
            Rule("models/CacheEntry", "/steps/fields", '.*"attributes", true.*', '.*"attributes", false.*'),
            Rule("models/CacheEntry", "/steps/(built|validated) 2", "raised .*attributes.*", "returned .*"),
        ),
    ),
    Known(
        "error-of-the-status",
        "The class of an error follows the status alone. An unknown problem type, a foreign JSON body, HTML or an "
        "empty body leave it as it is; `data` is then what can be read, and its `type` a plain string.",
        "In the official SDK such a 404 is a ResponseValidationError or an APIError, so that `except "
        "NotFoundErrorResponseContent` misses it. Services of SDK 0.10 and 0.11, whose types are others, work too.",
        (
            Rule(
                rf"{_STATUS}|retries/status.*",
                "/steps/call",
                "raised an error answer (ResponseValidationError|APIError): .*",
                "raised an error answer [A-Z][A-Za-z]+ErrorResponseContent: .*",
            ),
        ),
    ),
    Known(
        "old-problem-types",
        "The enums of problem types know the types of SDK 0.10 and 0.11 too, and are open: an unknown type stays a "
        "string.",
        "The services of both lines are served.",
        (
            Rule("failures/424/.*", "/steps/call/data/type is an enum member", "false", "true"),
            Rule("models/enums", r"/steps/members of \w+Type"),
            Rule("models/enums", r"/steps/\w+Type\('/errors/.*'\)", r"\(absent\)"),
            Rule("models/enums", r"/steps/\w+Type unknown", "raised ValueError.*", "returned str: .*"),
        ),
    ),
    Known(
        "data-of-every-error",
        "Every LangCacheError has `data`: None, or the problem as far as the body tells.",
        "The official APIError has no such attribute.",
        (
            Rule(".*", "/steps/call/data", "null", r"\{.*"),
            Rule("failures/in depth/(503|wrong shape)", "/steps/error/data", "raised AttributeError.*"),
        ),
    ),
    Known(
        "texts",
        "The texts of errors that are not the body itself are worded otherwise: those of APIError, of "
        "ResponseValidationError, and of pydantic's ValidationError for arguments.",
        "They say what was answered and, for a network failure, which call failed. The status and the body are in "
        "both.",
        (
            Rule(
                ".*",
                "/steps/call/str",
                "(API error occurred|Unexpected response received): .*",
                "The service answered .*",
            ),
            Rule(
                ".*",
                "/steps/call/str",
                "Response validation failed: .*",
                "The answer does not have the documented form.*",
            ),
            Rule(
                "arguments/.*", "/steps/[^/]+/str", r"\d+ validation errors? for .*", r"\d+ validation errors? for .*"
            ),
            Rule(
                "models/.*",
                "/steps/[^/]+(/str)?",
                "(raised [^:]*: )?1 validation error.*",
                "(raised [^:]*: )?1 validation error.*",
            ),
            Rule(
                "lifetime/copies of a client",
                "/steps/(pickle|deepcopy)/str",
                "cannot pickle .*",
                ".*copied or pickled.*",
            ),
            Rule("models/errors built by a program", "/steps/APIError.*/repr"),
            Rule("models/RetryConfig", "/steps/negative jitter/str", "jitter_ms must be.*", "jitter_ms must be.*"),
        ),
    ),
    Known(
        "long-messages",
        "The message of an error is cut after 10,000 characters, also that of a typed error; `body` is whole.",
        "A gateway's error page does not flood the log.",
        (Rule(".*/long (body|HTML)", "/steps/call/str", ours=".*more characters; see body.*"),),
    ),
    Known(
        "empty-bodies",
        "The message of an error with an empty body says which status was answered.",
        "The official one is about JSON, or empty.",
        (Rule(".*", "/steps/call/str", ours="The service answered .* with an empty body"),),
    ),
    Known(
        "network-errors",
        "Network failures raise this package's own errors, which have the names of httpx's and are LangCacheErrors "
        "with `status_code` 0: `langcache.errors.ConnectError`, `TimeoutException` and so on.",
        "httpx is not needed any more. Replace `except httpx.RequestError` by `except "
        "langcache.errors.RequestError`; where you gave an httpx client, its exception is the `__cause__`.",
        (
            Rule(".*", "/steps/[^/]+/is", r"\[\]", r'\["LangCacheError"\]'),
            Rule(".*", "/steps/[^/]+/is httpx's RequestError", "true", "false"),
            Rule(".*", "/steps/[^/]+/str", ours=r"(POST|GET|DELETE) http://.*"),
        ),
    ),
    Known(
        "broken-connections",
        "A connection that ends before the answer does is a ReadError, and `retry_connection_errors` covers it; a "
        "compressed body without its end is a DecodingError.",
        "In httpx the former is a RemoteProtocolError, which the official SDK never repeats, and the latter is not "
        "seen.",
        (
            Rule(
                "answers/search/gzip cut off",
                "/steps/call",
                "raised an error answer ResponseValidationError.*",
                "raised DecodingError.*",
            ),
            Rule(
                "answers/search/cut off|retries/connection closed.*|clients/connection closed",
                "/steps/call",
                "raised RemoteProtocolError.*",
                "raised ReadError.*",
            ),
            Rule(_REPEATED, "/steps/call", "raised RemoteProtocolError.*", "returned .*"),
            Rule(_REPEATED, _SENT, r"\(absent\)|1"),
        ),
    ),
    Known(
        "retry-after",
        "A `Retry-After` beyond what is left of `max_elapsed_time` ends the repetition at once.",
        "The official SDK sleeps through it, past its own limit.",
        (Rule("retries/Retry-After longer than there is time", _SENT, ours=r"\(absent\)|1"),),
    ),
    Known(
        "client-for-both",
        "Where `client` is given and `async_client` is not, async calls are sent with `client` too, in threads.",
        "What it is set up for - proxy, certificates, headers - then holds for all calls.",
        (Rule("clients/the other mode.*", "/requests/0/headers/x-own", r"\(absent\)", r'\["own"\]'),),
    ),
    Known(
        "raise-for-status",
        "Where a hook of the caller's httpx client calls `raise_for_status`, the call raises the error of the "
        "status, from httpx's.",
        "Errors of the service are the same with every HTTP client.",
        (
            Rule(
                "clients/raise_for_status in a hook",
                "/steps/call",
                "raised HTTPStatusError.*",
                ".*NotFoundErrorResponse.*",
            ),
        ),
    ),
    Known(
        "use-after-close",
        "A call after `with`, or with a client of the caller's that is closed, raises ClientClosedError, a "
        "RuntimeError, that says so.",
        "The official SDK raises AttributeError: 'NoneType' object has no attribute 'build_request'.",
        (
            Rule("lifetime/use after with", "/steps/call", "raised AttributeError.*", "raised ClientClosedError.*"),
            Rule(
                "clients/closed before the call", "/steps/call", "raised RuntimeError.*", "raised ClientClosedError.*"
            ),
        ),
    ),
    Known(
        "event-loops",
        "One client can be used from several event loops, one after another.",
        "The official SDK fails with `Event loop is closed`.",
        # Whether it fails before it sends or afterwards is a matter of chance there.
        (Rule("lifetime/two event loops", f"/steps/second|{_SENT}", r"raised RuntimeError.*|\(absent\)|1"),),
    ),
    Known(
        "debug-log",
        "The debug log is one line an attempt, without bodies; LANGCACHE_DEBUG leaves the root logger alone.",
        "Prompts and answers do not get into logs, and those of other libraries do not start.",
        (
            Rule("lifetime/debug logger/.*", "/steps/lines", ours="1"),
            Rule("lifetime/debug logger/.*", "/steps/prompt shown", "true", "false"),
            Rule("lifetime/LANGCACHE_DEBUG", "/steps/root logger changed", "true", "false"),
        ),
    ),
    Known(
        "class-names",
        "`__name__` and `__module__` of the error classes are short: `BadRequestErrorResponseContent` is an alias "
        "of `BadRequestError`, in `langcache.errors`.",
        "Tracebacks and logs are easier to read. `except` and `isinstance` work with both names.",
        (
            Rule("failures/in depth/.*", "/steps/error/(class name|module|data/repr)"),
            Rule("names/relations", "/steps/.* (is called|stands in)"),
        ),
    ),
    Known(
        "error-copies",
        "Errors can be pickled and deeply copied; `args` and `repr` hold the message, and not objects of httpx.",
        "They pass from worker processes to their parent.",
        (
            Rule(
                "failures/in depth/.*",
                "/steps/error/(pickled|copied deeply)",
                "raised TypeError.*",
                "returned bool: True",
            ),
            Rule("failures/in depth/.*", "/steps/error/(args|names the body)"),
        ),
    ),
    Known(
        "httpx-objects",
        "`headers` and `raw_response` of an error are not httpx's objects: they have no `get_list`, `url`, "
        "`request`, `reason_phrase`, `cookies`, `is_error`, `raise_for_status()`.",
        "httpx is not needed any more. What the specification documents is there: `status_code`, `headers` in any "
        "case, `text`, `content`, `json()`; `raw_response.native` is the HTTP library's own response.",
        (
            Rule("failures/in depth/.*", "/steps/error/headers/get_list, multi_items", ours=r"\[false, false\]"),
            Rule("failures/in depth/.*", "/steps/error/raw_response/(?!documented|json|content type).*"),
            Rule("names/distribution", "/steps/requires httpx", "true", "false"),
        ),
    ),
    Known(
        "error-tree",
        "NoResponseError is a LangCacheError; LangCacheError and APIError can be built without a response, and "
        "compare by identity.",
        "One `except LangCacheError` catches all that the package raises; errors without an answer have "
        "`status_code` 0.",
        (
            Rule("names/relations", "/steps/NoResponseError"),
            Rule("names/signatures", "/steps/(LangCacheError|APIError)", ours=r'.*"raw_response", "\w+", "None".*'),
            Rule(
                "models/errors built by a program", "/steps/NoResponseError is a LangCacheError/repr", "False", "True"
            ),
            Rule(
                "models/errors built by a program", "/steps/LangCacheError (without a response|with None)", "raised .*"
            ),
            Rule("models/errors built by a program", "/steps/equal/repr", "True", "False"),
        ),
    ),
    Known(
        "lenient-problems",
        "The models of problems can be built without a `type`, which is then `about:blank`.",
        "That is the default of RFC 9457, section 4.2.1.",
        (
            Rule(
                "models/errors built by a program",
                r"/steps/\w+ data without a type",
                "raised Validation.*",
                "returned .*",
            ),
        ),
    ),
    Known(
        "open-enums",
        "`SearchStrategy(1)` and `SearchStrategy(None)` raise ValueError; unknown strings stay strings in both.",
        "The enum is open to new names, not to other types.",
        (Rule("models/SearchStrategy", "/steps/of (a number|None)", "returned .*", "raised ValueError.*"),),
    ),
    Known(
        "secrets",
        "`repr` of `models.Security` does not show the key.",
        "Credentials stay out of logs.",
        (Rule("models/Security", "/steps/key in repr", "true", "false"),),
    ),
    Known(
        "configurations-by-value",
        "Two RetryConfigs, or BackoffStrategies, with the same values are equal.",
        "They are plain values.",
        (Rule("models/RetryConfig", "/steps/equal to another.*", "False", "True"),),
    ),
    Known(
        "flush-request",
        "`flush(request=...)` takes None, which is its default, and takes no notice of any other value.",
        "The request has no members, so there is nothing to check.",
        (
            *_accepted("arguments/flush/(None|request of another type)|arguments/flush request of another type"),
            Rule(
                "names/signatures",
                "/steps/flush(_async)?",
                r".*FlushRequest\(\).*",
                '.*"request", "KEYWORD_ONLY", "None".*',
            ),
        ),
    ),
    Known(
        "byte-order-mark",
        "A good answer that begins with a byte order mark is read.",
        "It is no reason to lose an answer.",
        (Rule("answers/.*/body byte order mark", _END, "raised .*", "returned .*"),),
    ),
    Known(
        "closed-is-closed",
        "After `with` or `async with` the client is closed for calls of both kinds, and a second `with` raises "
        "ClientClosedError.",
        "Everything that the client opened is closed, and nothing stays open unseen. In the official SDK `with` closes "
        "the connections of sync calls alone, and `async with` those of async ones.",
        (
            Rule("lifetime/with twice", "/steps/second with", "passes", "raises ClientClosedError"),
            Rule("lifetime/the other mode after with", "/steps/.*", "returned .*", "raised ClientClosedError.*"),
            Rule("lifetime/the other mode after with", _SENT, ours=r"\(absent\)|0"),
        ),
    ),
    Known(
        "dumps-of-requests",
        "`model_dump()` of SetRequest, SearchRequest and ConversationalSearchBody has every field, by its Python name, "
        "as those of results have; `by_alias=True, exclude_none=True` gives what is sent.",
        "One rule for all models. In the official SDK those of requests leave out None and use the names of the wire.",
        (Rule("models/(SetRequest|SearchRequest|ConversationalSearchBody)", "/steps/.*/(model_dump|by alias|json)"),),
    ),
    Known(
        "submodules",
        "Classes are imported from `langcache`, `langcache.errors`, `langcache.models`, `langcache.types` and "
        "`langcache.utils`; of the modules inside of them only those of the models and their requests are there.",
        "No program was seen to import the others; write `from langcache.errors import APIError`.",
        (
            Rule(
                "names/submodules",
                r"/steps/(sdk|utils\.retries|types\.basemodel|errors\.\w+|models\.\w+errortype)",
                "returned .*",
                "raised ModuleNot.*",
            ),
        ),
    ),
    Known(
        "new-arguments",
        "All methods take `deadline_ms`, `breaker` and `on_failure` as well.",
        "They say for one call what the constructor's arguments of these names say for all.",
        (
            Rule(
                "names/signatures",
                "/steps/(set|search|conversational_search|delete_by_id|delete_query)(_async)?",
                ours=r'.*\["http_headers", "KEYWORD_ONLY", "None"\], \["deadline_ms", "KEYWORD_ONLY", "None"\], '
                r'\["breaker", "KEYWORD_ONLY", "UNSET"\], \["on_failure", "KEYWORD_ONLY", "None"\]\]',
            ),
        ),
    ),
    Known(
        "metadata",
        "Results have `metadata`: the ids of the call, how many attempts it took, and the error in whose place they "
        "stand.",
        "It is no field: comparisons, dumps and copies know nothing of it.",
        (
            Rule(
                "models/(Set|Search|DeleteQuery)Response|models/ConversationalSearchResponseContent",
                "/steps/public names",
                ours='.*"metadata".*',
            ),
        ),
    ),
    Known(
        "generator-internals",
        "What only the SDK's generator needs is not there: the `...Globals` models, `models.internal`, "
        "`sdk_configuration`, `do_request`, `BaseSDK`, `SDKConfiguration`, `VERSION`, `USER_AGENT`, "
        "`types.UNSET_SENTINEL`, `types.Unrecognized...`, `types.Nullable`, the serializers of models and the "
        "modules that hold them. `close` and `aclose` are new.",
        "No program was seen to use them; `langcache.__version__` is the version.",
        (
            Rule("names/exported by the generator's modules", "/steps/(models|client|instance)/.*"),
            Rule("names/imported", "/steps/(utils|types|httpclient|root)/.*", "true", "false"),
            Rule(
                "names/submodules",
                r"/steps/(models\.\w+op|basesdk|sdkconfiguration|utils\.(logger|enums))",
                "returned .*",
                "raised ModuleNot.*",
            ),
            Rule("models/.*", "/steps/public names", r'.*"serialize_(model|search_strategy)".*'),
        ),
    ),
)
"""All of them; the first that fits a difference is the one that it is."""


def known(difference: Difference) -> Known | None:
    """Return the difference on purpose that `difference` is, or None."""
    return next((each for each in KNOWN if any(rule.fits(difference) for rule in each.rules)), None)


def unused_rules(differences: list[Difference]) -> list[tuple[Known, Rule]]:
    """Return the rules that fit none of `differences`: what they mean does not differ any more."""
    return [(each, rule) for each in KNOWN for rule in each.rules if not any(map(rule.fits, differences))]
