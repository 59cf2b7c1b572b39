import subprocess
import sys
from pathlib import Path

PROBE = """
import sys
def test_nothing_of_ours_is_imported():
    ours = {name for name in sys.modules if name.split(".")[0] == "ipsectest"}
    assert ours <= {"ipsectest", "ipsectest.pytest_plugin"}, ours
    assert not {"scapy", "cryptography", "rich.console", "lark"} & sys.modules.keys()
"""


def test_other_projects_do_not_pay_for_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_probe.py").write_text(PROBE)
    (tmp_path / "data.toml").write_text("script = ''")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_the_option_is_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert "--ipsectest-peer" in done.stdout
