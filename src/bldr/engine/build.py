"""A build: the stale actions of a graph are carried out, and what came of it is remembered."""

from __future__ import annotations

import os

from _bldr_launcher.scratch import create_base, remove_leftovers, remove_tree
from bldr.engine.confining import command_of, policy_of
from bldr.engine.drafts import Drafts
from bldr.engine.files import Files
from bldr.engine.outcome import TESTS, Observer, Outcome, Status
from bldr.engine.performing import Made, Performer, Running, unconfined
from bldr.engine.scheduler import Scheduler, Stop, enough_memory
from bldr.engine.settling import settle
from bldr.engine.staleness import digest_of_names, why_stale
from bldr.engine.state import Record, prepare_folder
from bldr.model.toolchain import named
from bldr.model.value import replace, value
from bldr.store.messages import Digest
from bldr.store.toolchains import identity_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bldr.builderfile.tree import Tree
    from bldr.builderfile.workspace import Resolved
    from bldr.engine.graph import Graph
    from bldr.engine.state import State
    from bldr.store.cache import Cache

__all__ = ["Build", "Options", "Planned"]

_TOOLCHAIN = "system"


@value
class Options:
    """How to build.

    Args:
        jobs: How many actions are carried out at a time.
        keep_going: Whether what does not need a failed action is still built.
        hermetic: Whether there are sandboxes, but for targets that say that they want none.
        anew: Actions with these mnemonics run, whatever is known of them.
        test_timeout: Seconds for tests whose target has no timeout; other actions of these targets have none.
    """

    jobs: int = 1
    keep_going: bool = False
    hermetic: bool = True
    anew: tuple[str, ...] = ()
    test_timeout: float | None = None


@value
class Planned:
    """An action that a build would carry out, and why."""

    number: int
    reason: str


class Build:
    """One build of a graph. The caller holds the lock of the workspace.

    Args:
        root: The absolute path of the workspace.
        graph: What to build.
        cache: The cache.
        state: What was built before.
        options: How to build.
        observer: Is told how it goes on.
        stop: Asks for the end.
        say: Called with a sentence before something that takes seconds, and for what people should know.
    """

    def __init__(
        self,
        root: str,
        graph: Graph,
        cache: Cache,
        state: State,
        options: Options,
        *,
        observer: Observer | None = None,
        stop: Stop | None = None,
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._root = root
        self._graph = graph
        self._cache = cache
        self._state = state
        self._options = options
        self._observer = observer or Observer()
        self._stop = stop or Stop()
        self._say = say
        self._files = Files(root, cache.known)
        self._running = Running()
        self._toolchain = ""
        self._performer: Performer | None = None
        self._inputs: dict[int, dict[str, str]] = {}
        self._reasons: dict[int, str] = {}
        self._policies: dict[int, str] = {}
        self._outcomes: dict[int, Outcome] = {}
        self._made: dict[int, Made] = {}
        self._fatal: BaseException | None = None
        self._is_toolchain_another = False

    def plan(self) -> list[Planned]:
        """Return what would be carried out, without doing it: stale actions, and those that need their outputs."""
        self._prepare()
        found: dict[int, str] = {}
        for number in range(len(self._graph.actions)):
            need = next((need for need in self._graph.needs[number] if need in found), None)
            reason = f"it needs {self._graph.actions[need]}" if need is not None else self._why_stale(number)
            if reason:
                found[number] = reason
        return [Planned(number, reason) for number, reason in found.items()]

    def run(self) -> list[Outcome]:
        """Build, and return what became of each action, in the order of the graph.

        Raises:
            SandboxError: No sandbox can be made here.
            CacheError: The cache cannot be used.
            OSError: The state of the workspace cannot be written.
        """
        self._prepare()
        staging = os.path.join(prepare_folder(self._root), "staging")
        os.makedirs(staging, 0o700, exist_ok=True)
        remove_leftovers(staging)
        drafts = Drafts(self._root)
        drafts.remove_leftovers()
        base, lock = create_base(staging)
        self._performer = Performer(self._root, base, self._cache, self._files, self._toolchain, self._running, drafts)
        self._observer.begun(len(self._graph.actions), self._options.jobs)
        try:
            Scheduler(
                self._graph.needs,
                self._graph.urgency(),
                jobs=self._options.jobs,
                is_done=self._is_done,
                work=self._work,
                took=self._took,
                keep_going=self._options.keep_going,
                stop=self._stop,
                on_stop=self._running.stop,
                tick=self._observer.waited,
                may_start=enough_memory,
            ).run()
        finally:
            try:
                remove_tree(base)
            finally:
                os.close(lock)
        if self._fatal is not None:
            raise self._fatal
        self._check_toolchain()
        return self._all_outcomes()

    def settle(self, asked: str, tree: Tree) -> None:
        """After a run, write down what everything depends on, if the next build of the same has nothing to do.

        Args:
            asked: What was asked for.
            tree: The folders that were listed for the graph.
        """
        if not self._options.hermetic or self._options.anew or self._is_toolchain_another:
            return
        if all(one.status == Status.UP_TO_DATE or number in self._made for number, one in self._outcomes.items()):
            settled = settle(self._root, asked, self._graph, tree, self._files, self._toolchain)
            if settled is not None:
                settled.write(self._root)

    def _prepare(self) -> None:
        self._toolchain = identity_of(named(_TOOLCHAIN), self._cache.index, self._say)
        made = self._graph.makers
        self._files.look(
            path
            for action in self._graph.actions
            for path in (*action.inputs, *action.outputs)
            if not path.endswith("/") and (path not in made or path in action.outputs)
        )

    def _is_done(self, number: int) -> bool:
        reason = self._why_stale(number)
        action = self._graph.actions[number]
        if not reason:
            outcome = Outcome(action, Status.UP_TO_DATE)
            self._outcomes[number] = outcome
            self._observer.finished(outcome)
            return True
        self._reasons[number] = reason
        self._observer.started(action, reason)
        return False

    def _target(self, number: int) -> Resolved:
        """Return the target of an action, with the timeout that the action has."""
        action = self._graph.actions[number]
        resolved = self._graph.targets[action.target]
        seconds = self._options.test_timeout
        if action.mnemonic != TESTS or seconds is None or resolved.target.hermetic.timeout is not None:
            return resolved
        hermetic = replace(resolved.target.hermetic, timeout=seconds)
        return replace(resolved, target=replace(resolved.target, hermetic=hermetic))

    def _is_confined(self, number: int) -> bool:
        return self._options.hermetic and self._target(number).target.hermetic.enabled

    def _why_stale(self, number: int) -> str:
        action = self._graph.actions[number]
        hermetic = self._target(number).target.hermetic
        if not self._is_confined(number):
            return "it runs without a sandbox, so that nobody knows what it depends on"
        if not hermetic.network.is_hermetic:
            return "it may reach the network"
        hosts = [path for path in hermetic.inputs if path.startswith("/")]
        self._files.forget(
            [path for path in action.inputs if path.endswith("/") and path.rstrip("/") not in self._graph.makers]
        )
        self._inputs[number] = inputs = self._files.all([*action.inputs, *hosts])
        if action.mnemonic in self._options.anew:
            return "it is asked to run anew"
        return why_stale(
            self._state.record(str(action)),
            command=self._command(number),
            policy=policy_of(hermetic),
            toolchain=self._toolchain,
            inputs=inputs,
            outputs=self._files.all(action.outputs),
        )

    def _command(self, number: int) -> str:
        action = self._graph.actions[number]
        return command_of(action, self._target(number).target.hermetic)

    def _work(self, number: int) -> Made:
        """Carry an action out; called by the other threads."""
        action, target = self._graph.actions[number], self._target(number)
        reason = self._reasons[number]
        try:
            if not self._is_confined(number):
                return Made(unconfined(action, target, self._root, self._running, reason))
            assert self._performer is not None
            return self._performer.perform(
                number,
                action,
                target,
                self._graph.optional[number],
                reason,
                self._inputs[number],
                anew=action.mnemonic in self._options.anew,
            )
        except BaseException as error:  # noqa: BLE001  # it is raised where the build was asked for
            return Made(Outcome(action, Status.FAILED, reason, str(error)), error=error)

    def _took(self, number: int, made: Made) -> bool:
        """Take what a thread made of an action; says whether it succeeded."""
        action = self._graph.actions[number]
        if made.error is not None:
            self._fatal = self._fatal or made.error
            self._stop.ask()
            return False
        outcome = made.outcome
        self._outcomes[number] = outcome
        if made.outputs is None:
            if outcome.succeeded or not self._is_confined(number):
                self._files.forget(action.outputs)
                self._state.forget([str(action)])
        else:
            self._remember(number, made, made.outputs)
        self._observer.finished(outcome)
        return outcome.succeeded

    def _remember(self, number: int, made: Made, outputs: Mapping[str, str]) -> None:
        action, inputs = self._graph.actions[number], self._inputs[number]
        reads = inputs if made.reads is None else {path: text for path, text in inputs.items() if path in made.reads}
        hermetic = self._target(number).target.hermetic
        self._made[number] = made
        self._state.remember(
            str(action),
            Record(
                self._command(number), policy_of(hermetic), self._toolchain, digest_of_names(inputs), reads, outputs
            ),
        )

    def _check_toolchain(self) -> None:
        """Forget everything that was made if the toolchain has changed meanwhile: nobody knows which one made it."""
        ran = [number for number, made in self._made.items() if made.outcome.status == Status.BUILT]
        if not ran or identity_of(named(_TOOLCHAIN), self._cache.index, self._say) == self._toolchain:
            return
        self._is_toolchain_another = True
        self._say("the toolchain changed meanwhile: what was built is not kept, and the next build does it again")
        self._state.forget([str(self._graph.actions[number]) for number in ran])
        for number in ran:
            result = self._made[number].outcome.result
            if result is not None and result.action:
                self._cache.index.forget_result(Digest(result.action, 0))

    def _all_outcomes(self) -> list[Outcome]:
        for number, action in enumerate(self._graph.actions):
            if number not in self._outcomes:
                self._outcomes[number] = Outcome(action, Status.SKIPPED)
        return [self._outcomes[number] for number in range(len(self._graph.actions))]
