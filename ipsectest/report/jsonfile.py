"""report.json: write it, read it back, and its JSON Schema, all derived from ``runner.records``.

The schema (draft 2020-12) is shipped as ``report.schema.json``; a test keeps the file and the classes together.
"""

import dataclasses
import json
import types
import typing
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from ipsectest.base.errors import InputError, Place
from ipsectest.runner.records import SCHEMA_VERSION, RunRecord

SCHEMA_FILE = Path(__file__).with_name("report.schema.json")
_T = TypeVar("_T")
_SCALARS: dict[type, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}


class _MismatchError(Exception):
    """The JSON does not have the declared shape; `where` is a path such as ``results[3].verdict``."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(problem)
        self.where = where


def dump(record: RunRecord) -> str:
    """The text of report.json: keys sorted, two runs of the same results differ in times only."""
    return json.dumps(dataclasses.asdict(record), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def load(path: Path) -> RunRecord:
    """Read report.json (or the folder that holds it); InputError names the file and the member at fault."""
    path = path / "report.json" if path.is_dir() else path
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", Place(path)) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", Place(path)) from error
    except (json.JSONDecodeError, RecursionError) as error:
        line, column = (error.lineno, error.colno) if isinstance(error, json.JSONDecodeError) else (0, 0)
        raise InputError("is not JSON", Place(path, line, column)) from error
    except ValueError as error:  # more digits than Python reads
        raise InputError(f"has a number that is too long: {error}", Place(path)) from error
    version = content.get("schema") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(f"is no report of schema {SCHEMA_VERSION} (schema: {version!r})", Place(path))
    try:
        record: RunRecord = _read_record(RunRecord, content, "")
    except _MismatchError as error:
        raise InputError(f"{error.where or 'document'}: {error}", Place(path)) from error
    return record


def schema() -> dict[str, Any]:
    """The JSON Schema of report.json."""
    definitions: dict[str, Any] = {}
    root = _schema_of(RunRecord, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"ipsectest report, schema {SCHEMA_VERSION}",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _read(kind: Any, value: Any, where: str) -> Any:
    """Turn parsed JSON into an instance of kind: a dataclass, enum, container, scalar or union of those."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        inner = next(a for a in arguments if a is not types.NoneType)
        return None if value is None else _read(inner, value, where)
    if origin is list:
        items = _require(list, value, where)
        return [_read(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(items)]
    if origin is dict:
        return {k: _read(arguments[1], v, f"{where}[{k!r}]") for k, v in _require(dict, value, where).items()}
    return _read_record(kind, value, where) if dataclasses.is_dataclass(kind) else _read_scalar(kind, value, where)


def _read_scalar(kind: type[_T], value: Any, where: str) -> _T:
    if issubclass(kind, Enum):
        if value not in [member.value for member in kind]:
            raise _MismatchError(where, f"{value!r} is none of {', '.join(member.value for member in kind)}")
        return kind(value)
    if kind is float and type(value) is int:
        try:
            return kind(value)  # type: ignore[call-arg]
        except OverflowError as error:
            raise _MismatchError(where, "a number that is too large") from error
    return _require(kind, value, where)


def _read_record(kind: Any, value: Any, where: str) -> Any:
    members = _require(dict, value, where)
    hints = typing.get_type_hints(kind)
    required = {
        f.name
        for f in dataclasses.fields(kind)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    if missing := sorted(required - members.keys()):
        raise _MismatchError(where, f"lacks {', '.join(missing)}")
    if unknown := sorted(members.keys() - hints.keys()):
        raise _MismatchError(where, f"has unknown members {', '.join(unknown)}")
    prefix = f"{where}." if where else ""
    return kind(**{name: _read(hints[name], member, prefix + name) for name, member in members.items()})


def _require(kind: type[_T], value: Any, where: str) -> _T:
    if type(value) is not kind:
        raise _MismatchError(where, f"{type(value).__name__} instead of {kind.__name__}")
    return value


def _schema_of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        options = [{"type": "null"} if a is types.NoneType else _schema_of(a, definitions) for a in arguments]
        return {"anyOf": options}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _schema_of_record(kind, definitions)
    if origin is list:
        return {"type": "array", "items": _schema_of(arguments[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema_of(arguments[1], definitions)}
    if issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    return {"type": _SCALARS[kind]}


def _schema_of_record(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    name = kind.__name__.removesuffix("Record")
    if name not in definitions:
        definitions[name] = {}  # reserves the name while its members are walked
        hints = typing.get_type_hints(kind)
        members = {field: _schema_of(hint, definitions) for field, hint in hints.items()}
        if kind is RunRecord:
            members["schema"] = {"const": SCHEMA_VERSION}
        definitions[name] = {
            "description": (kind.__doc__ or "").strip(),
            "type": "object",
            "properties": members,
            "required": sorted(members),
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{name}"}
