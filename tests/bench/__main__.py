"""Run every ``bench_*.py`` beside this file, print a table and write build/bench.json.

Each module offers ``benchmarks() -> list[dict]`` with ``name value unit ratio against``; a ratio compares two
measurements of this one run, because absolute times mean nothing on a shared machine.
"""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OUTPUT = HERE.parents[1] / "build" / "bench.json"


def load(path: Path) -> list[dict[str, Any]]:
    """Run the benchmarks of one file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    rows: list[dict[str, Any]] = module.benchmarks()
    return rows


def main(names: list[str]) -> int:
    """Run all files, or those whose name contains one of the arguments."""
    files = [p for p in sorted(HERE.glob("bench_*.py")) if not names or any(name in p.stem for name in names)]
    if not files:
        sys.stderr.write(f"no bench_*.py matches {' '.join(names)}\n")
        return 2
    rows: list[dict[str, Any]] = []
    failed = False
    print(f"{'name':<32} {'value':>12} {'unit':<10} {'ratio':>9}  against")  # noqa: T201
    for path in files:
        try:
            found = load(path)
        except Exception as error:  # noqa: BLE001 - one broken file must not hide the others' numbers
            sys.stderr.write(f"{path.name}: {type(error).__name__}: {error}\n")
            failed = True
            continue
        for row in found:
            ratio = f"{row['ratio']:.2f}" if row.get("ratio") is not None else ""
            print(f"{row['name']:<32} {row['value']:>12.4g} {row['unit']:<10} {ratio:>9}  {row.get('against') or ''}")  # noqa: T201
        rows += found
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
