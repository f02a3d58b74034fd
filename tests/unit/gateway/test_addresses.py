"""Which addresses an allowed name may lead to."""

from __future__ import annotations

import pytest

from _bldr_launcher.gateway.addresses import why_not

PUBLIC = ["1.1.1.1", "172.15.0.1", "172.32.0.1", "192.169.0.1", "100.63.0.1", "100.128.0.1", "223.255.255.255"]
PUBLIC += ["2606:4700::1111", "2001:db8::1", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"]
PRIVATE = ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fc00::1", "fdff::1"]
PRIVATE += ["::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "fec0::1", "198.18.0.1"]
NEVER = ["0.0.0.0", "127.0.0.1", "127.9.9.9", "169.254.169.254", "224.0.0.1", "255.255.255.255", "240.0.0.1"]
NEVER += ["::", "::1", "fe80::1", "fe80::1%2", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"]
NEVER += ["64:ff9b::7f00:1", "2002:7f00:1::", "64:ff9b:1::a9fe:a9fe"]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_may_be_used(address: str) -> None:
    assert why_not(address, private=False) == ""


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_have_to_be_asked_for(address: str) -> None:
    assert why_not(address, private=False)
    assert why_not(address, private=True) == ""


@pytest.mark.parametrize("address", NEVER)
def test_this_machine_and_its_link_are_never_meant(address: str) -> None:
    assert why_not(address, private=False)
    assert why_not(address, private=True)
