"""What a model is made from: front end, classes, augmentation, schedule, detector and more.

    from host.specification import Schedule, Specification

    SPECIFICATION = Specification(name="mine", ..., schedule=Schedule(epochs=30))

    loaded = load("mine.py")    # LoadedModel: the specification and the function that builds its network
"""

from host.specification.fields import SILENCE, UNKNOWN, Augmentation, Detector, Specification
from host.specification.load import LoadedModel, dry_run, load
from host.specification.recipe import (
    Auxiliary,
    Distillation,
    Mixup,
    Perturbation,
    QuantizationAware,
    Schedule,
    Transfer,
)

__all__ = [
    "SILENCE", "UNKNOWN", "Augmentation", "Auxiliary", "Detector", "Distillation", "LoadedModel", "Mixup",
    "Perturbation", "QuantizationAware", "Schedule", "Specification", "Transfer", "dry_run", "load",
]  # fmt: skip
