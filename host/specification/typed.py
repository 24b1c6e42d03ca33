"""Whether the fields of a dataclass hold what their annotations say, told as a user can read it.

A specification is written by hand: ``classes=("yes")`` is a text, of which each letter would be a class.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

_WORDS = {
    int: "a whole number", float: "a finite number", bool: "True or False", str: "text", NoneType: "None",
}  # fmt: skip


def mistyped(part: Any, prefix: str = "") -> str | None:
    """What is wrong with the first field that holds something else; None where all are right."""
    kinds = get_type_hints(type(part))
    for field in dataclasses.fields(part):
        name, value, kind = prefix + field.name, getattr(part, field.name), kinds[field.name]
        if not _fits(value, kind):
            return f"{name} must be {_words(kind)}, not {value!r}"
        if dataclasses.is_dataclass(kind) and (found := mistyped(value, f"{name}.")):
            return found
    return None


def _fits(value: Any, kind: Any) -> bool:
    of = get_args(kind)
    if get_origin(kind) is UnionType:
        return any(_fits(value, one) for one in of)
    if get_origin(kind) is tuple:
        if not isinstance(value, tuple | list):
            return False
        each = of[:1] * len(value) if of[-1] is Ellipsis else of
        return len(value) == len(each) and all(map(_fits, value, each))
    if get_origin(kind) is Mapping:
        pairs = value.items() if isinstance(value, Mapping) else [(None, None)]
        return all(_fits(key, of[0]) and _fits(one, of[1]) for key, one in pairs)
    if kind in (int, float):
        number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
        return number and abs(value) <= sys.float_info.max  # false of NaN too
    try:
        return isinstance(value, get_origin(kind) or kind)
    except TypeError:  # what is no class, such as Any: a specification may be derived, with fields of its own
        return True


def _words(kind: Any) -> str:
    of = get_args(kind)
    if get_origin(kind) is UnionType:
        return " or ".join(map(_words, of))
    if get_origin(kind) is tuple:
        many = of[-1] is Ellipsis
        return f"a tuple, ({_words(of[0])}, ...)" if many else f"({', '.join(map(_words, of))})"
    if get_origin(kind) is Mapping:
        return f"a dictionary, {{{_words(of[0])}: {_words(of[1])}}}"
    return _WORDS.get(kind) or f"a {kind.__name__}"
