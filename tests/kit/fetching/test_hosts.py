"""Which addresses are public, in every form they can be written, and what an operator lists."""

import ipaddress

import pytest

from meterway.kit.fetching.hosts import PrivateHosts, is_public

INSIDE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200",
    "100.127.255.255", "127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.0.1",
    "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192",
    "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255", "198.18.0.1", "198.19.255.255",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "::ffff:0:7f00:1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::10.1.2.3",
    "64:ff9b:1::1", "64:ff9b:1::5db8:d70e", "100::1", "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::1", "2002:a00:1::",
    "2002:5db8:d70e::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254",
    "fe80::1",
    "fe80::a9fe:a9fe", "fec0::1", "ff02::1", "ff0e::1", "4000::1",
]  # fmt: skip
OUTSIDE = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "93.184.215.14", "100.63.255.255",
    "100.128.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0",
    "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255",
    "198.20.0.0", "223.255.255.255", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
    "2001:4860:4860::8888", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "2a00:1450:4001:81b::200e",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_what_not_everybody_reaches_is_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_what_everybody_reaches_is_public(address):
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_what_is_public_is_so_for_the_standard_library_too(address):
    found = ipaddress.ip_address(address)

    assert found.is_global or found in ipaddress.ip_network("::ffff:0:0/96")
    assert not found.is_multicast


def covers(listed: str, name: str, address: str, port: int = 443) -> bool:
    return PrivateHosts(listed).cover(name, ipaddress.ip_address(address), port)


def test_nothing_is_listed_by_itself():
    assert not covers("", "images.corp", "10.0.0.1")
    assert PrivateHosts().ports == {80, 443}


@pytest.mark.parametrize(
    ("listed", "name", "address", "port"),
    [
        ("images.corp", "images.corp", "10.0.0.1", 443),
        ("Images.Corp.", "images.corp", "10.0.0.1", 80),
        ("images.corp:8080", "images.corp", "10.0.0.1", 8080),
        ("10.0.0.0/8", "anything", "10.1.2.3", 443),
        ("10.1.2.3", "10.1.2.3", "10.1.2.3", 80),
        ("10.1.2.3", "::ffff:10.1.2.3", "::ffff:10.1.2.3", 80),
        ("10.1.2.3:9000", "10.1.2.3", "10.1.2.3", 9000),
        ("fd00::/8", "inside", "fd12::1", 443),
        ("[fd12::1]:9000", "fd12::1", "fd12::1", 9000),
        ("fd12::1", "fd12::1", "fd12::1", 443),
        ("other.corp, ,10.0.0.0/8", "x", "10.0.0.1", 443),
    ],
)
def test_what_is_listed_is_covered(listed, name, address, port):
    assert covers(listed, name, address, port)


@pytest.mark.parametrize(
    ("listed", "name", "address", "port"),
    [
        ("images.corp", "evil.images.corp", "10.0.0.1", 443),
        ("images.corp", "images.corp.evil.example", "10.0.0.1", 443),
        ("images.corp", "images.corp", "10.0.0.1", 8080),
        ("images.corp:8080", "images.corp", "10.0.0.1", 443),
        ("10.0.0.0/8", "x", "192.168.0.1", 443),
        ("10.0.0.0/8", "x", "10.0.0.1", 22),
        ("10.1.2.3", "x", "10.1.2.4", 443),
        ("fd00::/8", "x", "10.0.0.1", 443),
    ],
)
def test_what_is_not_listed_is_not_covered(listed, name, address, port):
    assert not covers(listed, name, address, port)


@pytest.mark.parametrize(
    "listed", ["*", "*.corp", "http://images.corp", "10.0.0.1/8", "10.0.0.0/33", "a:0", "a:99999",
               "user@host", "[::1", ":80", "two words"]
)  # fmt: skip
def test_what_is_no_host_is_refused(listed):
    with pytest.raises(ValueError, match=r"is not a host|does not exist"):
        PrivateHosts(listed)
