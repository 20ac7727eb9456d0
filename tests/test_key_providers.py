"""Key providers and the calls that share them: real threads, real tasks, and what a fork leaves of them."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import langcache
from langcache import Credential, LangCache, Next, Request, Response, Steps
from langcache.credentials import KeyProvider, Provided
from langcache.errors import AuthenticationError, ConfigurationError, DeadlineExceeded, UnexpectedAwaitableError
from langcache.middleware import keys
from langcache_transports.testing import AsyncFakeTransport, FakeTransport
from tests.transports.programs import output_of

MANY = 50
FOUND = Response(200, content=b'{"data":[]}')
LONG = 60.0
"""Seconds in which whatever is waited for has happened, or never will."""


class Gathering:
    """Lets those who come go on when there are as many as it wants; and is a plugin that counts attempts."""

    def __init__(self, wanted: int = MANY) -> None:
        self._wanted = wanted
        self._come = 0
        self._changed = threading.Condition()

    def come(self) -> None:
        with self._changed:
            self._come += 1
            self._changed.notify_all()

    def wait(self) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._come >= self._wanted, LONG), "the others did not come"

    @langcache.hookimpl
    def langcache_attempt_middleware(self) -> Callable[[Request, Next], Steps[Response]]:
        """Stand outside of authentication."""

        def count(request: Request, call_next: Next) -> Steps[Response]:
            self.come()
            return (yield from call_next(request))

        return count


class Vault:
    """A provider of credentials, k1, k2 and so on; it counts how often it is asked, and by how many at a time."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.meanwhile = meanwhile
        self.asked = 0
        self.inside = 0
        self.most = 0
        self._lock = threading.Lock()

    def __call__(self) -> Provided:
        with self._lock:
            self.asked += 1
            self.inside += 1
            self.most = max(self.most, self.inside)
            name = f"k{self.asked}"
        self.meanwhile()
        with self._lock:
            self.inside -= 1
        return Credential(name)


def accepts(key: str, before: Callable[[], object] = lambda: None) -> Callable[[Request], Response]:
    """Answer as a service does that takes this key only; it says so after `before`."""

    def answer(request: Request) -> Response:
        if request.headers["authorization"] == f"Bearer {key}":
            return FOUND
        before()
        return Response(401)

    return answer


def client_of(provider: KeyProvider, answer: Callable[[Request], Response] = lambda _: FOUND, **more: Any) -> LangCache:
    """Make a client whose async calls are sent in threads, too."""
    return LangCache("http://cache.example", provider, "c", transport=FakeTransport(answer), pool_size=MANY, **more)


def in_threads(work: Callable[[int], object], count: int = MANY) -> list[BaseException]:
    """Do `work` in as many threads, and return what it raised."""
    raised: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - it is told by whoever looks
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    return raised


def in_tasks(work: Callable[[int], Coroutine[Any, Any, object]], count: int = MANY) -> list[BaseException]:
    """Do the same in as many tasks of one event loop."""

    async def main() -> list[BaseException]:
        results = await asyncio.gather(*(work(number) for number in range(count)), return_exceptions=True)
        return [result for result in results if isinstance(result, BaseException)]

    return asyncio.run(main())


def in_both(client: LangCache, loops: int = 2, **arguments: Any) -> list[BaseException]:
    """Search in threads, and in the tasks of several event loops, all at the same time."""
    raised: list[BaseException] = []

    def work(number: int) -> None:
        if number >= loops:
            client.search(prompt="p", **arguments)
        else:
            raised.extend(in_tasks(lambda _: client.search_async(prompt="p", **arguments), MANY // (2 * loops)))

    return in_threads(work, MANY // 2 + loops) + raised


# One asks for all


def test_fifty_threads_ask_once() -> None:
    gathering = Gathering()
    vault = Vault(gathering.wait)
    client = client_of(vault, plugins=[gathering])
    assert in_threads(lambda _: client.search(prompt="p")) == []
    assert vault.asked == 1


def test_fifty_tasks_ask_once() -> None:
    """An async provider gives way to the others while it waits; a plain one cannot, and is asked once, too."""
    gathering = Gathering()
    asked = 0

    async def vault() -> Provided:
        nonlocal asked
        asked += 1
        await asyncio.to_thread(gathering.wait)
        return Credential("k1")

    client = client_of(vault, plugins=[gathering])
    assert in_tasks(lambda _: client.search_async(prompt="p")) == []
    assert asked == 1


@pytest.mark.parametrize("deadline_ms", [None, 60_000])
def test_threads_and_tasks_ask_once(deadline_ms: float | None) -> None:
    """With a deadline, the provider is asked in a thread of its own."""
    vault = Vault()
    client = client_of(vault)
    assert in_both(client, deadline_ms=deadline_ms) == []
    assert vault.asked == 1


def test_fifty_threads_whose_key_is_refused_ask_once_more() -> None:
    """All have sent the old key before the first is told."""
    refused = threading.Barrier(MANY, timeout=LONG)
    vault = Vault()
    client = client_of(vault, accepts("k2", refused.wait))
    assert in_threads(lambda _: client.search(prompt="p")) == []
    assert (vault.asked, vault.most) == (2, 1)


def test_fifty_tasks_whose_key_is_refused_ask_once_more() -> None:
    vault, refused = Vault(), 0

    async def answer(request: Request) -> Response:
        nonlocal refused
        if request.headers["authorization"] == "Bearer k2":
            return FOUND
        refused += 1
        while refused < MANY:
            await asyncio.sleep(0)
        return Response(401)

    client = LangCache("http://cache.example", vault, "c", transport=AsyncFakeTransport(answer))
    assert in_tasks(lambda _: client.search_async(prompt="p")) == []
    assert vault.asked == 2


@pytest.mark.parametrize("deadline_ms", [None, 60_000])
def test_threads_and_tasks_whose_key_is_refused_ask_once_more(deadline_ms: float | None) -> None:
    refused = threading.Barrier(MANY // 2 + 2 * (MANY // 4), timeout=LONG)
    vault = Vault()
    client = client_of(vault, accepts("k2", refused.wait))
    assert in_both(client, deadline_ms=deadline_ms) == []
    assert (vault.asked, vault.most) == (2, 1)


def test_the_providers_failure_is_told_to_all_and_each_has_an_error_of_its_own() -> None:
    gathering = Gathering()

    def vault() -> Provided:
        gathering.wait()
        raise ConfigurationError("no vault")

    client = client_of(vault, plugins=[gathering])
    raised = in_threads(lambda number: client.search(prompt="p", http_headers={"X-Request-ID": f"call-{number}"}))
    assert {str(error) for error in raised} == {"no vault"}
    ids = [error.client_request_id for error in raised if isinstance(error, ConfigurationError)]
    assert sorted(map(str, ids)) == sorted(f"call-{number}" for number in range(MANY))


# Bare keys are the caller's own

TENANT: contextvars.ContextVar[str] = contextvars.ContextVar("TENANT")


def tenants_key() -> str:
    return f"key-of-{TENANT.get()}"


async def tenants_key_async() -> str:
    await asyncio.sleep(0)
    return tenants_key()


def of_own_tenant(request: Request) -> Response:
    """Answer with a failure where a tenant's request has another one's key."""
    return FOUND if request.headers["x-tenant"] in request.headers["authorization"] else Response(500)


@pytest.mark.parametrize("deadline_ms", [None, 60_000])
def test_tenants_in_threads_never_get_one_anothers_key(deadline_ms: float | None) -> None:
    """Not even those who come while it is not known yet what the provider gives."""
    together = threading.Barrier(MANY, timeout=LONG)
    client = client_of(tenants_key, of_own_tenant)

    def work(number: int) -> None:
        TENANT.set(f"tenant{number}.")
        together.wait()
        for _ in range(5):
            client.search(prompt="p", http_headers={"X-Tenant": TENANT.get()}, deadline_ms=deadline_ms)

    assert in_threads(work) == []


@pytest.mark.parametrize("provider", [tenants_key, tenants_key_async, lambda: tenants_key_async()])
@pytest.mark.parametrize("deadline_ms", [None, 60_000])
def test_tenants_in_tasks_never_get_one_anothers_key(provider: KeyProvider, deadline_ms: float | None) -> None:
    async def answer(request: Request) -> Response:
        await asyncio.sleep(0)
        return of_own_tenant(request)

    client = LangCache("http://cache.example", provider, "c", transport=AsyncFakeTransport(answer))

    async def work(number: int) -> None:
        TENANT.set(f"tenant{number}.")
        for _ in range(5):
            await client.search_async(prompt="p", http_headers={"X-Tenant": TENANT.get()}, deadline_ms=deadline_ms)

    assert in_tasks(work) == []


# A provider that is slower than the call has time


@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_plain_provider_gives_too_late_is_kept_for_the_next_call(is_async: bool) -> None:
    """It goes on in its thread; it is not asked a second time at the same time."""
    begun, released = threading.Event(), threading.Event()

    def meanwhile() -> None:
        begun.set()
        released.wait(LONG)

    vault = Vault(meanwhile)
    client = client_of(vault)

    def search(**arguments: Any) -> object:
        if is_async:
            return asyncio.run(client.search_async(prompt="p", **arguments))
        return client.search(prompt="p", **arguments)

    with pytest.raises(DeadlineExceeded, match=r"during a call of tests\.test_key_providers\.Vault"):
        search(deadline_ms=300)
    assert begun.wait(LONG)
    with pytest.raises(DeadlineExceeded, match=r"(before|during) a wait for another call, which asks for the key"):
        search(deadline_ms=300)
    released.set()
    search()
    search(deadline_ms=60_000)
    assert vault.asked == 1


def test_an_async_provider_that_takes_too_long_is_cancelled_and_asked_again() -> None:
    asked, cancelled = 0, 0

    async def vault() -> Provided:
        nonlocal asked, cancelled
        asked += 1
        if asked == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1
                raise
        return Credential("k1")

    client = client_of(vault)

    async def main() -> None:
        with pytest.raises(DeadlineExceeded, match="during a call of"):
            await client.search_async(prompt="p", deadline_ms=300)
        await client.search_async(prompt="p")
        await client.search_async(prompt="p")

    asyncio.run(main())
    assert (asked, cancelled) == (2, 1)


def test_those_who_wait_for_a_task_that_is_cancelled_ask_anew() -> None:
    asked = 0

    async def main() -> None:
        begun: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def vault() -> Provided:
            nonlocal asked
            asked += 1
            if asked == 1:
                begun.set_result(asyncio.current_task())
                await asyncio.Event().wait()
            return Credential("k1")

        client = client_of(vault)
        tasks = [asyncio.create_task(client.search_async(prompt="p")) for _ in range(10)]
        (await begun).cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["CancelledError"] + ["SearchResponse"] * 9

    asyncio.run(main())
    assert asked == 2


def test_a_thread_gets_the_key_that_a_task_has_asked_for() -> None:
    """Of an async provider, which the thread itself could not ask."""
    released = threading.Event()
    begun = threading.Event()

    async def vault() -> Provided:
        begun.set()
        await asyncio.to_thread(released.wait, LONG)
        return Credential("k1")

    gathering = Gathering(2)
    client = client_of(vault, plugins=[gathering])

    def work(number: int) -> None:
        if number == 0:
            asyncio.run(client.search_async(prompt="p"))
        elif number == 1:
            assert begun.wait(LONG)
            client.search(prompt="p")
        else:
            gathering.wait()
            released.set()

    assert in_threads(work, 3) == []


@pytest.mark.parametrize("deadline_ms", [None, 60_000])
def test_a_sync_call_in_the_event_loop_that_asks_for_the_key_is_refused(deadline_ms: float | None) -> None:
    """It would hold up that loop, and so wait for ever; the call that asks goes on."""
    asked = 0

    async def main() -> None:
        begun, released = asyncio.Event(), asyncio.Event()

        async def vault() -> Provided:
            nonlocal asked
            asked += 1
            begun.set()
            await released.wait()
            return Credential("k1")

        client = client_of(vault)
        task = asyncio.create_task(client.search_async(prompt="p", deadline_ms=deadline_ms))
        await begun.wait()
        with pytest.raises(UnexpectedAwaitableError, match="in the event loop of the same thread"):
            client.search(prompt="p")
        released.set()
        await task
        client.search(prompt="p")

    asyncio.run(main())
    assert asked == 1


# A provider of which nothing comes any more


@pytest.mark.parametrize("deadline_ms", [None, 60_000])
def test_a_provider_that_hangs_once_does_not_stop_the_client(
    monkeypatch: pytest.MonkeyPatch, deadline_ms: float | None
) -> None:
    """The calls that wait for what never comes ask for themselves, when it has taken too long."""
    monkeypatch.setattr(keys, "LONGEST_FLIGHT", 0.2)
    begun, released = threading.Event(), threading.Event()

    def meanwhile() -> None:
        if not begun.is_set():
            begun.set()
            released.wait(LONG)

    vault = Vault(meanwhile)
    client = client_of(vault)
    hanging = threading.Thread(target=client.search, kwargs={"prompt": "p"})
    hanging.start()
    assert begun.wait(LONG)
    assert in_threads(lambda _: client.search(prompt="p", deadline_ms=deadline_ms), 10) == []
    assert vault.asked == 2
    released.set()
    hanging.join(LONG)


def test_an_event_loop_that_is_stopped_while_it_asks_does_not_stop_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LONGEST_FLIGHT", 0.2)
    asked = 0

    async def vault() -> Provided:
        nonlocal asked
        asked += 1
        if asked == 1:
            loop.stop()
            await asyncio.Event().wait()
        return Credential("k1")

    client, loop = client_of(vault), asyncio.new_event_loop()
    stopped = loop.create_task(client.search_async(prompt="p"))
    loop.run_forever()
    assert in_threads(lambda _: asyncio.run(client.search_async(prompt="p")), 5) == []
    assert asked == 2
    stopped.cancel()
    loop.run_until_complete(asyncio.wait([stopped]))
    loop.close()


def test_where_every_credential_is_refused_the_service_and_the_vault_are_spared() -> None:
    """One request a call, and one question in a second, however many calls there are."""
    vault, requests = Vault(), list[Request]()

    def answer(request: Request) -> Response:
        requests.append(request)
        return Response(401)

    client = client_of(vault, answer)
    for _ in range(51):
        with pytest.raises(AuthenticationError):
            client.search(prompt="p")
    # A second may pass on a machine that is busy.
    assert 52 <= len(requests) <= 55
    assert 2 <= vault.asked <= 5


# What else a provider may do


def test_a_provider_that_uses_the_client_is_told_so() -> None:
    """It would wait for itself."""

    def provider() -> Provided:
        client.search(prompt="what is the key?")
        return Credential("k1")

    client = client_of(provider)
    with pytest.raises(ConfigurationError, match="The key provider uses the client that waits for its key"):
        client.search(prompt="p")


@pytest.mark.parametrize("deadline_ms", [None, 60_000])
def test_an_async_provider_that_uses_the_client_is_told_so(deadline_ms: float | None) -> None:
    async def vault() -> Provided:
        await asyncio.sleep(0)
        await client.search_async(prompt="what is the key?")
        return Credential("k1")

    async def main() -> None:
        with pytest.raises(ConfigurationError, match="The key provider uses the client that waits for its key"):
            await asyncio.wait_for(client.search_async(prompt="p", deadline_ms=deadline_ms), 10)

    client = client_of(vault)
    asyncio.run(main())


def test_a_provider_may_use_the_client_with_a_key_that_it_has() -> None:
    """To see whether it is good, for example."""

    def provider() -> Provided:
        client.search(prompt="p", http_headers={"Authorization": "Bearer k1"})
        return Credential("k1")

    client = client_of(provider)
    client.search(prompt="p")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this operating system does not fork")
def test_a_forked_child_asks_for_itself_whatever_its_parent_is_asking() -> None:
    """Nobody in the child will bring what the parent's thread is about to get, and a key may be the process's own."""
    program = """
    import os, signal, threading
    from langcache import Credential, LangCache, Response
    from langcache_transports.testing import FakeTransport

    parent, begun, released = os.getpid(), threading.Event(), threading.Event()

    def provider():
        if os.getpid() != parent:
            return Credential("the child's")
        begun.set()
        released.wait(60)
        return Credential("the parent's")

    transport = FakeTransport(lambda request: Response(200, content=b'{"data":[]}'))
    client = LangCache("http://cache.example", provider, "c", transport=transport)
    thread = threading.Thread(target=client.search, kwargs={"prompt": "p"})
    thread.start()
    begun.wait(60)
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        client.search(prompt="p")
        client.search(prompt="p")
        print([request.headers["authorization"] for request in transport.requests], flush=True)
        os._exit(0)
    print(os.waitpid(child, 0)[1])
    released.set()
    thread.join()
    client.search(prompt="p")
    print([request.headers["authorization"] for request in transport.requests])
    """
    child = '["Bearer the child\'s", "Bearer the child\'s"]'
    parent = child.replace("child", "parent")
    assert output_of(program) == (f"{child}\n0\n{parent}\n", "")
