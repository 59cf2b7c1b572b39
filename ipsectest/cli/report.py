"""Render report.json again, in any format, or compare it with an older one."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ipsectest.base.errors import UsageError
from ipsectest.report import jsonfile
from ipsectest.runner.records import RunRecord, exit_code

_FORMATS = ("terminal", "html", "junit", "markdown", "json")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("report", type=Path, help="report.json or the folder of a run")
    parser.add_argument("--format", choices=_FORMATS, default="terminal", help="what to render (default: terminal)")
    parser.add_argument("--compare", type=Path, metavar="OLD", help="older report: show only what changed since")
    parser.add_argument(
        "-o", "--output", type=Path, help="file to write (html: the folder; default: that of the report)"
    )
    parser.add_argument("--strict", action="store_true", help="junit: a SHOULD that is not kept fails")
    parser.add_argument("-v", "--verbose", action="store_true", help="terminal: name passed cases too")


def execute(arguments: Namespace) -> int:
    """Render; the exit code is that of the run."""
    record = jsonfile.load(arguments.report)
    folder = arguments.report if arguments.report.is_dir() else arguments.report.parent
    baseline = jsonfile.load(arguments.compare) if arguments.compare else None
    if baseline and arguments.format not in {"html", "terminal"}:
        raise UsageError("--compare works with --format html and terminal")
    if arguments.format == "html":
        from ipsectest.report import html  # noqa: PLC0415 - jinja2 is needed here only

        target = arguments.output or folder
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        print(html.write(record, target, baseline=baseline))  # noqa: T201
    elif arguments.format == "terminal":
        _terminal(arguments, record, baseline, folder)
    else:
        _write(_render(arguments, record), arguments.output)
    return exit_code(record.results)


def _terminal(arguments: Namespace, record: RunRecord, baseline: RunRecord | None, folder: Path) -> None:
    from ipsectest.cli.console import open_console  # noqa: PLC0415
    from ipsectest.report import terminal  # noqa: PLC0415

    console = open_console()
    if baseline:
        terminal.compare(record, baseline, console)
    else:
        terminal.render(record, console, folder=folder, verbose=arguments.verbose)


def _render(arguments: Namespace, record: RunRecord) -> str:
    if arguments.format == "junit":
        from ipsectest.report import junit  # noqa: PLC0415

        return junit.render(record, strict=arguments.strict)
    if arguments.format == "markdown":
        from ipsectest.report import markdown  # noqa: PLC0415

        return markdown.render(record)
    return jsonfile.dump(record)


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")
