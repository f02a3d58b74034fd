"""Guarantees and receipts."""

from __future__ import annotations

import pickle

import pytest

from bldr.errors import SpecError
from bldr.model.receipt import Guarantee, GuaranteeRecord, Receipt, guarantees_named


def full() -> tuple[GuaranteeRecord, ...]:
    return tuple(GuaranteeRecord(name, asked=True, enforced_by=("mechanism",)) for name in Guarantee.PROFILE)


def test_a_receipt_is_hermetic_when_the_whole_profile_was_enforced() -> None:
    receipt = Receipt(full(), backend="linux-namespaces")

    assert receipt.hermetic
    assert receipt.missing == ()


@pytest.mark.parametrize("name", Guarantee.PROFILE)
def test_one_guarantee_of_the_profile_less_and_it_is_not_hermetic(name: str) -> None:
    absent = Receipt(tuple(record for record in full() if record.name != name))
    weak = Receipt(
        tuple(GuaranteeRecord(name, asked=False, verified=True) if record.name == name else record for record in full())
    )

    assert not absent.hermetic
    assert not weak.hermetic
    assert absent.missing == weak.missing == (name,)


def test_limits_do_not_decide_it() -> None:
    unenforced = tuple(GuaranteeRecord(name, asked=True) for name in Guarantee.LIMITS)

    assert Receipt((*full(), *unenforced)).hermetic


def test_an_allow_list_of_hosts_is_not_hermetic() -> None:
    allowed = GuaranteeRecord(Guarantee.NETWORK_ALLOW_LIST, asked=True, enforced_by=("proxy",))
    records = (*(record for record in full() if record.name != Guarantee.NO_NETWORK), allowed)

    assert not Receipt(records).hermetic


def test_nothing_recorded_is_nothing_enforced() -> None:
    assert not Receipt().hermetic
    assert Receipt().missing == Guarantee.PROFILE
    assert Receipt().record("no-network") == GuaranteeRecord("no-network", asked=False)


def test_a_record_is_found_by_its_guarantee() -> None:
    record = Receipt(full()).record(Guarantee.NO_NETWORK)

    assert record.enforced
    assert record.name == "no-network"


def test_every_guarantee_has_one_name_and_one_group() -> None:
    constants = {text for key, text in vars(Guarantee).items() if key.isupper() and isinstance(text, str)}

    assert constants == set(Guarantee.ALL)
    assert len(Guarantee.ALL) == len(set(Guarantee.ALL))
    assert set(Guarantee.PROFILE).isdisjoint(Guarantee.LIMITS)


def test_a_group_stands_for_its_guarantees() -> None:
    assert guarantees_named(["network", "no-network"]) == ("no-network", "network-allow-list")
    assert guarantees_named(["limits"]) == Guarantee.LIMITS
    assert guarantees_named(Guarantee.ALL) == Guarantee.ALL
    assert guarantees_named([]) == ()


def test_an_unknown_guarantee_is_refused_with_all_names_when_none_is_near() -> None:
    with pytest.raises(SpecError) as caught:
        guarantees_named(["zzz"])

    assert caught.value.code == "spec.guarantee-unknown"
    assert "reads-confined" in caught.value.hint


def test_a_receipt_becomes_json_and_survives_pickling() -> None:
    receipt = Receipt((GuaranteeRecord("no-network", True, ("a", "b"), True, "\udcff"),), "backend", ("a note",))

    assert receipt.to_dict() == {
        "hermetic": False,
        "backend": "backend",
        "guarantees": [
            {
                "guarantee": "no-network",
                "asked": True,
                "enforced_by": ["a", "b"],
                "verified": True,
                "detail": "\\xff",
            }
        ],
        "notes": ["a note"],
    }
    assert pickle.loads(pickle.dumps(receipt)) == receipt
