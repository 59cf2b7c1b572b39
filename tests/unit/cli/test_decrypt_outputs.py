"""What decrypt writes where: no input is lost, whatever the command line says, and what cannot be written is named."""

import gzip
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ipsectest.cli.main import main
from ipsectest.decrypt.capture import parts
from tests.unit.cli.test_decrypt import files
from tests.unit.decrypt.test_parallel import NAME, sealed, write

OPTIONS = ["-o", "--jsonl", "--html", "--write-keys"]


def command(*words: str, **named: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "ipsectest.cli.main", "decrypt", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, **named)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("given", ["file", "folder", "link"])
def test_keys_are_never_written_over(
    option: str, given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They may be a log that cannot be had again."""
    capture, keys = files(NAME)
    path = tmp_path / "keys.toml"
    path.write_text(Path(keys).read_text())
    (tmp_path / "link").symlink_to(path)
    read = {"file": path, "folder": tmp_path, "link": tmp_path / "link"}[given]
    assert main(["decrypt", capture, "-k", str(read), option, str(path)]) == 2
    assert "written over" in capsys.readouterr().err
    assert path.read_text() == Path(keys).read_text()
    assert main(["decrypt", capture, "-k", str(read), option, str(tmp_path / "other")]) == 0


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("wrong", ["missing", os.devnull, __file__])
def test_what_is_there_stays_if_the_capture_is_none(
    option: str, wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even the second of two captures."""
    out = tmp_path / "out"
    out.write_text("of an earlier run")
    assert main(["decrypt", files(NAME)[0], wrong, "-k", files(NAME)[1], option, str(out)]) == 2
    assert wrong in capsys.readouterr().err
    assert out.read_text() == "of an earlier run"


@pytest.mark.parametrize("words", [["-", "-"], ["-", "-k", "-"], ["x", "-k", "-", "-k", "-"]])
@pytest.mark.parametrize("command_name", ["decrypt", "explain"])
def test_standard_input_is_read_once(command_name: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command_name, *words]) == 2
    assert "once" in capsys.readouterr().err


@pytest.mark.parametrize("option", OPTIONS)
def test_a_full_disk_is_told_with_the_file(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decrypt", files(NAME)[0], "-k", files(NAME)[1], option, "/dev/full"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "ipsectest: /dev/full: No space left on device"


def test_a_file_that_several_workers_cannot_write_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ipsectest.decrypt.keys import ours

    monkeypatch.setattr(parts, "SMALLEST", 4096)
    ring, packets = sealed(300)
    (tmp_path / "keys.toml").write_text(ours.write(ring))
    path, out = write(tmp_path / "in", packets, classic=True), tmp_path / "out"
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
    try:
        assert main(["decrypt", str(path), "-k", str(tmp_path / "keys.toml"), "-o", str(out), "--jobs", "2"]) == 2
        assert f"{out}: File too large" in capsys.readouterr().err
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def test_standard_output_that_is_closed_is_told() -> None:
    done = command(files(NAME)[0], "-k", files(NAME)[1], "-o", "-", preexec_fn=lambda: os.close(1))
    assert done.returncode == 2
    assert done.stderr == "ipsectest: standard output: Bad file descriptor\n"


def test_pipes_that_a_shell_names(tmp_path: Path) -> None:
    """``decrypt <(zcat vpn.pcap.gz) -k <(journalctl ...) -o out``, with several workers asked for."""
    capture, keys = files(NAME)
    out = tmp_path / "out"
    line = f"{sys.executable} -m ipsectest.cli.main decrypt <(cat {capture}) -k <(cat {keys}) -o {out} --jobs 2"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True)
    assert "36 packets of ESP or AH opened" in done.stdout
    assert main(["decrypt", capture, "-k", keys, "-o", str(tmp_path / "wanted")]) == 0
    assert out.read_bytes() == (tmp_path / "wanted").read_bytes()
    line = f"{sys.executable} -m ipsectest.cli.main explain <(cat {capture})"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=True)
    assert "established" in done.stdout


def test_wrong_lines_of_key_files_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "esp_sa").write_text('"IPv4","192.0.2.1","192.0.2.2","0x8ee1bf72","NULL","0xzz","NULL",""\n')
    for command_name in ("decrypt", "explain"):
        main([command_name, files(NAME)[0], "-k", str(tmp_path / "esp_sa")])
        assert "esp_sa:1:52" in "".join(capsys.readouterr().out.split())


def test_keys_in_a_packed_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed = tmp_path / "charon.log.1.gz"
    packed.write_bytes(gzip.compress(Path(files(NAME)[1]).read_bytes()))
    assert main(["decrypt", files(NAME)[0], "-k", str(packed)]) == 0
    assert "36 packets of ESP or AH opened" in capsys.readouterr().out
    packed.write_bytes(packed.read_bytes()[:-100])
    assert main(["decrypt", files(NAME)[0], "-k", str(packed)]) == 2
    assert "cannot be unpacked" in capsys.readouterr().err


def test_a_capture_in_place_of_keys_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decrypt", files(NAME)[0], "-k", files(NAME)[0]]) == 2
    assert "this is a capture" in capsys.readouterr().err
