"""Where a plugin's middleware stands, where pluggy's order is overridden by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache import Next, Request, Response, Steps, hookimpl
from langcache.errors import PluginError
from langcache.governance.ordering import Layer, checked_order, in_order, outside_of, refuse_outside
from tests.conftest import Installed
from tests.explained import attempt_stage, call_stage
from tests.governance.stand_ins import Both, OnlyAttempts, OnlyCalls, made, offer, passing

CALL = ["identity", "statistics", "fail_open", "parsing", "deadline", "circuit_breaker", "retry"]
ATTEMPT = ["auth", "logging", "error_mapping", "redirects"]


def ordered(names: str, order: dict[str, str]) -> str:
    """Order layers that are named with one letter each."""
    return "".join(layer.plugin for layer in in_order([Layer(name, passing) for name in names], checked_order(order)))


def test_before_is_directly_outside_and_after_directly_inside() -> None:
    client = made(Both(), order={"both": "before:retry"})
    assert call_stage(client) == [*CALL[:-1], "both", "retry"]
    assert attempt_stage(client) == ["both", *ATTEMPT]
    client = made(Both(), order={"both": "after:auth"})
    assert call_stage(client) == [*CALL[:5], "both", *CALL[5:]]
    assert attempt_stage(client) == ["auth", "both", "logging", "error_mapping", "redirects"]


def test_built_in_middleware_can_be_moved_too() -> None:
    assert attempt_stage(made(order={"logging": "before:auth"}))[:2] == ["logging", "auth"]


@pytest.mark.parametrize(
    ("order", "result"),
    [
        ({}, "abcd"),
        ({"d": "before:a"}, "dabc"),
        ({"a": "after:d"}, "bcda"),
        ({"a": "after:b"}, "bacd"),
        ({"c": "before:a", "d": "before:a"}, "cdab"),
        ({"c": "after:a", "b": "after:a"}, "acbd"),
        ({"c": "before:b", "b": "before:a"}, "cbad"),
        ({"b": "before:a", "c": "before:b"}, "cbad"),
        ({"a": "after:b", "b": "after:d", "c": "before:b"}, "dcba"),
        ({"a": "before:x"}, "abcd"),
    ],
)
def test_several_overrides_hold_together(order: dict[str, str], result: str) -> None:
    """Those that go to one place stand as they are given; what goes beside something that moves goes with it."""
    assert ordered("abcd", order) == result


@pytest.mark.parametrize(
    ("names", "result"),
    [
        ("iab", "iab"),
        ("iAab", "iAab"),
        ("iaAb", "iAab"),
        ("iabAsB", "iABabs"),
        ("iAsaB", "iAsBa"),
        ("isA", "isA"),
    ],
)
def test_what_has_to_see_all_others_stands_outside_of_them_and_where_it_is_otherwise(names: str, result: str) -> None:
    """Capital letters ask for it; "i" and "s" are built in."""

    class Seeing:
        stands_outside = True

        def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
            return passing(request, call_next)

    layers = [Layer(name, Seeing() if name.isupper() else passing) for name in names]
    assert "".join(layer.plugin for layer in outside_of(set("abAB"), layers)) == result


@pytest.mark.parametrize(("names", "wrong"), [("iABab", None), ("iAsBa", None), ("iaA", "a"), ("isAbBa", "b")])
def test_an_order_that_has_something_outside_of_what_has_to_see_it_is_refused(names: str, wrong: str | None) -> None:
    class Seeing:
        stands_outside = True

        def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
            return passing(request, call_next)

    layers = [Layer(name, Seeing() if name.isupper() else passing) for name in names]
    if wrong is None:
        refuse_outside(set("abAB"), layers)
        return
    with pytest.raises(PluginError, match=f"order: '{wrong}' stands outside of '[AB]', which has to see what it does"):
        refuse_outside(set("abAB"), layers)


def test_all_middleware_of_a_plugin_is_moved_and_all_of_it_is_stood_beside() -> None:
    assert ordered("abacd", {"a": "after:c"}) == "bcaad"
    assert ordered("abacd", {"c": "before:a"}) == "cabad"
    assert ordered("abacd", {"b": "after:a"}) == "aabcd"


@given(st.permutations("abcdef"), st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("abcdef"), max_size=5))
def test_no_override_loses_or_doubles_a_layer(names: list[str], targets: dict[str, str]) -> None:
    """Whatever is not refused as a circle keeps all layers, and has each that is moved on its side of the target."""
    order = {name: f"before:{target}" for name, target in targets.items()}
    try:
        result = ordered("".join(names), order)
    except PluginError as error:
        assert "in a circle" in str(error)  # noqa: PT017 - some are refused
        return
    assert sorted(result) == sorted(names)
    assert all(result.index(name) < result.index(target) for name, target in targets.items())


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({"both": "before:both"}, "order goes in a circle: 'both' beside 'both'"),
        ({"both": "before:retry", "retry": "after:both"}, "a circle: 'both' beside 'retry' beside 'both'"),
        ({"auth": "before:both", "both": "after:retry", "retry": "before:both"}, "circle: 'both' beside 'retry' bes"),
        ({"both": "retry"}, "order: 'both' must be given \"before:NAME\" or \"after:NAME\", not 'retry'"),
        ({"both": "beside:retry"}, "order: 'both' must be given .*, not 'beside:retry'"),
        ({"both": "before:"}, "order: 'both' must be given .*, not 'before:'"),
        ({"both": 1}, "order: 'both' must be given .*, not 1"),
        ({1: "before:retry"}, "order: 1 must be given"),
        (["before:retry"], 'order must be a mapping such as {"my_plugin": "before:retry"}, not list'),
        ({"bth": "before:retry"}, r"order: there is no plugin 'bth' \(did you mean 'both'\?\); there are logging"),
        ({"both": "before:retries"}, r"order: there is no plugin 'retries' \(did you mean 'retry'\?\)"),
        ({"calls": "before:auth"}, "order: 'calls' cannot stand before 'auth': 'calls' sees a call once, and 'auth' s"),
        ({"calls": "after:OnlyAttempts"}, "'calls' sees a call once, and 'OnlyAttempts' sees every attempt"),
        ({"both": "after:Offering"}, "'both' sees a call once and every attempt, and 'Offering' has no middleware"),
    ],
)
def test_an_order_that_cannot_be_is_refused_in_words(order: Any, said: str) -> None:
    class Calls(OnlyCalls):
        name = "calls"

    class Offering:
        @hookimpl
        def langcache_transport(self) -> None:
            return None

    with pytest.raises(PluginError, match=said):
        made(Both(), Calls(), OnlyAttempts(), Offering(), order=order)


def test_what_is_left_out_by_the_same_call_has_no_place() -> None:
    with pytest.raises(PluginError, match="order: without leaves out 'retry', so it has no place"):
        made(Both(), order={"both": "before:retry"}, without=["retry"])


def test_a_plugin_that_is_not_there_needs_no_place(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is broken, or that nothing asks for, or that has nothing to do with these settings, is no failure."""

    class Idle:
        @hookimpl
        def langcache_call_middleware(self) -> None:
            return None

    offer(installed, monkeypatch, broken=None, unasked=Both())
    order = {"broken": "before:retry", "unasked": "before:auth", "Idle": "before:auth", "both": "after:Idle"}
    client = made("broken", Idle(), Both(), order=order)
    assert call_stage(client) == [*CALL[:5], "both", *CALL[5:]]
