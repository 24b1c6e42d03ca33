"""Numbers of repetitions that a program's loops, or an array's dimensions, can count."""

from __future__ import annotations

from codegen.mvp.isa import MAX_COUNT


def largest_divisor(count: int, most: int = MAX_COUNT) -> int:
    """The largest number up to ``most`` that divides ``count``."""
    return max(d for d in range(1, most + 1) if count % d == 0)


def two_loops(count: int) -> tuple[int, int]:
    """Loops (inner, outer) for ``count`` repetitions, or for most of them where it has no divisors that
    two loops can count: a further program does the rest."""
    if count <= MAX_COUNT:
        return count, 1
    inner = largest_divisor(count)
    if count // inner <= MAX_COUNT:
        return inner, count // inner
    return MAX_COUNT, min(count // MAX_COUNT, MAX_COUNT)
