"""Statistics: every call is counted, with what became of it and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..counters import Counters
from ..hookspecs import hookimpl
from ..http import Request, Response
from ..steps import Middleware, Next, Steps
from ..tallies import BATCH


class CountCalls:
    """Counts calls in its `counters`; `clock` gives seconds."""

    __slots__ = ("_clock", "_tallies", "counters")

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.counters = Counters()
        self._tallies = self.counters.tallies
        self._clock = clock

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Count this call when it ends."""
        clock = self._clock
        begun = clock()
        try:
            response = yield from call_next(request)
        except BaseException as error:
            self.counters.raised(request.operation, error, clock() - begun)
            raise
        seconds = clock() - begun
        # What most calls come to is counted here, as `langcache.outcomes.kind_of` has it: to call a function would take
        # as long as all of it.
        try:
            facts = response.extensions
            parsed = facts["parsed"]
            tally = self._tallies[request.operation]
        except (AttributeError, KeyError):  # it is the first of its operation, or no usual answer
            return self._counted(request, response, seconds)
        if len(facts) > 1:  # it took several attempts, say, or is degraded
            return self._counted(request, response, seconds)
        if not tally.searches:
            ended = tally.done
        elif parsed.result.data:
            ended = tally.hits
        else:
            ended = tally.misses
        ended.append(seconds)
        if len(ended) >= BATCH:
            tally.settle()
        return response

    def _counted(self, request: Request, response: Response, seconds: float) -> Response:
        """Count a call with whatever is to be told of it, and return its response."""
        if isinstance(response, Response):  # or it is the mistake of a middleware, which whoever asked is told of
            self.counters.answered(request.operation, response.extensions, seconds)
        return response


@hookimpl
def langcache_call_middleware() -> Middleware:
    """Stand outside of fail-open, to see what it makes of an error, and inside of identity."""
    return CountCalls()
