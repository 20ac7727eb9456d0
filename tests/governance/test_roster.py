"""Which plugins a client has: what is allowed, what is required, what is left out, and what is switched off."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pytest

from langcache import FunctionPlugin, LangCache, Middleware, Request, Transport, TransportOptions, hookimpl
from langcache.errors import PluginError, UnknownTransportError
from langcache.governance import discovery
from langcache_transports.testing import FakeTransport
from tests.conftest import Installed
from tests.explained import attempt_stage, call_stage, section
from tests.governance.stand_ins import Both, Failing, Misspelt, OnlyAttempts, made, offer, passing
from tests.middleware.stepping import fields_of

BUILT_IN = {
    *("identity", "statistics", "fail_open", "parsing", "deadline", "circuit_breaker", "retry"),
    *("auth", "logging", "error_mapping", "redirects"),
}


def users(client: LangCache) -> list[str]:
    """Return the names of the plugins that see a call or its attempts and are not built in, outermost first."""
    return [name for name in [*call_stage(client), *attempt_stage(client)] if name not in BUILT_IN]


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


# What is allowed


def test_an_installed_plugin_is_not_loaded_unasked(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(installed, monkeypatch, broken=None)
    assert users(made()) == []


def test_an_installed_plugin_is_loaded_where_it_is_named(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(installed, monkeypatch, audit=OnlyAttempts(), broken=None)
    assert users(made("audit")) == ["audit"]


def test_the_environment_names_plugins(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Separated by commas, beside the program's own, each once, and whatever `trust_env` says."""
    offer(installed, monkeypatch, audit=OnlyAttempts(), trace=OnlyAttempts(), broken=None)
    monkeypatch.setenv("LANGCACHE_PLUGINS", " trace, ,audit,")
    assert users(made("audit", trust_env=False)) == ["trace", "audit"]


def test_autoload_loads_all_that_is_installed(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(installed, monkeypatch, one=OnlyAttempts(), two=OnlyAttempts())
    assert users(made(autoload=True)) == ["two", "one"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"autoload": ["audit"]}, r"autoload must be True or False, not \['audit'\]; to load some, name them in plug"),
        ({"required": "audit"}, "required must be True or a list of names of plugins, not str"),
        ({"required": [5]}, "required must be True or a list of names of plugins, not one with int in it"),
        ({"without": "retry"}, "without must be a list of names of plugins, not str"),
        ({"without": 5}, "without must be a list of names of plugins, not int"),
    ],
)
def test_arguments_of_another_type_are_refused_in_words(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(PluginError, match=said):
        made(**arguments)


# What is missing or broken


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "audi",
            "is not installed (did you mean 'audit'?); installed are audit, broken, failing",
        ),
        (
            "broken",
            "cannot be loaded (package_of_broken:plugin): ModuleNotFoundError: No module named 'package",
        ),
        ("exiting", "cannot be loaded (tests.governance.exiting): SystemExit: 3"),
        (
            "misspelt",
            "implements the unknown hook 'langcache_cal_middleware' (did you mean 'langcache_call_middleware'",
        ),
        (
            "not_one",
            "implements no hook; the hooks are langcache_call_middleware, ",
        ),
        ("kind", "is a class; hand in an instance: Both()"),
        ("failing", "fails in langcache_attempt_middleware: RuntimeError: no settings for this"),
        ("weird", "cannot be registered: ZeroDivisionError: division by zero"),
    ],
)
def test_an_installed_plugin_that_is_missing_or_broken_is_left_out_with_one_warning(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, said: str
) -> None:
    """In both stages. The warning names it and the reason, in one line, and so does `explain`."""

    class Weird(OnlyAttempts):
        def __dir__(self) -> list[str]:
            raise ZeroDivisionError("division by zero")

    offer(
        installed, monkeypatch, audit=OnlyAttempts(), broken=None, failing=Failing(), kind=Both, misspelt=Misspelt(),
        not_one=object(), weird=Weird(),
    )  # fmt: skip
    exiting = EntryPoint("exiting", "tests.governance.exiting", discovery.PLUGIN_GROUP)
    installed[discovery.PLUGIN_GROUP]["exiting"] = [exiting]
    client = made("audit", name)
    assert users(client) == ["audit"]
    [warning] = warnings_of(caplog)
    assert warning.startswith(f"The plugin {name!r} is left out: it {said}")
    assert "\n" not in warning
    [told] = section(client, "Left out")
    assert warning == f"The plugin {name!r} is left out: {told.removeprefix(f'{name}: ')}"

    for required in (True, [name]):  # then it is an error, which comes from the reason
        with pytest.raises(PluginError) as caught:
            made("audit", name, required=required)
        assert str(caught.value).startswith(f"The plugin {name!r} is required, but it {said}")
        assert caught.value.__cause__ is not None
    assert users(made("audit", name, required=["audit"])) == ["audit"]


def test_a_plugin_that_two_distributions_offer_is_left_out(installed: Installed) -> None:
    """Which of them came would be chance."""
    offered = [EntryPoint("audit", value, discovery.PLUGIN_GROUP) for value in ("one.module", "another.module")]
    installed[discovery.PLUGIN_GROUP] = {"audit": offered}
    [told] = section(made("audit"), "Left out")
    assert told == "audit: it is offered by several distributions: one.module, another.module; keep one of them"


def test_a_plugin_is_told_the_middleware_of_its_client_once() -> None:
    """In the order in which it stands, outermost first."""
    told: list[tuple[list[object], list[object]]] = []

    class Listening:
        @hookimpl
        def langcache_composed(self, call_middleware: list[Middleware], attempt_middleware: list[Middleware]) -> None:
            told.append((list(call_middleware), list(attempt_middleware)))

    made(Both(), Listening())
    [(call, attempt)] = told
    assert (call[0].__class__.__name__, call[-1].__class__.__name__) == ("RequestIdentity", "Retry")
    assert passing in call
    assert attempt[0] is passing


def test_what_an_installed_plugin_does_with_it_fails_no_client(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Unless it is required, or is the program's own."""

    class Confused(OnlyAttempts):
        @hookimpl
        def langcache_composed(self) -> None:
            raise RuntimeError("no\nidea")

    offer(installed, monkeypatch, confused=Confused())
    assert users(made("confused")) == ["confused"]
    said = "The plugin 'confused' fails in langcache_composed, and goes on without: RuntimeError: no idea"
    assert warnings_of(caplog) == [said]
    assert fields_of(caplog.records[0]) == {"event": "plugin_failed", "plugin": "confused"}
    with pytest.raises(
        PluginError, match="'confused' is required, but it fails in langcache_composed: RuntimeError: no"
    ):
        made("confused", required=True)
    with pytest.raises(RuntimeError, match="no\nidea"):
        made(Confused())


def test_two_names_of_one_object_are_one_plugin(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = OnlyAttempts()
    offer(installed, monkeypatch, first=plugin, second=plugin)
    client = made("first", "second")
    assert users(client) == ["first"]
    assert section(client, "Left out") == [
        "second: it is there already, or is equal to one that is; it can be there once"
    ]


def test_an_object_that_is_mistaken_is_an_error_also_where_it_is_not_required() -> None:
    """It is the program's own mistake."""
    with pytest.raises(PluginError, match="Misspelt implements the unknown hook"):
        made(Misspelt())
    with pytest.raises(RuntimeError, match="no settings"):
        made(Failing())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"required": ["audit"]},
            "The plugin 'audit' is required, but nothing asks for it; name it in plugins or in LANGCACHE_PLUGINS",
        ),
        ({"required": ["bth"]}, r"'bth' is required, but nothing asks for it \(did you mean 'both'\?\)"),
        ({"required": ["retry"], "without": ["retry"]}, "The plugin 'retry' is required, but without leaves it out"),
        ({"required": ["both"], "without": ["both"]}, "The plugin 'both' is required, but without leaves it out"),
    ],
)
def test_a_required_plugin_that_the_client_does_not_have_is_an_error(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(PluginError, match=said):
        made(Both(), **arguments)


def test_what_is_there_may_be_required() -> None:
    assert users(made(Both(), required=["both", "retry"])) == ["both", "both"]
    assert users(made(Both(), required=True, without=["retry"])) == ["both", "both"]
    assert users(made(required=True)) == []


# What is turned off


def test_the_environment_turns_all_off_that_is_not_built_in(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Objects and names, unseen: not even what is broken is looked at."""
    offer(installed, monkeypatch, broken=None, other=None)
    monkeypatch.setenv("LANGCACHE_DISABLE_PLUGINS", "1")
    monkeypatch.setenv("LANGCACHE_PLUGINS", "broken")
    client = made(Both(), Misspelt(), autoload=True, order={"both": "before:retry"}, without=["both.no_such_hook"])
    assert {*call_stage(client), *attempt_stage(client)} == BUILT_IN
    off = "is turned off by LANGCACHE_DISABLE_PLUGINS"
    names = ["both", "Misspelt", "broken", "other"]
    assert warnings_of(caplog) == [f"The plugin {name!r} is left out: it {off}" for name in names]
    told = [line for line in section(client, "Left out") if "no_such_hook" not in line]
    assert told == [f"{name}: it {off}" for name in names]


@pytest.mark.parametrize("required", [True, ["both"]])
def test_a_required_plugin_that_is_turned_off_stops_construction(
    monkeypatch: pytest.MonkeyPatch, required: bool | list[str]
) -> None:
    monkeypatch.setenv("LANGCACHE_DISABLE_PLUGINS", "1")
    with pytest.raises(PluginError, match="'both' is required, but it is turned off by LANGCACHE_DISABLE_PLUGINS"):
        made(Both(), required=required)


@pytest.mark.parametrize("value", ["", "0", "false", "no", " off "])
def test_a_switch_that_says_no_turns_nothing_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LANGCACHE_DISABLE_PLUGINS", value)
    assert users(made(Both())) == ["both", "both"]


class Offering:
    """A plugin that offers a transport."""

    @hookimpl
    def langcache_transport(self, name: str, options: TransportOptions) -> FakeTransport | None:
        return FakeTransport() if name == "offered" else None


def test_transports_of_strangers_are_turned_off_too(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says why; a transport that is handed in, and the built-in ones, still serve."""
    stranger = EntryPoint("stranger", "tests.stranger_transport", discovery.TRANSPORT_GROUP)
    installed[discovery.TRANSPORT_GROUP] = {"stranger": [stranger]}
    LangCache("http://cache.example", "k", "c", transport="stranger")
    monkeypatch.setenv("LANGCACHE_DISABLE_PLUGINS", "1")
    for name in ("stranger", "offered"):
        with pytest.raises(UnknownTransportError) as caught:
            LangCache("http://cache.example", "k", "c", transport=name, plugins=[Offering()])
        assert str(caught.value) == (
            f"No transport answers to {name!r}; known are aiohttp, embedded, requests, supplied, threaded, urllib3; "
            "LANGCACHE_DISABLE_PLUGINS turns off all that is not built in"
        )
    assert made().explain()
    assert LangCache("embedded://", cache_id="c").search(prompt="p").data == []


# What is left out, and what is switched off


def test_a_plugin_is_left_out_by_name(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not loaded then."""
    offer(installed, monkeypatch, broken=None, other=OnlyAttempts())
    client = made(Both(), autoload=True, without=["broken", "both", "retry"])
    assert users(client) == ["other"]
    assert section(client, "Left out") == [
        "both: it is left out by without",
        "broken: it is left out by without",
        "retry: it is left out by without",
    ]


def test_one_hook_of_a_plugin_is_switched_off() -> None:
    client = made(Both(), without=["both.langcache_attempt_middleware"])
    assert ("both" in call_stage(client), "both" in attempt_stage(client)) == (True, False)
    assert section(client, "Left out") == ["both.langcache_attempt_middleware: it is left out by without"]


def test_one_of_several_implementations_of_a_hook_is_switched_off_by_its_functions_name() -> None:
    class Several:
        name = "several.of.them"

        @hookimpl(specname="langcache_call_middleware")
        def first(self) -> Middleware:
            return passing

        @hookimpl(specname="langcache_call_middleware")
        def second(self) -> Middleware:
            return passing

    assert users(made(Several())) == ["several.of.them", "several.of.them"]
    assert users(made(Several(), without=["several.of.them.first"])) == ["several.of.them"]
    assert users(made(Several(), without=["several.of.them.langcache_call_middleware"])) == []


def test_the_hook_for_transports_is_switched_off() -> None:
    with pytest.raises(UnknownTransportError):
        LangCache("offered://", plugins=[Offering()], without=["Offering.langcache_transport"])


@pytest.mark.parametrize(
    ("without", "said"),
    [
        (["both.langcache_transport"], r"without: the plugin 'both' has no hook 'langcache_transport'; it has langc"),
        (
            ["both.langcache_cal_middleware"],
            r"the plugin 'both' has no hook 'langcache_cal_middleware' \(did you mean 'langcache_call_middleware'\?\)",
        ),
        (["retry.langcache_attempt_middleware"], "the plugin 'retry' has no hook 'langcache_attempt_middleware'"),
    ],
)
def test_a_hook_that_is_not_there_cannot_be_left_out(without: list[str], said: str) -> None:
    with pytest.raises(PluginError, match=said):
        made(Both(), without=without)


def test_a_plugin_that_is_not_there_is_left_out_already(caplog: pytest.LogCaptureFixture) -> None:
    """A program says what it does not want wherever it runs; a warning tells of what may be misspelt."""
    assert users(made(Both(), without=["compression", "compression.langcache_transport"])) == ["both", "both"]
    assert warnings_of(caplog) == []
    assert "retry" in call_stage(made(without=["retries"]))
    assert warnings_of(caplog) == ["without: there is no plugin 'retries' (did you mean 'retry'?)"]
    assert fields_of(caplog.records[0]) == {"event": "plugin_unknown", "plugin": "retries"}


def test_a_misnamed_hook_of_an_installed_plugin_is_the_callers_mistake(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(installed, monkeypatch, audit=Both())
    with pytest.raises(PluginError, match="without: the plugin 'audit' has no hook 'langcache_transport'"):
        made("audit", without=["audit.langcache_transport"])


def test_what_is_installed_may_be_left_out_where_nothing_asks_for_it(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program can say once for all what it does not want, whatever the environment asks for."""
    offer(installed, monkeypatch, audit=Both())
    client = made(without=["audit"])
    assert (users(client), section(client, "Left out")) == ([], [])
    monkeypatch.setenv("LANGCACHE_PLUGINS", "audit")
    assert users(made(without=["audit"])) == []


# What plugins are called


def test_a_plugins_name_is_its_entry_points_or_its_own_or_its_kinds(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second of a name gets a number."""

    class Nameless(OnlyAttempts):
        name: Any = 5  # no name, but something else

    class Unprintable(OnlyAttempts):
        name = "of two\nlines"

    offer(installed, monkeypatch, audit=Both("its own"))
    given = [Both(), OnlyAttempts(), Nameless(), Unprintable(), OnlyAttempts(), "audit", Both("audit")]
    assert [name for name in attempt_stage(made(*given)) if name not in BUILT_IN] == [
        "audit#2", "audit", "OnlyAttempts#2", "Unprintable", "Nameless", "OnlyAttempts", "both",
    ]  # fmt: skip


def auth(request: Request) -> Request:
    return request


@pytest.mark.parametrize("disabled", ["", "1"])
@pytest.mark.parametrize("plugin", [FunctionPlugin(before_attempt=auth), Both("auth"), "auth"])
def test_the_name_of_a_built_in_plugin_is_no_others(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, plugin: object, disabled: str
) -> None:
    """Or `required` and `order` would mean the built-in one, and be kept without the plugin."""
    offer(installed, monkeypatch, auth=None)
    monkeypatch.setenv("LANGCACHE_DISABLE_PLUGINS", disabled)
    with pytest.raises(PluginError, match="is called 'auth', which is the name of a built-in one; give it one that is"):
        made(plugin, required=["auth"], order={"auth": "before:logging"})


def test_an_installed_plugin_with_the_name_of_a_built_in_one_is_left_out(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the environment or `autoload` asks for it; and the built-in one does not pass for it."""
    offer(installed, monkeypatch, retry=Both())
    said = "is called 'retry', which is the name of a built-in one; give it one that is its own"
    assert users(made(autoload=True)) == []
    assert warnings_of(caplog) == [f"The plugin 'retry#2' is left out: it {said}"]
    for required in (True, ["retry"]):
        with pytest.raises(PluginError, match=f"The plugin 'retry#2' is required, but it {said}"):
            made(autoload=True, required=required)


def test_required_means_all_that_have_the_name(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object does not pass for the installed one of its name, nor the other way round."""
    offer(installed, monkeypatch, audit=None, sound=OnlyAttempts())
    with pytest.raises(PluginError, match="The plugin 'audit#2' is required, but it cannot be loaded"):
        made(Both("audit"), "audit", required=["audit"])
    with pytest.raises(PluginError, match="The plugin 'audit' is required, but it cannot be loaded"):
        made("audit", Both("audit"), required=["audit"])
    with pytest.raises(PluginError, match="The plugin 'audit' is required, but without leaves out 'audit#2'"):
        made(Both("audit"), Both("audit"), required=["audit"], without=["audit#2"])
    made(Both("sound"), "sound", required=["sound"])


@pytest.mark.parametrize("arguments", [{"without": ["audit"]}, {"order": {"audit": "before:retry"}}])
def test_a_name_that_may_mean_two_plugins_is_refused(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]
) -> None:
    """The environment can bring the second. The name that explain() tells of each means that one."""
    offer(installed, monkeypatch, audit=OnlyAttempts())
    monkeypatch.setenv("LANGCACHE_PLUGINS", "audit")
    said = (
        "'audit' may be one that plugins asks for and one that LANGCACHE_PLUGINS asks for; give each a name of its own"
    )
    with pytest.raises(PluginError, match=f"{next(iter(arguments))}: {said}"):
        made(Both("audit"), **arguments)
    assert users(made(Both("audit"), without=["audit#2"])) == ["audit", "audit"]


@pytest.mark.parametrize(
    ("plugin", "hooks"),
    [
        (OnlyAttempts(), ["langcache_attempt_middleware"]),
        (Both("OnlyAttempts"), ["langcache_attempt_middleware", "langcache_call_middleware"]),
    ],
)
def test_a_required_plugin_has_a_hook_that_is_not_switched_off(plugin: object, hooks: list[str]) -> None:
    without = [f"OnlyAttempts.{hook}" for hook in hooks]
    with pytest.raises(PluginError, match="'OnlyAttempts' is required, but without switches off all of its hooks"):
        made(plugin, required=["OnlyAttempts"], without=without)
    assert made(plugin, required=True, without=without).explain()  # here the program says both of the same


def test_a_name_that_cannot_be_told_is_an_error_in_words() -> None:
    class Failed(OnlyAttempts):
        @property
        def name(self) -> str:
            raise RuntimeError("no name yet")

    with pytest.raises(PluginError, match=r"The plugin .*Failed cannot tell its name: RuntimeError") as caught:
        made(Failed())
    assert isinstance(caught.value.__cause__, RuntimeError)


class Ending(BaseException):
    """An error that is no Exception, as some frameworks have them."""


@pytest.mark.parametrize("error", [SystemExit(3), Ending("now")])
@pytest.mark.parametrize("hook", ["langcache_call_middleware", "langcache_composed"])
def test_an_installed_plugin_cannot_end_the_program_that_makes_a_client(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, hook: str,
    error: BaseException,
) -> None:  # fmt: skip
    def end() -> None:
        raise error

    plugin: Any = ModuleType("ending")
    setattr(plugin, hook, hookimpl(end))
    offer(installed, monkeypatch, ending=plugin)
    assert users(made("ending")) == []
    [warning] = warnings_of(caplog)
    assert f"fails in {hook}" in warning
    with pytest.raises(PluginError, match=f"'ending' is required, but it fails in {hook}: {type(error).__name__}: "):
        made("ending", required=["ending"])


def test_an_interrupt_by_the_user_is_not_taken_for_a_plugins_failure(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    for hook in ("langcache_call_middleware", "langcache_composed"):
        plugin: Any = ModuleType("interrupted")
        setattr(plugin, hook, hookimpl(interrupt))
        offer(installed, monkeypatch, interrupted=plugin)
        with pytest.raises(KeyboardInterrupt):
            made("interrupted")


@pytest.mark.parametrize("style", ["wrapper", "hookwrapper"])
def test_a_wrapper_of_a_hook_for_middleware_is_refused(style: str) -> None:
    """It would see no list; the middleware that it returns is what wraps."""

    def wrap() -> Iterator[None]:
        yield

    class Wrapping:
        langcache_call_middleware = staticmethod(
            hookimpl(wrap, wrapper=style == "wrapper", hookwrapper=style != "wrapper")
        )

    with pytest.raises(PluginError, match="Wrapping wraps 'langcache_call_middleware', but there is no list to wrap"):
        made(Wrapping())


def test_a_wrapper_of_a_hook_for_transports_sees_the_transport() -> None:
    seen: list[object] = []

    class Wrapping:
        @hookimpl(wrapper=True)
        def langcache_transport(self) -> Generator[None, Transport | None, Transport | None]:
            transport = yield
            seen.append(transport)
            return transport

    client = LangCache("embedded://", cache_id="c", plugins=[Wrapping()])
    assert client.search(prompt="p").data == []
    assert [type(each).__name__ for each in seen] == ["NoneType", "EmbeddedTransport"]


def test_an_argument_with_a_default_is_given_the_settings() -> None:
    given: list[object] = []

    class Asking:
        @hookimpl
        def langcache_call_middleware(self, settings: Any = None) -> None:
            given.append(settings.cache_id)

    made(Asking())
    assert given == ["c"]


def test_metadata_that_cannot_be_read_takes_nothing_down(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A stranger's damaged distribution: the client is made, with one warning for each look at the metadata."""

    def damaged(group: str) -> Any:
        raise TypeError("an entry point without a value")

    monkeypatch.setattr("importlib.metadata.entry_points", damaged)
    discovery._installed.cache_clear()  # pyright: ignore[reportPrivateUsage]
    try:
        client = made("audit", autoload=True)
        assert section(client, "Left out") == ["audit: it is not installed; installed are none"]
    finally:
        discovery._installed.cache_clear()  # pyright: ignore[reportPrivateUsage]
    assert warnings_of(caplog) == [
        "The entry points of the installed distributions cannot be read: TypeError('an entry point without a value')",
        "The plugin 'audit' is left out: it is not installed; installed are none",
    ]
