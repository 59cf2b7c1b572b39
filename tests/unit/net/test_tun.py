import errno
import os

import pytest

from ipsectest.base.errors import LabError
from ipsectest.net import tun


@pytest.mark.parametrize(("number", "remedy"), [(errno.EACCES, "chmod 0666"), (errno.ENOENT, "modprobe tun")])
def test_a_device_that_cannot_be_opened_is_told_with_a_remedy(
    number: int, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str, _flags: int) -> int:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(tun.os, "open", refuse)
    with pytest.raises(LabError, match=f"/dev/net/tun.*{remedy}"):
        tun.require()
