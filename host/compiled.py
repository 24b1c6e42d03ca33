"""A model compiled as its images have it, for every command that shows, measures or writes that."""

from __future__ import annotations

from codegen.pipeline import compile_model
from codegen.plan import Plan
from host import model_files
from host.model_files import ModelFile
from host.simulator.mvp import worst_cycles


def compiled(model: str, accelerator: str = "none", mvp_weights: str = "ram") -> tuple[ModelFile, Plan]:
    """MODEL's file and the plan of its network. The accelerator's programs are chosen by their cycles under
    the slower of the rules for silicon."""
    file = model_files.read(model)
    plan = compile_model(
        file.tflite, name=file.name, accelerator=accelerator, mvp_weights=mvp_weights, mvp_cycles=worst_cycles
    )
    return file, plan
