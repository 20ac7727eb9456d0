"""How a provider is asked for the key, stepped by hand: no clock, no socket, no mock."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import traceback
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from langcache import Credential, Steps
from langcache.credentials import Provided
from langcache.errors import ConfigurationError, DeadlineExceeded, LangCacheError
from langcache.middleware.keys import LONGEST_FLIGHT, REST, Key, Keys
from langcache.secret import Secret
from langcache.steps import Resolve, Wait
from tests.cycles import freed_at_once
from tests.interruptions import interrupted
from tests.middleware.stepping import Clock

K1, K2 = Secret("k1"), Secret("k2")


class Call:
    """A call that wants a key: its generator, and what it asks for just now."""

    def __init__(self, keys: Keys, refused: Key = None) -> None:
        self.steps: Steps[Key] = keys.ask(refused)
        self.key: Key = None
        self.error: BaseException | None = None
        self.has_ended = False
        self.command: object = None
        self._go(lambda: next(self.steps))

    def _go(self, resume: Callable[[], object]) -> None:
        try:
            self.command = resume()
        except StopIteration as stop:
            self.has_ended, self.key = True, stop.value
        except BaseException as error:  # noqa: BLE001 - whatever it ends with
            self.has_ended, self.error = True, error

    @property
    def question(self) -> Callable[[], Any]:
        """What the driver is to call, where this call is the one that asks."""
        assert isinstance(self.command, Resolve)
        return self.command.provider

    @property
    def future(self) -> Future[Any]:
        """What the driver is to wait for, where another call asks."""
        assert isinstance(self.command, Wait)
        assert isinstance(self.command.future, Future)
        return self.command.future

    @property
    def asks(self) -> bool:
        return not self.has_ended and isinstance(self.command, Resolve)

    @property
    def waits(self) -> bool:
        return not self.has_ended and isinstance(self.command, Wait)

    def send(self, answer: object) -> None:
        self._go(lambda: self.steps.send(answer))

    def throw(self, error: BaseException) -> None:
        self._go(lambda: self.steps.throw(error))

    def ask(self) -> None:
        """Ask the provider, as a driver does."""
        try:
            answer = self.question()
        except BaseException as error:  # noqa: BLE001 - everything is the generator's to see
            self.throw(error)
        else:
            self.send(answer)

    def arrive(self) -> None:
        """Go on with what has come of the other call, as a driver does."""
        assert self.future.done()
        self.send(self.future.result())


class Provider:
    """Gives these, one after another, and counts how often it is asked."""

    def __init__(self, *given: Provided | BaseException) -> None:
        self.given = list(given)
        self.asked = 0

    def __call__(self) -> Provided:
        self.asked += 1
        key = self.given.pop(0)
        if isinstance(key, BaseException):
            raise key
        return key


def keys_of(provider: Callable[[], Any], clock: Clock | None = None) -> Keys:
    return Keys(provider, clock or Clock())


def a_leader_and_two_who_wait(keys: Keys) -> tuple[Call, Call, Call]:
    leader, one, other = Call(keys), Call(keys), Call(keys)
    assert leader.asks
    assert one.waits
    assert other.waits
    return leader, one, other


# One asks for all


def test_one_call_asks_and_the_others_get_what_comes_of_it() -> None:
    provider = Provider(Credential("k1"))
    calls = leader, one, other = a_leader_and_two_who_wait(keys_of(provider))
    assert not one.future.done()
    leader.ask()
    one.arrive()
    other.arrive()
    assert [call.key for call in calls] == [K1] * 3
    assert provider.asked == 1


def test_those_who_wait_have_it_as_soon_as_the_provider_has_returned() -> None:
    """They need not wait for the call that asked, which may have been put aside."""
    keys = keys_of(Provider(Credential("k1")))
    leader, one, _ = a_leader_and_two_who_wait(keys)
    leader.question()
    one.arrive()
    assert (one.key, Call(keys).key) == (K1, K1)


def test_a_credential_that_expires_at_once_is_for_those_who_have_waited_for_it() -> None:
    keys = keys_of(Provider(Credential("k1", 0), Credential("k2", 0)))
    leader, one, _ = a_leader_and_two_who_wait(keys)
    leader.ask()
    one.arrive()
    assert one.key == K1
    assert Call(keys).asks


def test_all_whose_key_was_refused_get_the_other_one() -> None:
    provider = Provider(Credential("k1"), Credential("k2"))
    keys = keys_of(provider)
    Call(keys).ask()
    calls = leader, one, other = Call(keys, K1), Call(keys, K1), Call(keys, K1)
    leader.ask()
    one.arrive()
    other.arrive()
    assert [call.key for call in calls] == [K2] * 3
    assert (Call(keys).key, Call(keys, K1).key) == (K2, K2)
    assert provider.asked == 2


def test_the_provider_may_have_the_refused_key_again() -> None:
    """Then there is nothing else to try, and the 401 is raised; a 401 that comes later asks again."""
    clock = Clock()
    keys = keys_of(Provider(Credential("k1"), Credential("k1"), Credential("k2")), clock)
    Call(keys).ask()
    leader, one = Call(keys, K1), Call(keys, K1)
    leader.ask()
    one.arrive()
    assert (leader.key, one.key) == (K1, K1)
    assert Call(keys).key == K1
    clock.now = REST - 0.001
    assert Call(keys, K1).key == K1
    clock.now = REST
    assert Call(keys, K1).asks


def test_a_key_that_is_given_up_is_not_asked_for_again_for_a_while() -> None:
    """A service that refuses every key is not asked twice for each call, nor the provider once."""
    clock, provider = Clock(), Provider(Credential("k1"), Credential("k2"))
    keys = keys_of(provider, clock)
    Call(keys).ask()
    keys.give_up(K1)
    assert Call(keys, K1).key == K1
    assert Call(keys, K2).key == K1, "another key is another matter"
    clock.now = REST
    assert Call(keys, K1).asks
    assert provider.asked == 1


# The provider's failure is everybody's, and each one's own


def test_the_providers_failure_is_that_of_all_who_wait() -> None:
    provider = Provider(LookupError("no vault"))
    calls = leader, one, other = a_leader_and_two_who_wait(keys_of(provider))
    leader.ask()
    one.arrive()
    other.arrive()
    assert [repr(call.error) for call in calls] == ["LookupError('no vault')"] * 3
    assert len({id(call.error) for call in calls}) == 3
    assert provider.asked == 1


def test_the_failure_of_one_call_holds_nothing_of_another() -> None:
    """Neither its frames, in which its prompt is, nor what middleware notes on the error."""
    keys = keys_of(Provider(ConfigurationError("no vault")))
    leader, one, _ = a_leader_and_two_who_wait(keys)

    def of_the_leader() -> None:
        leader.ask()

    of_the_leader()
    one.arrive()
    assert isinstance(leader.error, LangCacheError)
    leader.error.client_request_id = "the leader's"
    assert isinstance(one.error, ConfigurationError)
    assert one.error.client_request_id is None
    frames = [frame.name for frame in traceback.extract_tb(one.error.__traceback__)]
    assert "of_the_leader" not in frames
    assert "provider" not in frames


def test_the_cause_of_the_failure_is_told_to_all() -> None:
    def provider() -> str:
        raise LookupError("no key") from ConnectionError("no vault")

    leader, one, _ = a_leader_and_two_who_wait(keys_of(provider))
    leader.ask()
    one.arrive()
    assert one.error is not None
    assert repr(one.error.__cause__) == "ConnectionError('no vault')"
    assert one.error.__suppress_context__


class WithoutCopiesError(Exception):
    """Python copies an exception by calling its class with its arguments."""

    def __init__(self, vault: str, *, reason: str) -> None:
        super().__init__(vault)
        self.reason = reason


class ChangelingError(Exception):
    """Its copy is something else."""

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return str, ("no exception",)


@pytest.mark.parametrize("error", [WithoutCopiesError("v", reason="r"), ChangelingError()])
def test_a_failure_that_cannot_be_copied_is_told_to_all_as_it_is(error: Exception) -> None:
    leader, one, other = a_leader_and_two_who_wait(keys_of(Provider(error)))
    leader.ask()
    one.arrive()
    other.arrive()
    assert leader.error is one.error is other.error is error


def test_after_a_failure_the_next_call_asks_again() -> None:
    keys = keys_of(Provider(LookupError(), Credential("k1")))
    Call(keys).ask()
    again = Call(keys)
    again.ask()
    assert again.key == K1


def test_a_key_that_expires_while_the_provider_fails_is_not_used() -> None:
    clock = Clock()
    keys = keys_of(Provider(Credential("k1", 1), LookupError()), clock)
    Call(keys).ask()
    clock.now = 1.0
    call = Call(keys)
    call.ask()
    assert isinstance(call.error, LookupError)


@pytest.mark.parametrize("given", [b"s3cret", 5, ["s3cret"], str])
def test_what_is_no_key_is_refused_for_all_and_not_shown(given: Any) -> None:
    leader, one, _ = a_leader_and_two_who_wait(keys_of(Provider(given)))
    leader.ask()
    one.arrive()
    for call in (leader, one):
        assert isinstance(call.error, ConfigurationError)
        assert str(call.error) == f"The API key must be a string, not {type(given).__name__}"
        told = traceback.TracebackException.from_exception(call.error, capture_locals=True)
        assert not [frame for frame in told.stack if "keys.py" in frame.filename and "s3cret" in str(frame.locals)]


# What befalls the call that asks is its own matter


@pytest.mark.parametrize(
    "error", [DeadlineExceeded("over"), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit()]
)
def test_where_the_call_that_asks_ends_before_another_one_asks(error: BaseException) -> None:
    """The next that goes on asks; those behind it wait for that one then."""
    provider = Provider(Credential("k1"))
    leader, one, other = a_leader_and_two_who_wait(keys_of(provider))
    if isinstance(error, GeneratorExit):
        leader.steps.close()
    else:
        leader.throw(error)
        assert leader.error is error
    one.arrive()
    assert one.asks
    other.arrive()
    assert other.waits
    one.ask()
    other.arrive()
    assert (one.key, other.key) == (K1, K1)
    assert provider.asked == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError()])
def test_an_interrupt_of_the_provider_is_no_failure_of_its(error: BaseException) -> None:
    leader, one, _ = a_leader_and_two_who_wait(keys_of(Provider(error, Credential("k1"))))
    leader.ask()
    assert leader.error is error
    one.arrive()
    one.ask()
    assert one.key == K1


def test_a_call_that_waits_can_end_without_the_others() -> None:
    leader, one, other = a_leader_and_two_who_wait(keys_of(Provider(Credential("k1"))))
    assert not one.future.cancel()
    one.throw(DeadlineExceeded("over"))
    assert isinstance(one.error, DeadlineExceeded)
    assert not other.future.done()
    leader.ask()
    other.arrive()
    assert other.key == K1


def test_a_question_that_is_asked_when_the_call_has_gone_asks_nobody() -> None:
    """A thread that begins at last: nobody waits for it, and another call may be asking."""
    provider = Provider(Credential("k1"))
    leader, one, _ = a_leader_and_two_who_wait(keys_of(provider))
    question = leader.question
    leader.throw(DeadlineExceeded("over"))
    one.arrive()
    assert question() is None
    assert provider.asked == 0
    one.ask()
    assert one.key == K1


# A flight is waited for as long as it may take


def test_a_provider_that_hangs_is_given_up_by_those_who_wait() -> None:
    """The first asks anew, and the others wait for what comes of that."""
    clock, provider = Clock(), Provider(Credential("k1"))
    keys = keys_of(provider, clock)
    hanging, one, other = a_leader_and_two_who_wait(keys)
    assert hanging.asks
    assert isinstance(one.command, Wait)
    assert one.command.timeout == LONGEST_FLIGHT
    clock.now = LONGEST_FLIGHT
    one.throw(TimeoutError("not done"))
    assert one.asks
    other.arrive()
    assert other.waits
    one.ask()
    other.arrive()
    assert (one.key, other.key, provider.asked) == (K1, K1, 1)


def test_a_call_that_comes_later_waits_for_what_is_left_of_a_flight_or_asks_itself() -> None:
    clock = Clock()
    keys = keys_of(Provider(Credential("k1")), clock)
    hanging = Call(keys)
    assert hanging.asks
    clock.now = LONGEST_FLIGHT - 1
    late = Call(keys)
    assert isinstance(late.command, Wait)
    assert late.command.timeout == 1
    clock.now = LONGEST_FLIGHT
    assert Call(keys).asks


def test_what_a_flight_brings_that_was_given_up_is_for_its_call_alone() -> None:
    """It may be older than what others have got meanwhile."""
    clock, others = Clock(), list[Call]()

    def provider() -> Credential:
        if others:
            return Credential("k2")
        clock.now = LONGEST_FLIGHT
        contextvars.Context().run(another_asks)
        return Credential("k1")

    def another_asks() -> None:
        others.append(Call(keys))
        others[0].ask()

    keys = keys_of(provider, clock)
    hanging = Call(keys)
    hanging.ask()
    assert (hanging.key, others[0].key, Call(keys).key) == (K1, K2, K2)


def test_a_question_that_begins_after_its_flight_was_given_up_is_still_its_calls() -> None:
    """An event loop that was held up for so long, say: the call has a key, and does not go without one."""
    clock = Clock()
    keys = keys_of(Provider(Credential("k1"), Credential("k2")), clock)
    late = Call(keys)
    clock.now = LONGEST_FLIGHT
    Call(keys).ask()
    late.ask()
    assert (late.key, Call(keys).key) == (K2, K1)


def test_a_wait_that_ends_too_soon_is_gone_on_with() -> None:
    """A clock may round, or be set."""
    keys = keys_of(Provider(Credential("k1")))
    leader, one, _ = a_leader_and_two_who_wait(keys)
    one.throw(TimeoutError("not done"))
    assert one.waits
    leader.ask()
    one.arrive()
    assert one.key == K1


# A provider that goes on in its thread, when the call that asked has ended


class Left:
    """A provider which is still at it when the call that asks it has no more time."""

    def __init__(self, given: object) -> None:
        self.given = given
        self.leader: Call | None = None
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self) -> Any:
        leader, self.leader = self.leader, None
        if leader is not None:
            leader.throw(DeadlineExceeded("over"))
            self.meanwhile()
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


def test_what_the_provider_gives_later_is_for_those_who_wait_and_those_who_come() -> None:
    provider = Left(Credential("k1"))
    keys = keys_of(provider)
    leader, one, _ = a_leader_and_two_who_wait(keys)
    provider.leader = leader
    provider.meanwhile = lambda: pytest.fail("it is not waited for") if one.future.done() else None
    leader.question()
    assert isinstance(leader.error, DeadlineExceeded)
    one.arrive()
    assert (one.key, Call(keys).key) == (K1, K1)


def test_a_later_failure_is_that_of_all_who_wait() -> None:
    provider = Left(LookupError("no vault"))
    leader, one, _ = a_leader_and_two_who_wait(keys_of(provider))
    provider.leader = leader
    with pytest.raises(LookupError):
        leader.question()
    one.arrive()
    assert isinstance(one.error, LookupError)


def test_a_later_bare_key_is_nobodys() -> None:
    provider = Left("k1")
    leader, one, _ = a_leader_and_two_who_wait(keys_of(provider))
    provider.leader = leader
    leader.question()
    one.arrive()
    assert one.asks


def test_an_awaitable_that_comes_when_nobody_awaits_it_any_more_ends_the_waiting() -> None:
    """Nobody would ever learn what it gives, and the others would wait for ever."""

    async def vault() -> Credential:
        raise AssertionError("never run")

    provider = Left(vault())
    leader, one, _ = a_leader_and_two_who_wait(keys_of(provider))
    provider.leader = leader
    leader.question().close()
    one.arrive()
    assert one.asks


# Async providers


class Pause:
    """Something that is awaited until it is done."""

    def __await__(self) -> Any:
        yield


class Vault:
    """An async provider: it gives what it is told to when it is gone on with."""

    def __init__(self) -> None:
        self.given: Provided | Exception = None

    async def ask(self) -> Provided:
        await Pause()
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


def asynchronous(vault: Vault) -> Callable[[], Awaitable[Provided]]:
    """Return a coroutine function."""
    return vault.ask


def later(vault: Vault) -> Callable[[], Awaitable[Provided]]:
    """Return a plain callable whose result is to be awaited."""
    return lambda: vault.ask()


def begun(question: Callable[[], Any]) -> Coroutine[Any, Any, Any]:
    """Await what the question returns, in a context of its own as a task does, up to where the provider waits."""

    async def main() -> Any:
        return await question()

    running = main()
    contextvars.copy_context().run(running.send, None)
    return running


ProviderOf = Callable[[Vault], Callable[[], Any]]
both_kinds = pytest.mark.parametrize("provider_of", [asynchronous, later])


@both_kinds
def test_an_async_provider_is_asked_once_for_all(provider_of: ProviderOf) -> None:
    vault = Vault()
    leader, one, _ = a_leader_and_two_who_wait(keys_of(provider_of(vault)))
    running = begun(leader.question)
    assert not one.future.done()
    vault.given = Credential("k1")
    with pytest.raises(StopIteration) as stop:
        running.send(None)
    one.arrive()
    leader.send(stop.value.value)
    assert (one.key, leader.key) == (K1, K1)


@both_kinds
def test_those_who_wait_know_whose_event_loop_they_wait_for(provider_of: ProviderOf) -> None:
    """A sync call in it is refused, or the loop would be held up for ever."""
    keys = keys_of(provider_of(Vault()))
    leader = Call(keys)
    running = begun(leader.question)
    command = Call(keys).command
    assert isinstance(command, Wait)
    assert command.thread == threading.get_ident()
    running.close()


def test_a_plain_provider_needs_no_event_loop() -> None:
    _, one, _ = a_leader_and_two_who_wait(keys_of(Provider(Credential("k1"))))
    assert isinstance(one.command, Wait)
    assert one.command.thread is None


@both_kinds
def test_the_failure_of_an_async_provider_is_that_of_all(provider_of: ProviderOf) -> None:
    vault = Vault()
    leader, one, _ = a_leader_and_two_who_wait(keys_of(provider_of(vault)))
    running = begun(leader.question)
    vault.given = LookupError("no vault")
    with pytest.raises(LookupError) as caught:
        running.send(None)
    leader.throw(caught.value)
    one.arrive()
    assert repr(one.error) == repr(leader.error) == "LookupError('no vault')"


@both_kinds
def test_an_async_provider_that_is_cancelled_with_its_call_is_asked_by_another_one(provider_of: ProviderOf) -> None:
    vault = Vault()
    vault.given = Credential("k1")
    leader, one, _ = a_leader_and_two_who_wait(keys_of(provider_of(vault)))
    running = begun(leader.question)
    with pytest.raises(asyncio.CancelledError) as caught:
        running.throw(asyncio.CancelledError())
    leader.throw(caught.value)
    one.arrive()
    running = begun(one.question)
    with pytest.raises(StopIteration) as stop:
        running.send(None)
    one.send(stop.value.value)
    assert one.key == K1


@both_kinds
def test_an_async_provider_that_will_not_be_cancelled_holds_nobody_up(provider_of: ProviderOf) -> None:
    """Its call has gone without it, and what it gives then is nobody's."""
    vault = Vault()
    keys = keys_of(provider_of(vault))
    leader, one, _ = a_leader_and_two_who_wait(keys)
    running = begun(leader.question)
    leader.throw(DeadlineExceeded("over"))
    one.arrive()
    assert one.asks
    vault.given = Credential("k1")
    with pytest.raises(StopIteration):
        running.send(None)
    assert Call(keys).waits


@both_kinds
def test_no_frame_has_an_async_providers_bare_key(provider_of: ProviderOf) -> None:
    """What is passed on is a secret already."""
    vault = Vault()
    vault.given = "s3cret"
    leader = Call(keys_of(provider_of(vault)))
    running = begun(leader.question)
    with pytest.raises(StopIteration) as stop:
        running.send(None)
    assert stop.value.value == Secret("s3cret")
    assert "s3cret" not in repr(stop.value.value)


@both_kinds
def test_an_async_provider_that_is_never_awaited_can_be_closed(provider_of: ProviderOf) -> None:
    """As the sync driver does, which refuses it; Python warns otherwise, and the tests take that for an error."""
    leader = Call(keys_of(provider_of(Vault())))
    leader.question().close()
    gc.collect()


def test_an_awaitable_that_is_no_coroutine_needs_no_close() -> None:
    class Given:
        def __await__(self) -> Any:
            yield from ()
            return "k1"

    leader = Call(keys_of(lambda: Given()))
    answer = leader.question()
    answer.close()
    with pytest.raises(StopIteration) as stop:
        answer.__await__().send(None)
    assert stop.value.value == K1


# Bare keys are one call's alone


def test_those_who_wait_for_a_bare_key_ask_for_themselves() -> None:
    """What a provider gives is not known before it gives it; and it may have decided by the caller."""
    calls = leader, one, other = a_leader_and_two_who_wait(keys_of(Provider("k1", "k2", "k3")))
    leader.ask()
    one.arrive()
    other.arrive()
    assert one.asks
    assert other.asks
    other.ask()
    one.ask()
    assert [call.key for call in calls] == [K1, Secret("k3"), K2]


def test_once_that_is_known_nobody_waits_for_another_one() -> None:
    keys = keys_of(Provider("k1", "k2", "k3"))
    Call(keys).ask()
    one, other = Call(keys), Call(keys, K1)
    assert one.asks
    assert other.asks


def test_that_there_is_no_key_is_not_kept() -> None:
    keys = keys_of(Provider(None, "k1"))
    call = Call(keys)
    call.ask()
    assert (call.key, call.error) == (None, None)
    assert Call(keys).asks


def test_a_provider_may_come_to_allow_it_and_cease_to() -> None:
    keys = keys_of(Provider("bare", Credential("k1"), "bare again", "and again", Credential("k2")))
    for _ in range(2):
        Call(keys).ask()
    assert Call(keys).key == K1
    leader, one = Call(keys, K1), Call(keys, K1)
    leader.ask()
    one.arrive()
    assert leader.key == Secret("bare again")
    assert one.asks
    assert Call(keys).asks, "the old one was refused"
    one.ask()
    last = Call(keys)
    last.ask()
    assert (last.key, Call(keys).key) == (K2, K2)


# A provider that uses the client


def test_a_provider_that_needs_the_key_itself_is_told_so_and_does_not_wait_for_ever() -> None:
    """By its own call of the client, directly or in an event loop that it runs."""
    inner: list[Call] = []

    def provider() -> Credential:
        inner.append(Call(keys))
        raise inner[0].error or AssertionError("it would wait for itself")

    keys = keys_of(provider)
    outer = Call(keys)
    outer.ask()
    assert isinstance(outer.error, ConfigurationError)
    assert "The key provider uses the client that waits for its key" in str(outer.error)


def test_a_provider_of_bare_keys_that_needs_the_key_itself_is_told_so_too() -> None:
    """It would go on until the stack is full."""
    asked: list[str] = []

    def provider() -> str:
        asked.append(f"k{len(asked)}")
        if len(asked) > 1:
            raise Call(keys).error or AssertionError("it would ask for ever")
        return asked[0]

    keys = keys_of(provider)
    Call(keys).ask()
    outer = Call(keys)
    outer.ask()
    assert isinstance(outer.error, ConfigurationError)


def test_once_the_provider_has_returned_its_context_may_use_the_client() -> None:
    """What it has begun, such as a task that keeps the key fresh, has a copy of that context."""
    contexts: list[contextvars.Context] = []

    def provider() -> Credential:
        contexts.append(contextvars.copy_context())
        return Credential("k1")

    keys = keys_of(provider)
    Call(keys).ask()
    assert contexts[0].run(lambda: Call(keys)).key == K1


def test_a_provider_may_use_a_client_with_another_provider() -> None:
    other = keys_of(Provider(Credential("k2")))

    def provider() -> Credential:
        call = Call(other)
        call.ask()
        assert call.key is not None
        return Credential(call.key)

    outer = Call(keys_of(provider))
    outer.ask()
    assert outer.key == K2


def test_another_thread_may_wait_while_one_is_in_the_provider() -> None:
    waiting: list[Call] = []

    def provider() -> Credential:
        thread = threading.Thread(target=lambda: waiting.append(Call(keys)))
        thread.start()
        thread.join()
        return Credential("k1")

    keys = keys_of(provider)
    Call(keys).ask()
    waiting[0].arrive()
    assert waiting[0].key == K1


# What failures leave behind


def without_a_vault() -> str:
    raise LookupError("no vault")


@pytest.mark.parametrize("provider", [without_a_vault, lambda: b"no key"])
@pytest.mark.parametrize("waits", [False, True])
def test_a_failed_call_leaves_no_reference_cycle(provider: Callable[[], Any], waits: bool) -> None:
    """It would hold the frames of the call, with its request, until the next collection."""

    def ask(keys: Keys) -> None:
        steps = keys.ask()
        command = next(steps)
        assert isinstance(command, Resolve)
        try:
            command.provider()
        except (LookupError, ConfigurationError) as error:
            steps.throw(error)

    def wait(keys: Keys) -> None:
        leader, steps = keys.ask(), keys.ask()
        asks, waits = next(leader), next(steps)
        assert isinstance(asks, Resolve)
        assert isinstance(waits, Wait)
        with suppress(LookupError, ConfigurationError):
            asks.provider()
        steps.send(waits.future.result())

    def fail() -> weakref.ref[Keys]:
        keys = keys_of(provider)
        with pytest.raises((LookupError, ConfigurationError)):
            (wait if waits else ask)(keys)
        return weakref.ref(keys)

    assert freed_at_once(fail)


# Any order


class Asking(threading.Thread):
    """A thread that is in the provider until it is told what comes of it."""

    def __init__(self, question: Callable[[], Any], provider: Scripted) -> None:
        super().__init__()
        self.answer: object = None
        self.error: BaseException | None = None
        self.question = question
        self.provider = provider
        self.outcome: object = None
        self.go_on = threading.Event()
        provider.entered.clear()
        self.start()
        assert provider.entered.wait(10)

    def run(self) -> None:
        self.provider.local.thread = self
        try:
            self.answer = self.question()
        except BaseException as error:  # noqa: BLE001 - it is for the call to see
            self.error = error

    def end(self, outcome: object) -> None:
        self.outcome = outcome
        self.go_on.set()
        self.join(10)
        assert not self.is_alive()


class Scripted:
    """A provider that gives each thread what that is told, and counts how many are in it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.local = threading.local()
        self.inside = 0

    def __call__(self) -> Any:
        thread: Asking = self.local.thread
        self.inside += 1
        self.entered.set()
        thread.go_on.wait(10)
        self.inside -= 1
        if isinstance(thread.outcome, BaseException):
            raise thread.outcome
        return thread.outcome


class AnyOrder(RuleBasedStateMachine):
    """Calls that begin, ask, wait and end in any order, against what is promised of them.

    The provider is asked in threads, as with a deadline, so that it can go on when the call has ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.provider = Scripted()
        self.keys = keys_of(self.provider, self.clock)
        self.calls: list[Call] = []
        self.threads: list[tuple[Asking, Call]] = []
        self.too_late: list[Callable[[], Any]] = []
        self.number = 0
        self.is_bare = False
        self.owners: dict[str, Call] = {}
        """The bare keys, and the calls that asked for them."""
        self.refused: list[Secret] = []

    @initialize(is_bare=st.booleans())
    def a_provider(self, is_bare: bool) -> None:
        """Say whether it gives bare keys besides credentials."""
        self.is_bare = is_bare

    def outcome(self, kind: str, call: Call) -> object:
        self.number += 1
        name = f"k{self.number}"
        if kind == "failure":
            return LookupError(name)
        if kind == "bare" and self.is_bare:
            self.owners[name] = call
            return name
        return Credential(name, 1_000 if kind == "short" else None)

    def some(self, data: st.DataObject, calls: list[Call]) -> Call:
        return calls[data.draw(st.integers(0, len(calls) - 1))]

    def ready(self) -> list[Call]:
        return [call for call in self.calls if call.waits and call.future.done()]

    def asking(self) -> list[Call]:
        """Return the calls whose question no thread has begun."""
        begun = [call for _, call in self.threads]
        return [call for call in self.calls if call.asks and call not in begun]

    @rule()
    def a_call_begins(self) -> None:
        self.calls.append(Call(self.keys))

    @precondition(lambda self: self.refused)
    @rule(data=st.data())
    def a_call_goes_on_after_a_401(self, data: st.DataObject) -> None:
        self.calls.append(Call(self.keys, data.draw(st.sampled_from(self.refused))))

    @precondition(lambda self: self.asking())
    @rule(data=st.data())
    def a_thread_begins(self, data: st.DataObject) -> None:
        call = self.some(data, self.asking())
        self.threads.append((Asking(call.question, self.provider), call))

    @precondition(lambda self: self.threads)
    @rule(data=st.data(), kind=st.sampled_from(["credential", "short", "failure", "bare"]))
    def a_thread_ends(self, data: st.DataObject, kind: str) -> None:
        self.end(data.draw(st.integers(0, len(self.threads) - 1)), kind)

    def end(self, position: int, kind: str) -> None:
        thread, call = self.threads.pop(position)
        thread.end(self.outcome(kind, call))
        if call.has_ended:
            return
        if thread.error is None:
            call.send(thread.answer)
        else:
            call.throw(thread.error)

    @precondition(lambda self: any(not call.has_ended for call in self.calls))
    @rule(data=st.data(), kind=st.sampled_from([DeadlineExceeded, asyncio.CancelledError, GeneratorExit]))
    def a_call_has_no_more_time(self, data: st.DataObject, kind: type[BaseException]) -> None:
        call = self.some(data, [call for call in self.calls if not call.has_ended])
        if call in self.asking():
            self.too_late.append(call.question)
        call.throw(kind("over"))

    @precondition(lambda self: any(not call.has_ended for _, call in self.threads))
    @rule(data=st.data())
    def a_call_leaves_its_thread(self, data: st.DataObject) -> None:
        self.some(data, [call for _, call in self.threads if not call.has_ended]).throw(DeadlineExceeded("over"))

    @precondition(lambda self: self.too_late)
    @rule()
    def a_thread_begins_too_late(self) -> None:
        assert self.too_late.pop()() is None

    @precondition(lambda self: self.ready())
    @rule(data=st.data())
    def a_call_goes_on(self, data: st.DataObject) -> None:
        self.some(data, self.ready()).arrive()

    @rule(seconds=st.floats(0, 0.7))
    def time_passes(self, seconds: float) -> None:
        """Go on, and in all no longer than a flight may take."""
        self.clock.now += seconds

    @invariant()
    def credentials_are_asked_for_once_at_a_time(self) -> None:
        if not self.is_bare:
            assert self.provider.inside <= 1

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        """For each that waits there is one who can still bring an answer, or it is there."""
        if any(call.waits and not call.future.done() for call in self.calls):
            assert self.threads or self.asking()

    @invariant()
    def a_bare_key_is_its_askers_alone(self) -> None:
        for call in self.calls:
            if call.key is not None:
                assert self.owners.get(call.key.get_secret_value(), call) is call
        self.refused = [call.key for call in self.calls if call.key is not None]

    def teardown(self) -> None:
        """Whatever has happened, all end once nobody new comes."""
        for _ in range(10 * (len(self.calls) + 1)):
            for call in self.ready():
                call.arrive()
            for call in self.asking():
                self.threads.append((Asking(call.question, self.provider), call))
            self.credentials_are_asked_for_once_at_a_time()
            while self.threads:
                self.end(0, "credential")
        assert all(call.has_ended for call in self.calls)
        self.a_bare_key_is_its_askers_alone()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=100, stateful_step_count=40)


def test_a_signals_handler_may_make_a_call_wherever_it_interrupts_one() -> None:
    """It would wait for its own thread, for ever, if the lock were not reentrant."""
    keys = Keys(lambda: Credential("k1"), Clock())
    first = Call(keys)
    first.send(first.question())
    assert first.key == K1

    found: list[Key] = []

    def handler() -> None:
        found.append(Call(keys).key)

    assert interrupted(lambda: Call(keys), handler, Keys) == len(found) > 4
    assert set(found) == {K1}
