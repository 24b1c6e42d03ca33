"""Makes the C codec, the Python codec and the protocol document from firmware/link/schema.toml.

Run as ``python -m host.device.generate`` after a change of the schema; the results are committed.
With ``--check`` nothing is written and the status says whether they are up to date.
"""

from __future__ import annotations

import hashlib
import re
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from host.cli import parser, run
from host.errors import TokayError
from host.files import write_atomic

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "firmware" / "link" / "schema.toml"
OUTPUTS = {
    "messages.h.j2": "firmware/link/messages.h",
    "messages.c.j2": "firmware/link/messages.c",
    "messages.py.j2": "host/device/messages.py",
    "protocol.md.j2": "firmware/link/PROTOCOL.md",
}
SCALARS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "i8": 1, "i16": 2, "i32": 4, "f32": 4, "bool": 1}
STRUCT_CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i8": "b", "i16": "h", "i32": "i", "f32": "f"}
NAME = re.compile(r"[a-z][a-z0-9_]*")
TYPE = re.compile(r"([a-z][a-z0-9_]*)(?:\[(<=)?(\d+)\])?")


@dataclass(frozen=True)
class Choice:
    """One value of an enumeration."""

    name: str
    value: int
    doc: str


@dataclass(frozen=True)
class Enumeration:
    """Named numbers (u8), or named bits (u16) if ``flags``."""

    name: str
    doc: str
    flags: bool
    choices: tuple[Choice, ...]

    @property
    def python_name(self) -> str:
        return "".join(word.capitalize() for word in self.name.split("_"))


@dataclass(frozen=True)
class Field:
    """One field of a message, in every language's terms."""

    name: str
    type: str  # as written in the schema
    base: str  # u8..f32, bool, text
    shape: str  # plain, fixed, list, text
    maximum: int  # elements
    enumeration: Enumeration | None
    doc: str

    @property
    def element_bytes(self) -> int:
        return 1 if self.base == "text" else SCALARS[self.base]

    @property
    def prefix_bytes(self) -> int:
        """Bytes of the count that goes before a list or a text."""
        return 0 if self.shape in ("plain", "fixed") else 2 if self.maximum > 255 else 1

    @property
    def max_bytes(self) -> int:
        return self.prefix_bytes + self.maximum * self.element_bytes

    @property
    def kind(self) -> str:
        """The codec_kind_t of C."""
        if self.base == "bool":
            return "CODEC_BOOL"
        if self.shape == "text":
            return "CODEC_TEXT"
        if self.shape == "list":
            return f"CODEC_LIST{8 * self.prefix_bytes}"
        return "CODEC_FIXED"

    @property
    def c_declarations(self) -> list[str]:
        if self.shape == "text":
            return [f"char {self.name}[{self.maximum + 1}];"]
        c_type = {"f32": "float", "bool": "bool"}.get(
            self.base, f"{'u' if self.base[0] == 'u' else ''}int{self.base[1:]}_t"
        )
        if self.shape == "plain":
            return [f"{c_type} {self.name};"]
        declarations = [f"{c_type} {self.name}[{self.maximum}];"]
        if self.shape == "list":
            declarations.insert(0, f"uint16_t {self.name}_count;")
        return declarations

    @property
    def python_type(self) -> str:
        if self.enumeration:
            return f"{self.enumeration.python_name} | int"
        if self.shape == "text":
            return "str"
        if self.base == "u8" and self.shape != "plain":
            return "bytes"
        item = {"f32": "float", "bool": "bool"}.get(self.base, "int")
        return item if self.shape == "plain" else f"tuple[{item}, ...]"

    @property
    def python_default(self) -> str:
        if self.shape == "text":
            return '""'
        if self.base == "u8" and self.shape != "plain":
            return f"bytes({self.maximum})" if self.shape == "fixed" else 'b""'
        zero = {"f32": "0.0", "bool": "False"}.get(self.base, "0")
        if self.shape == "plain":
            return zero
        return f"({zero},) * {self.maximum}" if self.shape == "fixed" else "()"

    @property
    def python_codec(self) -> str:
        """The entry of the Python codec's field table."""
        if self.shape == "text":
            return f'Text("{self.name}", {self.maximum})'
        if self.base == "bool":
            return f'Boolean("{self.name}")'
        code = STRUCT_CODES[self.base]
        if self.shape == "plain":
            wrap = f", {self.enumeration.python_name}" if self.enumeration else ""
            return f'Scalar("{self.name}", "{code}"{wrap})'
        fixed = ", fixed=True" if self.shape == "fixed" else ""
        return f'Array("{self.name}", "{code}", {self.maximum}{fixed})'


@dataclass(frozen=True)
class Message:
    """One message type."""

    name: str
    type: int
    kind: str
    doc: str
    answer: str | None
    repeatable: bool
    fields: tuple[Field, ...]

    @property
    def python_name(self) -> str:
        return "".join(word.capitalize() for word in self.name.split("_"))

    @property
    def summary(self) -> str:
        """The first sentence of the meaning."""
        return re.split(r"(?<=[.?!])\s", self.doc)[0]

    @property
    def comment(self) -> str:
        """The meaning, wrapped as the C header wants it."""
        once = "" if self.repeatable else " Executed once."
        answer = f" Answered by {self.answer}." if self.answer else ""
        return "\n * ".join(textwrap.wrap(f"{self.doc}{answer}{once}", 94))

    @property
    def max_bytes(self) -> int:
        return sum(field.max_bytes for field in self.fields)

    @property
    def rows(self) -> list[tuple[str, Field]]:
        """Fields with their byte offsets: a number while it is fixed, then a formula."""
        result = []
        offset, variable = 0, ""
        for field in self.fields:
            result.append((f"{offset}{variable}", field))
            if field.prefix_bytes:
                offset += field.prefix_bytes
                size = "" if field.element_bytes == 1 else f"{field.element_bytes}·"
                variable += f" + {size}n({field.name})"
            else:
                offset += field.max_bytes
        return result


@dataclass(frozen=True)
class Schema:
    """The whole protocol."""

    version: int
    max_payload: int
    enums: tuple[Enumeration, ...]
    messages: tuple[Message, ...]
    digest: str


def _require(condition: bool, where: str, what: str) -> None:
    if not condition:
        raise TokayError(f"{SCHEMA.name}: {where}: {what}", hint="the rules are at the top of the schema")


def _enumeration(name: str, table: dict[str, Any], flags: bool) -> Enumeration:
    _require(bool(NAME.fullmatch(name)), name, "not a name")
    pairs = table["values"]
    _require(len(pairs) <= (16 if flags else 256), name, "too many values")
    choices = tuple(Choice(n, 1 << k if flags else k, doc) for k, (n, doc) in enumerate(pairs))
    _require(len({c.name for c in choices}) == len(choices), name, "a name occurs twice")
    return Enumeration(name, table["doc"], flags, choices)


def _field(row: Sequence[str], enums: dict[str, Enumeration], where: str) -> Field:
    _require(len(row) == 3, where, f"a field is [name, type, meaning], not {row}")
    name, written, doc = row
    where = f"{where}.{name}"
    match = TYPE.fullmatch(written)
    _require(bool(NAME.fullmatch(name)) and match is not None, where, f"unknown type {written}")
    assert match is not None
    base, bounded, size = match.groups()
    enumeration = enums.get(base)
    if enumeration:
        _require(size is None, where, "lists of enumerations are not supported")
        base = "u16" if enumeration.flags else "u8"
    if base == "text":
        _require(bool(bounded) and int(size) <= 255, where, "a text has a bound of at most 255 bytes")
        return Field(name, written, base, "text", int(size), None, doc)
    _require(base in SCALARS, where, f"unknown type {written}")
    if size is None:
        return Field(name, written, base, "plain", 1, enumeration, doc)
    _require(base != "bool" and int(size) > 0, where, f"no {written}")
    return Field(name, written, base, "list" if bounded else "fixed", int(size), None, doc)


def _message(table: dict[str, Any], enums: dict[str, Enumeration]) -> Message:
    name, kind = table["name"], table["kind"]
    _require(bool(NAME.fullmatch(name)), name, "not a name")
    _require(kind in ("event", "request", "answer"), name, f"unknown kind {kind}")
    rows = [list(row) for row in table["fields"]]
    if kind != "event":
        meaning = "number that the host chose" + (", 0 if unasked" if kind == "answer" else "")
        rows.insert(0, ["request", "u16", meaning])
    fields = tuple(_field(row, enums, name) for row in rows)
    _require(bool(fields) and len({f.name for f in fields}) == len(fields), name, "no or repeated fields")
    _require((kind == "request") == ("answer" in table), name, "requests, and only they, name their answer")
    return Message(
        name, table["type"], kind, table["doc"], table.get("answer"), table.get("repeatable", True), fields
    )


def load(path: Path = SCHEMA) -> Schema:
    """Reads and checks the schema."""
    raw = path.read_bytes()
    try:
        table = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TokayError(f"{path.name}: {error}") from error
    enums = {n: _enumeration(n, t, False) for n, t in table["enums"].items()}
    enums |= {n: _enumeration(n, t, True) for n, t in table["flags"].items()}
    messages = tuple(_message(m, enums) for m in table["messages"])
    names = {m.name: m for m in messages}
    types = {m.type for m in messages}
    _require(len(names) == len(types) == len(messages), "messages", "a name or type occurs twice")
    for m in messages:
        _require(0 < m.type < 256, m.name, "the type does not fit a byte")
        _require(m.max_bytes <= table["max_payload"], m.name, f"{m.max_bytes} bytes are too many")
        answer = names.get(m.answer) if m.answer else None
        _require(m.answer is None or bool(answer and answer.kind == "answer"), m.name, "no such answer")
    _require(0 < table["version"] < 128, "version", "must be 1..127")
    digest = hashlib.sha256(raw).hexdigest()[:16]
    return Schema(table["version"], table["max_payload"], tuple(enums.values()), messages, digest)


def render(schema: Schema) -> dict[Path, str]:
    """The text of every generated file by its path."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return {
        ROOT / target: environment.get_template(template).render(schema=schema)
        for template, target in OUTPUTS.items()
    }


def main(argv: Sequence[str]) -> int:
    arguments = parser("device.generate", __doc__.splitlines()[0], json_output=False)
    arguments.add_argument("--check", action="store_true", help="only say whether the files are up to date")
    options = arguments.parse_args(argv)
    stale = {p: text for p, text in render(load()).items() if not p.is_file() or p.read_text() != text}
    if options.check and stale:
        names = ", ".join(str(p.relative_to(ROOT)) for p in stale)
        raise TokayError(f"out of date: {names}", hint="run: python -m host.device.generate")
    for path, text in stale.items():
        write_atomic(path, text)
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
