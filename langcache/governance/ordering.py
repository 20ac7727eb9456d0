"""Ordering: what stands where in a stage, where pluggy's order is overridden by name."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from ..errors import PluginError
from ..steps import Middleware

Side = Literal["before", "after"]
"""Outside of another middleware, which then runs later, or inside of it."""

_SIDES: Final[Mapping[str, Side]] = {"before": "before", "after": "after"}


class Layer(NamedTuple):
    """A middleware, and the name of the plugin that it is of."""

    plugin: str
    middleware: Middleware


class Move(NamedTuple):
    """Says that the middleware of `plugin` stands directly at that side of the middleware of `target`."""

    plugin: str
    side: Side
    target: str


def checked_order(order: Mapping[str, str] | None) -> tuple[Move, ...]:
    """Return what the argument `order` says; raises PluginError where it cannot be meant."""
    if order is None:
        return ()
    if not isinstance(order, Mapping):
        raise PluginError(
            f'order must be a mapping such as {{"my_plugin": "before:retry"}}, not {type(order).__name__}'
        )
    moves = tuple(_move(plugin, place) for plugin, place in order.items())
    _refuse_circles({move.plugin: move for move in moves})
    return moves


def _move(plugin: object, place: object) -> Move:
    word, _, target = place.partition(":") if isinstance(place, str) else ("", "", "")
    side = _SIDES.get(word)
    if not isinstance(plugin, str) or side is None or not target:
        raise PluginError(f'order: {plugin!r} must be given "before:NAME" or "after:NAME", not {place!r}')
    return Move(plugin, side, target)


def _refuse_circles(moves: Mapping[str, Move]) -> None:
    for first in moves:
        way = [first]
        while way[-1] in moves:
            way.append(moves[way[-1]].target)
            if way[-1] == first:
                raise PluginError(f"order goes in a circle: {' beside '.join(map(repr, way))}")
            if way[-1] in way[:-1]:  # a circle that does not lead back here, which is told where it begins
                break


def in_order(layers: Sequence[Layer], moves: Iterable[Move]) -> list[Layer]:
    """Return `layers`, outermost first, with those that are moved beside their targets.

    Several that go to one place stand there as they are given, outermost first. What is not in this stage stays out of
    it, and what goes beside that stays where it is.
    """
    names = {layer.plugin for layer in layers}
    fitting = [move for move in moves if move.plugin in names and move.target in names]
    if not fitting:
        return list(layers)
    moved = {move.plugin for move in fitting}

    def beside(target: str, side: Side) -> list[Layer]:
        return [layer for move in fitting if move[1:] == (side, target) for layer in block(move.plugin)]

    def block(plugin: str) -> list[Layer]:
        own = [layer for layer in layers if layer.plugin == plugin]
        return [*beside(plugin, "before"), *own, *beside(plugin, "after")]

    ordered: list[Layer] = []
    placed: set[str] = set()
    for index, layer in enumerate(layers):
        name = layer.plugin
        if name in moved:
            continue
        if name not in placed:
            ordered += beside(name, "before")
            placed.add(name)
        ordered.append(layer)
        if all(later.plugin != name for later in layers[index + 1 :]):
            ordered += beside(name, "after")
    return ordered


def outside_of(users: Container[str], layers: Sequence[Layer]) -> list[Layer]:
    """Return `layers` with those that ask for it outside of all others of the plugins `users`, whatever these ask for.

    A middleware asks for it with an attribute ``stands_outside`` that is True, because it has to see what all others
    do, such as an audit. Several stay in their order.
    """
    first = _first_inside(users, layers)
    inside = layers[first:]
    return [*layers[:first], *filter(_asks, inside), *(layer for layer in inside if not _asks(layer))]


def refuse_outside(users: Container[str], layers: Sequence[Layer]) -> None:
    """Raise PluginError where something of the plugins `users` stands outside of a middleware that asks to see it."""
    first = _first_inside(users, layers)
    for layer in layers[first:]:
        if _asks(layer):
            raise PluginError(
                f"order: {layers[first].plugin!r} stands outside of {layer.plugin!r}, which has to see what it does; "
                "place it inside"
            )


def _asks(layer: Layer) -> bool:
    return getattr(layer.middleware, "stands_outside", False) is True


def _first_inside(users: Container[str], layers: Sequence[Layer]) -> int:
    """Return the place of the first middleware of `users` that does not ask to stand outside, or the end."""
    places = (index for index, layer in enumerate(layers) if layer.plugin in users and not _asks(layer))
    return next(places, len(layers))


def misplaced(move: Move, call: Sequence[Layer], attempt: Sequence[Layer]) -> PluginError:
    """Return the error that says why `move` is possible in neither stage."""

    def seen(name: str) -> str:
        stages = [(call, "a call once"), (attempt, "every attempt")]
        found = [what for stage, what in stages if any(layer.plugin == name for layer in stage)]
        return f"{name!r} sees {' and '.join(found)}" if found else f"{name!r} has no middleware"

    plugin, side, target = move
    return PluginError(f"order: {plugin!r} cannot stand {side} {target!r}: {seen(plugin)}, and {seen(target)}")
