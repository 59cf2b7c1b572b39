"""What the journal and syslog put around the lines of a daemon, taken off: every reader sees lines of one form.

    {"__REALTIME_TIMESTAMP": "17959...", "SYSLOG_IDENTIFIER": "charon-systemd", "_PID": "7", "GROUP": "IKE",
     "THREAD": "5", "IKE_SA_UNIQUE_ID": "3", "IKE_SA_NAME": "site", "MESSAGE": "sending ..."}    journalctl -o json
    <30>1 2026-11-29T08:59:16.891087Z host charon 7 - - 05[IKE] <site|3> sending ...             RFC 5424 section 6

both become ``08:59:16.891087 charon-systemd[7]: 05[IKE] <site|3> sending ...``. charon-systemd gives the journal
thread, group and IKE SA as fields, and only the JSON formats show them; a dump of octets is one message of several
lines. ``journalctl -o short*`` and RFC 3164 write such lines themselves.
"""

import json
import re
from typing import Any

LONGEST = 1 << 18
"""Characters of a JSON object that are looked at; octets that are no text take four each."""
_MOST_LINES = 4096
_MOST_PARTS = 64
_JSON = re.compile(r"(?:\x1e|data: ?)?\{")
"""As it is, as a record of RFC 7464 (``-o json-seq``) and as a server-sent event (``-o json-sse``)."""
_RFC_5424 = re.compile(
    r"(?:\d{1,6} )?<\d{1,3}>\d{1,2} (\S{1,40}) \S{1,255} (\S{1,48}) (\S{1,128}) \S{1,32} "
    r"(?:-|(?:\[(?:[^\]\\]|\\.)*+\])++)(?: \ufeff?(.*))?$"
)
_IDENTIFIER = re.compile(r"[\w.@/-]{1,64}")
_GROUP = re.compile(r"[A-Z]{3}")
_DIGITS = re.compile(r"[0-9]{1,18}")
_TIME = re.compile(r"T(\d\d:\d\d:\d\d(?:\.\d{1,6})?)")


def is_json(line: bytes) -> bool:
    """Whether an object begins the line, which may then be longer than lines are otherwise."""
    return line[:7].lstrip(b"\x1edat: ").startswith(b"{")


def opened(line: str) -> list[str]:
    """The lines of a daemon in one line of a file: itself, if nothing is around it; never raises."""
    if _JSON.match(line):
        entry = _object(line[line.index("{") :])
        return [line] if entry is None else _of_journal(entry)
    if "<" in line[:8] and (match := _RFC_5424.match(line)):
        at, identifier, process, message = match.groups()
        time = _TIME.search(at)
        return [f"{time[1] + ' ' if time else ''}{_tag(identifier, process)}: {message or ''}"]
    return [line]


def opened_text(text: str) -> str:
    """The same of the beginning of a file."""
    return "\n".join(one for line in text.split("\n") for one in opened(line))


def _object(text: str) -> dict[str, Any] | None:
    """An entry of the journal, None for anything else."""
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not {"MESSAGE", "__REALTIME_TIMESTAMP", "__CURSOR"} & entry.keys():
        return None
    return entry


def _of_journal(entry: dict[str, Any]) -> list[str]:
    identifier = _word(entry, "SYSLOG_IDENTIFIER", _IDENTIFIER) or _word(entry, "_COMM", _IDENTIFIER) or "unknown"
    process = _word(entry, "_PID", _DIGITS) or _word(entry, "SYSLOG_PID", _DIGITS)
    head = f"{_time(entry)}{_tag(identifier, process)}: {_context(entry)}"
    lines = [line for text in _texts(entry.get("MESSAGE")) for line in text.split("\n", _MOST_LINES)[:_MOST_LINES]]
    return [head + line for line in lines]


def _tag(identifier: str, process: str) -> str:
    return f"{identifier}[{process}]" if _DIGITS.fullmatch(process) else identifier


def _context(entry: dict[str, Any]) -> str:
    """Thread, group and IKE SA, as charon writes them in front of lines of a file."""
    thread, group = _word(entry, "THREAD", _DIGITS), _word(entry, "GROUP", _GROUP)
    if not thread or not group:
        return ""
    unique = _word(entry, "IKE_SA_UNIQUE_ID", _DIGITS)
    name = entry.get("IKE_SA_NAME")
    label = f"{re.sub(r'[<>|]', '_', _text(name)[:200])}|" if isinstance(name, str) else ""
    return f"{int(thread):02}[{group}] {f'<{label}{unique}> ' if unique else ''}"


def _time(entry: dict[str, Any]) -> str:
    """Of the day, in UTC; when the daemon spoke, if it is told, else when the journal heard it."""
    told = _word(entry, "_SOURCE_REALTIME_TIMESTAMP", _DIGITS) or _word(entry, "__REALTIME_TIMESTAMP", _DIGITS)
    if not told:
        return ""
    seconds, microseconds = divmod(int(told), 1_000_000)
    minutes, second = divmod(seconds % 86400, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}.{microseconds:06} "


def _texts(value: object) -> list[str]:
    """A field is text, octets where it is no text, a list of either if it came more than once, null if too long."""
    match value:
        case str():
            return [_text(value)]
        case [int(), *_]:
            octets = bytes(one for one in value if isinstance(one, int) and 0 <= one <= 255)
            return [octets.decode("utf-8", "replace")]
        case list():
            return [text for one in value[:_MOST_PARTS] if not isinstance(one, list) or one for text in _part(one)]
        case _:
            return []


def _part(value: object) -> list[str]:
    is_text = isinstance(value, str) or (isinstance(value, list) and isinstance(value[0], int))
    return _texts(value) if is_text else []


def _text(value: str) -> str:
    """JSON can write half a surrogate pair, which nothing can print."""
    return value.encode("utf-8", "replace").decode("utf-8")


def _word(entry: dict[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) and pattern.fullmatch(value) else ""
