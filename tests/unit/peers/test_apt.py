"""What is taken over from the host's apt."""

from ipsectest.peers.apt import carried_options, debian_mirror

TARGETS = """\
http://mirror.example/debian-security main
http://mirror.example/debian contrib
http://mirror.example/debian/ main
http://other.example/debian main
"""

DUMP = """\
APT::Architecture "amd64";
Acquire "";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128/";
Acquire::https::CaInfo "/etc/ca.pem";
Acquire::Check-Valid-Until "false";
Acquire::Languages "de";
Acquire::http::Proxy::direct.example "DIRECT";
Dir::Etc "etc/apt";
"""


def test_the_mirror_is_the_first_main_archive_that_is_not_security() -> None:
    assert debian_mirror(TARGETS) == "http://mirror.example/debian"
    assert debian_mirror("") is None
    assert debian_mirror("cdrom:[x]/ main\n") is None


def test_only_how_to_reach_an_archive_is_carried_over() -> None:
    assert carried_options(DUMP).splitlines() == [
        'Acquire::http::Proxy "http://proxy.example:3128/";',
        'Acquire::https::CaInfo "/etc/ca.pem";',
        'Acquire::Check-Valid-Until "false";',
        'Acquire::http::Proxy::direct.example "DIRECT";',
    ]
