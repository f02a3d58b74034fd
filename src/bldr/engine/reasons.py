"""Why the actions of targets are not those that ran before: each as it is now beside the nearest one in the cache."""

from __future__ import annotations

import os

from _bldr_launcher.scratch import create_base, remove_leftovers, remove_tree
from bldr.engine.confining import Key, spec_of_action
from bldr.engine.stages import Stages
from bldr.engine.state import prepare_folder
from bldr.errors import BldrError
from bldr.model.toolchain import named
from bldr.model.value import value
from bldr.store.messages import Command
from bldr.store.reasons import Known, compare_with, known_actions
from bldr.store.toolchains import identity_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bldr.builderfile.label import Label
    from bldr.engine.action import Action
    from bldr.engine.graph import Graph
    from bldr.store.cache import Cache
    from bldr.store.reasons import Comparison

__all__ = ["Reason", "reasons_of"]


@value
class Reason:
    """What is known of one action: how it compares, or why it cannot be compared."""

    action: Action
    comparison: Comparison | None = None
    problem: str = ""


def reasons_of(
    root: str, graph: Graph, labels: Iterable[Label], cache: Cache, say: Callable[[str], None]
) -> list[Reason]:
    """Compare the actions of targets, as their files are now, with earlier ones that make the same.

    Args:
        root: The absolute path of the workspace.
        graph: The actions.
        labels: The targets.
        cache: Where earlier actions are.
        say: Called with a sentence before something that takes seconds.

    Raises:
        CacheError: The cache cannot be used.
        OSError: There is no space for the folders that stand for outputs meanwhile.
    """
    wanted = frozenset(labels)
    toolchain = identity_of(named("system"), cache.index, say)
    known = known_actions(cache)
    staging = os.path.join(prepare_folder(root), "staging")
    os.makedirs(staging, 0o700, exist_ok=True)
    remove_leftovers(staging)
    base, lock = create_base(staging)
    try:
        return [
            _reason(number, root, graph, cache, known, toolchain, base)
            for number, action in enumerate(graph.actions)
            if action.target in wanted
        ]
    finally:
        try:
            remove_tree(base)
        finally:
            os.close(lock)


def _reason(
    number: int, root: str, graph: Graph, cache: Cache, known: list[Known], toolchain: str, base: str
) -> Reason:
    action = graph.actions[number]
    target = graph.targets[action.target]
    hermetic = target.target.hermetic
    if not hermetic.enabled:
        return Reason(action, problem="it runs without a sandbox, and is never in the cache")
    missing = [path for path in action.inputs if not os.path.exists(os.path.join(root, path))]
    if missing:
        return Reason(action, problem=f"{missing[0]!r} is not there yet: build what makes it")
    place = f"{base}/{number}"
    os.mkdir(place, 0o700)
    stages = Stages(place, root, action)
    stages.make()
    try:
        spec = spec_of_action(action, target, root, stages.places)
        key = Key(
            action,
            spec,
            stages,
            root,
            timeout=hermetic.timeout,
            toolchain=toolchain,
            known=cache.known,
            cache=cache.directory,
        )
    except BldrError as error:
        return Reason(action, problem=error.message)
    one = Known(key.digest, key.action, Command.decode(key.messages[key.action.command]))
    same = [other for other in known if other.command.output_paths == one.command.output_paths]
    # Where nothing is made, as by most tests, only the command tells which action it is.
    alike = same if one.command.output_paths else [other for other in same if _is_like(one, other)]
    return Reason(action, compare_with(cache, one, alike, key.messages))


def _is_like(one: Known, other: Known) -> bool:
    return one.command.arguments[:1] == other.command.arguments[:1]
