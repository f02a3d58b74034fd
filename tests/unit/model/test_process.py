"""The process policy."""

from __future__ import annotations

import pytest

from bldr.errors import InvalidLimitError
from bldr.model.process import ProcessPolicy
from bldr.model.value import replace


def test_the_hermetic_policy_leaves_nothing_behind() -> None:
    policy = ProcessPolicy.hermetic()

    assert policy == ProcessPolicy(max_children=None, kill_on_parent_exit=True, allow_userns=False)
    assert replace(policy, max_children=16).max_children == 16


@pytest.mark.parametrize("children", [-1, 1.5, "16", True])
def test_a_ceiling_that_is_no_number_is_refused(children: int) -> None:
    with pytest.raises(InvalidLimitError, match="max_children"):
        ProcessPolicy(max_children=children)
