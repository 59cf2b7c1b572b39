import signal
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import pytest

from ipsectest.base.errors import InputError, LabError, Place
from ipsectest.cli import dispatch, version
from ipsectest.cli import main as entry
from tests.unit.cli.test_decrypt import PCAPS


@pytest.mark.parametrize("argv", [["runn"], ["--verison"], ["report"], ["report", "--frmat"], ["lab", "wash"]])
def test_bad_input_is_one_line_and_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ipsectest: ")
    assert captured.err.count("\n") == 1


def test_a_slip_is_answered_with_the_nearest_command(capsys: pytest.CaptureFixture[str]) -> None:
    entry.main(["prof"])
    assert "did you mean 'proof'?" in capsys.readouterr().err


def test_no_command_shows_the_help_as_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main([]) == 2
    assert "usage:" in capsys.readouterr().out


@pytest.mark.parametrize("name", entry.COMMANDS)
def test_every_command_is_a_module_that_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert find_spec(f"ipsectest.cli.{name}")
    assert import_module(f"ipsectest.cli.{name}").__doc__
    with pytest.raises(SystemExit) as end:
        entry.main([name, "--help"])
    assert end.value.code == 0
    assert f"usage: ipsectest {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("is wrong", Place("a.toml", 3, 7), hint="try b"), 2, "ipsectest: a.toml:3:7: is wrong (try b)\n"),
        (LabError("no namespaces"), 3, "ipsectest: no namespaces\n"),
        (KeyboardInterrupt(), 130, "ipsectest: interrupted\n"),
        (PermissionError(13, "Permission denied", "reports"), 2, "ipsectest: reports: Permission denied\n"),
        (OSError(28, "No space left on device"), 2, "ipsectest: cannot write: No space left on device\n"),
    ],
)
def test_errors_become_a_line_and_an_exit_code(
    error: BaseException,
    code: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(_arguments: object) -> int:
        raise error

    monkeypatch.setattr(version, "execute", fail)
    assert entry.main(["version"]) == code
    assert capsys.readouterr().err == text


def test_a_polite_kill_unwinds_like_ctrl_c() -> None:
    program = (
        "import os, signal, sys; from ipsectest.cli import main, version\n"
        "def execute(_):\n"
        "    try: os.kill(os.getpid(), signal.SIGTERM); signal.pause()\n"
        "    finally: print('cleaned', flush=True)\n"
        "version.execute = execute; sys.exit(main.main(['version']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (dispatch.INTERRUPTED, "cleaned\n")
    assert done.returncode != -signal.SIGTERM


def test_a_forked_child_does_not_clean_up_for_its_parent() -> None:
    program = (
        "import os, signal, sys; from ipsectest.cli import main, version\n"
        "def execute(_):\n"
        "    try:\n"
        "        ready, tell = os.pipe(); child = os.fork()\n"
        "        if not child: os.write(tell, b'.'); signal.pause()\n"
        "        os.read(ready, 1); os.kill(child, signal.SIGTERM)\n"
        "        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "    finally: print('cleaned', flush=True)\n"
        "    return 0\n"
        "version.execute = execute; sys.exit(main.main(['version']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == f"{-signal.SIGTERM}\ncleaned\n"


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from ipsectest.cli.main import main; main(['--help']);"
        "print([m for m in ('scapy', 'rich', 'lark', 'cryptography', 'jinja2', 'pyroute2', 'typing_extensions')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("words", [["explain"], ["decrypt"], ["keys", "show"]])
def test_a_reader_who_has_seen_enough_is_no_failure(words: list[str]) -> None:
    """Exit code 1 of explain means that something in the capture failed."""
    path = PCAPS / f"strongswan-responder-psk-aes128gcm16.{'keys.toml' if words[0] == 'keys' else 'pcapng'}"
    argv = [sys.executable, "-m", "ipsectest.cli.main", *words, str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr
        assert not process.stderr.read()
