"""The cards of the shipped models, their specifications, the models themselves and the README's table."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from host import specification
from host.training.card import cost, gap
from tests.places import ROOT

SHIPPED = sorted((ROOT / "host" / "models").glob("*.tflite"))


def card_of(path: Path) -> dict:
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_card_says_what_its_model_is(path: Path) -> None:
    card, spec = card_of(path), specification.load(path.stem).spec
    assert card["cost"] == cost(path.read_bytes())
    assert card["float_to_mvp_points"] == {split: gap(found) for split, found in card["accuracy"].items()}
    said = {name: card[name] for name in ("name", "version", "description", "classes")}
    assert said == {name: getattr(spec, name) for name in said} | {"classes": list(spec.classes)}
    for part in ("frontend", "detector", "augmentation"):
        assert card[part] == json.loads(json.dumps(asdict(getattr(spec, part)))), part
    assert json.loads(json.dumps(asdict(spec.recipe))).items() <= card["training"].items()


@pytest.mark.parametrize("split", ["validation", "testing"])
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_cards_accuracies_are_those_of_its_counts(path: Path, split: str) -> None:
    card = card_of(path)
    for arithmetic, found in card["accuracy"][split].items():
        assert found["samples"] == sum(found["class_samples"].values()) == card["data"]["clips"][split]
        right = [found["class_accuracy"][name] * count for name, count in found["class_samples"].items()]
        assert all(hits == pytest.approx(round(hits)) for hits in right), arithmetic
        assert found["accuracy"] == pytest.approx(sum(right) / found["samples"])
        mean = sum(found["class_accuracy"].values()) / len(card["classes"])
        assert found["balanced_accuracy"] == pytest.approx(mean)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_readme_says_what_the_card_says(path: Path) -> None:
    (row,) = re.findall(rf"^\| `{path.stem}`.*\|$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    _, balanced, classes, _, _, cycles, memory = (cell.strip() for cell in row.strip("|").split("|"))
    card = card_of(path)
    found, spent = card["accuracy"]["testing"]["mvp"], card["cost"]
    assert balanced == f"{100 * found['balanced_accuracy']:.1f} %"
    accuracies = {f"{100 * value:.1f}".removesuffix(".0") for value in found["class_accuracy"].values()}
    shown = [number.removesuffix(".0") for number in re.findall(r"\d+(?:\.\d+)?", classes)]
    assert len(shown) >= 4 and set(shown) <= accuracies
    assert cycles.startswith(f"{spent['mvp_cycles_estimate'] / 1000:.0f}k, ")
    assert memory == f"{spent['arena_bytes'] / 1000:.1f} kB"
