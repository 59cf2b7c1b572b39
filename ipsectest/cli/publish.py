"""Where a report goes, and everything that is made of it: files, summary, the console's text."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import datetime
from pathlib import Path

from ipsectest.base.errors import UsageError
from ipsectest.report import jsonfile
from ipsectest.runner.artifacts import PRIVATE
from ipsectest.runner.recorder import summary_json
from ipsectest.runner.records import RunRecord

REPORTS = Path("reports")
"""Where reports go that nobody named a folder for."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of the report."""
    parser.add_argument("--report", type=Path, metavar="DIR", help="folder to write (default: reports/<time>)")
    parser.add_argument("--no-report", action="store_true", help="write no folder, print only")
    parser.add_argument("--compare", type=Path, metavar="OLD", help="older report: mark what changed since")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="append a Markdown summary (CI step summary)")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON instead of the tree")
    parser.add_argument("--strict", action="store_true", help="a SHOULD that is not kept is a regression")
    parser.add_argument("-v", "--verbose", action="store_true", help="name passed cases too")


def baseline(arguments: Namespace) -> RunRecord | None:
    """The older report to compare with."""
    return jsonfile.load(arguments.compare) if arguments.compare else None


def report_folder(arguments: Namespace, started: datetime) -> Path | None:
    """The folder of the report, made; None if none is wanted."""
    if arguments.no_report:
        return None
    folder: Path = arguments.report or REPORTS / started.strftime("%Y%m%d-%H%M%S")
    if (folder / "report.json").exists() and arguments.report is None:
        raise UsageError(f"{folder} exists")
    try:
        folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        folder.chmod(PRIVATE)
    except OSError as error:
        why = f"{folder}: {error.strerror}"
        raise UsageError(f"{why} (--report DIR writes elsewhere, --no-report nowhere)") from None
    return folder


def publish(arguments: Namespace, record: RunRecord, folder: Path | None, older: RunRecord | None) -> None:
    """Write the report and say on the console what came of the run."""
    if folder:
        from ipsectest.report import html, junit  # noqa: PLC0415 - jinja2 takes its time

        (folder / "report.json").write_text(jsonfile.dump(record), encoding="utf-8")
        (folder / "junit.xml").write_text(junit.render(record, strict=arguments.strict), encoding="utf-8")
        html.write(record, folder, baseline=older)
    if arguments.markdown:
        from ipsectest.report import markdown  # noqa: PLC0415

        with arguments.markdown.open("a", encoding="utf-8") as file:
            file.write(markdown.render(record))
    if arguments.json:
        print(summary_json(record))  # noqa: T201
        return
    from ipsectest.cli.console import open_console  # noqa: PLC0415
    from ipsectest.report import terminal  # noqa: PLC0415

    console = open_console()
    if folder:
        console.print(f"report: {folder / 'index.html'}", style="bold", soft_wrap=True, highlight=False)
    terminal.render(record, console, folder=folder or Path(), verbose=arguments.verbose)


def iso(moment: datetime) -> str:
    """A UTC instant in ISO 8601."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def factor(text: str) -> float:
    """The value of ``--slow``."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1000:
        raise ArgumentTypeError(f"{text!r} is no factor above 0")
    return value
