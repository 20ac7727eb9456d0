"""The roster: the plugins that a client has, the built-in ones and those that are asked for, and their middleware."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from pluggy import HookImpl

from ..config import Settings
from ..errors import PluginError, describe
from ..logs import WARN
from .choice import DISABLED, PluginChoice
from .discovery import PLUGIN_GROUP, Unusable, find, load, suggestion
from .masking import in_one_line, said
from .members import (
    Excluded,
    Member,
    Stages,
    excluded_by,
    is_known,
    members_of,
    name_taken,
    refuse_ambiguous,
    unknown,
)
from .ordering import Layer, Move, in_order, misplaced, outside_of, refuse_outside
from .registry import COMPOSED_HOOK, HOOKS, MIDDLEWARE_HOOKS, Registry, ask, middleware_of


class Roster:
    """Registers the built-in plugins `earlier`, those that are asked for, and the built-in ones `later`.

    Raises PluginError for an object that is no sound plugin, for a plugin that is required and not there, and for
    names that stand for nothing. An installed plugin that is not there or not sound, and is not required, is left out
    with a warning in the log.
    """

    def __init__(self, choice: PluginChoice, earlier: Mapping[str, object], later: Mapping[str, object]) -> None:
        self.registry = Registry()
        self._built_in = [*earlier, *later]
        self.members = members_of(choice.wishes, self._built_in)
        """The plugins that are asked for, by name; those with a `problem` are left out."""
        self.names = [*self._built_in, *self.members]
        self.excluded = excluded_by(choice.without, self.names)
        """What is left out because the caller says so."""
        self._choice = choice
        self._check_required()
        self._refuse_ambiguous()
        self._check_order()
        self._add_built_in(earlier)
        for member in self.members.values():
            self._take(member)
        self._add_built_in(later)

    def _check_required(self) -> None:
        named = () if isinstance(self._choice.required, bool) else sorted(self._choice.required)
        for name in named:
            if name not in self.names:
                raise PluginError(
                    f"The plugin {name!r} is required, but nothing asks for it{suggestion(name, self.members)}; "
                    "name it in plugins or in LANGCACHE_PLUGINS"
                )
            if Excluded(name) in self.excluded:
                raise PluginError(f"The plugin {name!r} is required, but without leaves it out")

    def _refuse_ambiguous(self) -> None:
        """Refuse names that may mean several; `required` means all of them."""
        ordered = (name for move in self._choice.order for name in (move.plugin, move.target))
        excluded = (excluded.plugin for excluded in self.excluded)
        for argument, names in (("without", excluded), ("order", ordered)):
            for name in names:
                if name not in self._built_in:
                    refuse_ambiguous(argument, name, self.members)

    def _check_order(self) -> None:
        for name in (name for move in self._choice.order for name in (move.plugin, move.target)):
            if not is_known(name, self.names):
                raise unknown("order", name, self.names)
            if Excluded(name) in self.excluded:
                raise PluginError(f"order: without leaves out {name!r}, so it has no place")

    def _add_built_in(self, plugins: Mapping[str, object]) -> None:
        for name, plugin in plugins.items():
            if Excluded(name) not in self.excluded:
                self._add(name, plugin)

    def _take(self, member: Member) -> None:
        """Register a plugin that is asked for, or leave it out."""
        if Excluded(member.name) in self.excluded:
            if self._is_named_required(member):
                raise PluginError(f"The plugin {member.called!r} is required, but without leaves out {member.name!r}")
            member.problem = "is left out by without"
        elif self._choice.disabled:
            self._leave_out(member, DISABLED)
        elif member.installed_as is not None:
            self._take_installed(member, member.installed_as)
        else:
            try:
                self._add(member.name, member.plugin)
            except Unusable as error:
                raise PluginError(f"The plugin {describe(member.plugin)} {error}") from error
        if member.problem is None and self._is_named_required(member) and not self.has_hook(member.name, HOOKS):
            raise PluginError(f"The plugin {member.name!r} is required, but without switches off all of its hooks")

    def _take_installed(self, member: Member, name: str) -> None:
        try:
            if name in self._built_in:
                raise Unusable(name_taken(name))
            member.entry_point = find(PLUGIN_GROUP, name)
            member.plugin = load(member.entry_point)
            self._add(member.name, member.plugin)
        except Unusable as error:
            self._leave_out(member, str(error), error)
        except (MisnamedHookError, KeyboardInterrupt):
            raise  # the caller's doing, and no plugin's
        except BaseException as error:  # noqa: BLE001 - it is a stranger's, and may fail in any way
            self._leave_out(member, f"cannot be registered: {said(error)}", error)

    def _add(self, name: str, plugin: object) -> None:
        off = [excluded.hook for excluded in self.excluded if excluded.plugin == name and excluded.hook is not None]
        hooks = self.registry.add(plugin, name, off)
        for hook in off:
            if hook not in hooks:
                there = ", ".join(sorted(hooks))
                raise MisnamedHookError(
                    f"without: the plugin {name!r} has no hook {hook!r}{suggestion(hook, hooks)}; it has {there}"
                )

    def _leave_out(self, member: Member, problem: str, cause: BaseException | None = None) -> None:
        """Go on without a plugin; raises PluginError where it is required."""
        problem = in_one_line(problem)
        if self._is_required(member):
            raise PluginError(f"The plugin {member.name!r} is required, but it {problem}") from cause
        member.problem = problem
        WARN("The plugin %r is left out: it %s", member.name, problem, event="plugin_left_out", plugin=member.name)

    def _is_required(self, member: Member) -> bool:
        return self._choice.required is True or self._is_named_required(member)

    def _is_named_required(self, member: Member) -> bool:
        required = self._choice.required
        return not isinstance(required, bool) and not required.isdisjoint((member.name, member.called))

    def stages(self, settings: Settings) -> Stages:
        """Return the middleware, outermost first; it is made by this, so this is to be asked once.

        Raises PluginError where the caller's order cannot be.
        """
        stages = [list(self._stage(hook, settings)) for hook in MIDDLEWARE_HOOKS]
        # What failed in one stage is not to stand in the other.
        sound = [
            outside_of(self.members, [layer for layer in stage if not self._is_gone(layer.plugin)]) for stage in stages
        ]
        moves = [move for move in self._choice.order if self._has_place(move, sound)]
        ordered = [in_order(stage, moves) for stage in sound]
        for stage in ordered:
            refuse_outside(self.members, stage)
        return Stages(*ordered)

    def _stage(self, hook: str, settings: Settings) -> Iterator[Layer]:
        for implementation in self.registry.implementations(hook):
            name: str = implementation.plugin_name
            member = self.members.get(name)
            if member is not None and member.problem is not None:
                continue
            try:
                middleware = middleware_of(implementation, settings)
            except BaseException as error:
                if member is None or member.installed_as is None or isinstance(error, KeyboardInterrupt):
                    raise
                self.registry.unregister(member.plugin)
                self._leave_out(member, f"fails in {hook}: {said(error)}", error)
            else:
                if middleware is not None:
                    yield Layer(name, middleware)

    def tell_composed(self, stages: Stages) -> None:
        """Tell the plugins what their client's calls pass; what fails in an installed one is told, and left at that."""
        call, attempt = ([layer.middleware for layer in stage] for stage in stages)
        for implementation in self.registry.implementations(COMPOSED_HOOK):
            member = self.members.get(implementation.plugin_name)
            try:
                ask(implementation, {"call_middleware": call, "attempt_middleware": attempt})
            except BaseException as error:
                if member is None or member.installed_as is None or isinstance(error, KeyboardInterrupt):
                    raise
                if self._is_required(member):
                    raise PluginError(
                        f"The plugin {member.name!r} is required, but it fails in {COMPOSED_HOOK}: {said(error)}"
                    ) from error
                member.fault = f"fails in {COMPOSED_HOOK}, and goes on without: {said(error)}"
                WARN("The plugin %r %s", member.name, member.fault, event="plugin_failed", plugin=member.name)

    def _is_gone(self, name: str) -> bool:
        """Say whether a plugin that could be there is not."""
        return name not in self.names or (name in self.members and self.members[name].problem is not None)

    def _has_place(self, move: Move, stages: list[list[Layer]]) -> bool:
        """Say whether `move` does anything; raises PluginError where it never could."""
        if self._is_gone(move.plugin) or self._is_gone(move.target):
            return False
        if any({move.plugin, move.target} <= {layer.plugin for layer in stage} for stage in stages):
            return True
        placed = {layer.plugin for stage in stages for layer in stage}
        for name in (move.plugin, move.target):
            if name not in placed and self.has_hook(name, MIDDLEWARE_HOOKS):
                return False  # with these settings it has nothing to do
        raise misplaced(move, *stages)

    def check_transport_hooks(self, unasked: Collection[str]) -> None:
        """Look for plugins that do nothing, because these hooks for transports are not asked: there are objects.

        Raises PluginError where one is required and has no other hook; a warning tells of others that wrap transports.
        """
        others = [hook for hook in HOOKS if hook not in unasked]
        for member in self.members.values():
            if not self.has_hook(member.name, unasked):
                continue
            why = f"a transport is handed in as an object, so that {' and '.join(sorted(unasked))} is not asked"
            if self._is_required(member) and not self.has_hook(member.name, others):
                raise PluginError(f"The plugin {member.name!r} is required, but does nothing: {why}")
            if any(each.wrapper or each.hookwrapper for each in self._hooks_of(member.name, unasked)):
                WARN("The plugin %r wraps no transport: %s", member.name, why, event="unasked", plugin=member.name)

    def _hooks_of(self, name: str, hooks: Iterable[str]) -> list[HookImpl]:
        found = (each for hook in hooks for each in self.registry.implementations(hook))
        return [each for each in found if each.plugin_name == name]

    def has_hook(self, name: str, hooks: Iterable[str]) -> bool:
        """Say whether the plugin of that name is there, and implements one of `hooks`."""
        return bool(self._hooks_of(name, hooks))


class MisnamedHookError(PluginError):
    """The caller switches off a hook that a plugin does not have."""
