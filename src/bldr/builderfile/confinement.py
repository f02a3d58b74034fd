"""The sandbox of a target: what its Builderfile says, as the spec that executions take."""

from __future__ import annotations

from bldr.builderfile.graph import reachable
from bldr.model.limits import ResourceLimits
from bldr.model.spec import HermeticSpecBuilder
from bldr.model.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bldr.builderfile.label import Label
    from bldr.builderfile.workspace import Resolved
    from bldr.model.spec import SandboxSpec

__all__ = ["needs_of", "spec_of"]


def needs_of(label: Label, targets: Mapping[Label, Resolved]) -> tuple[str, ...]:
    """Return the headers and products of everything that a target needs, directly or not.

    Args:
        label: The target.
        targets: It and all that it needs.

    Returns:
        Paths relative to the workspace, by the order of labels; a folder has a ``/`` behind.
    """
    graph = {one: found.target.deps for one, found in targets.items()}
    needed = reachable(graph, targets[label].target.deps)
    paths: dict[str, None] = {}
    for one in sorted(needed, key=lambda one: one.sort_key):
        paths.update(dict.fromkeys((*targets[one].headers, *targets[one].outputs)))
    return tuple(paths)


def spec_of(
    found: Resolved,
    *,
    root: str,
    output_dir: str,
    temp_dir: str,
    needs: Iterable[str] = (),
    workspace_at: str | None = None,
) -> SandboxSpec:
    """Return the spec of a target's sandbox.

    It shows the sources and headers of the target, what it needs, what its ``hermetic`` block declares, the toolchain,
    and nothing else. The block's timeout is none of it: it belongs to the execution.

    Args:
        found: The target and its files.
        root: The workspace on the host: an absolute path.
        output_dir: The directory that receives what the target makes; relative paths are relative to the workspace.
        temp_dir: A temp.
        needs: Further inputs, relative to the workspace, as :func:`needs_of` gives them.
        workspace_at: Where the workspace is shown inside; by default at its own path.

    Raises:
        SpecError: Two of the paths overlap, or one cannot be used.
    """
    hermetic = found.target.hermetic
    spec = HermeticSpecBuilder.for_build(
        root,
        dict.fromkeys((*found.sources, *found.headers, *needs, *hermetic.inputs)),
        output_dir,
        temp_dir,
        hermetic.toolchain,
        outputs=hermetic.outputs,
        temps=hermetic.temps,
        workspace_at=workspace_at,
        whole_workspace=False,
    )
    return replace(
        spec,
        network=hermetic.network,
        environment=spec.environment | hermetic.env,
        limits=ResourceLimits.hermetic().merge(hermetic.limits),
        process=hermetic.process,
    )
