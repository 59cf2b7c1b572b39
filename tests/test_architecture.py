"""The rooms and their one direction of imports (docs/architecture.md)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = ROOT / "ipsectest"
SOURCES = sorted(PRODUCT.rglob("*.py"))
SIZE_LIMIT = 500


def test_imports_only_go_down() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PRODUCT)))
def test_files_have_one_responsibility(path: Path) -> None:
    assert path.stem not in {"utils", "helpers", "common", "misc"}
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= SIZE_LIMIT, f"{len(lines)} lines: one responsibility, or two?"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PRODUCT)))
def test_functions_stay_readable(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > 70
    ]
    assert not long


def test_scapy_contrib_ikev2_is_not_imported() -> None:
    # It rebinds UDP port 500 for the whole process; it serves as an oracle in tests only.
    guilty = [str(p) for p in SOURCES if "scapy.contrib.ikev2" in p.read_text(encoding="utf-8")]
    assert not guilty
