"""Compiles the fast path of decryption where there is a C compiler; the package works without it, more slowly."""

import runpy
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]  # hatchling is no dependency of the checks
    """Called by hatchling before a wheel, an editable one too, is made."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the library and let the wheel have it, which is for one platform only then."""
        del version
        native = runpy.run_path(str(Path(self.root) / "ipsectest" / "decrypt" / "native" / "build.py"))
        why = native["build"]()
        if why:
            print(f"ipsectest: decrypt without its fast path: {why}", file=sys.stderr)  # noqa: T201
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["artifacts"].append(f"/{native['LIBRARY'].relative_to(self.root)}")
