"""What a compiled model is: its layers, sizes and parameters, as a table and as JSON."""

from __future__ import annotations

from typing import Any

from codegen.parameters import Parameters
from codegen.plan import Plan
from host.tables import text_table


def summary(plan: Plan, parameters: Parameters, model_bytes: int) -> dict[str, Any]:
    """Everything that is known without running the model."""
    graph = plan.graph
    return {
        "name": str(parameters.get("name") or plan.name),
        "accelerator": plan.accelerator,
        "sha256": plan.sha256,
        "input": _tensor(graph.tensors[graph.inputs[0]]),
        "output": _tensor(graph.tensors[graph.outputs[0]]),
        "model_bytes": model_bytes,
        "arena_bytes": plan.memory.arena_bytes,
        "arena_bound_bytes": plan.memory.bound_bytes,
        "flash_bytes": plan.flash_bytes,
        "ops": sum(layer.ops for layer in plan.layers),
        "macs": sum(layer.macs for layer in plan.layers),
        "layers": [
            {
                "index": layer.index,
                "opcode": layer.name,
                "kernel": layer.kernel,
                "variant": layer.mvp.variant if layer.mvp else "",
                "reason": layer.reason,
                "ops": layer.ops,
                "macs": layer.macs,
                "input_shape": layer.input_shape,
                "output_shape": layer.output_shape,
                "options": layer.options_text,
                "weights_bytes": layer.weights_bytes,
                "scratch_bytes": layer.scratch_bytes,
            }
            for layer in plan.layers
        ],
        "parameters": {k: list(v) if isinstance(v, bytes) else v for k, v in parameters.items()},
    }


def _tensor(tensor: Any) -> dict[str, Any]:
    q = tensor.quantization if tensor.type == "int8" else None
    return {
        "shape": list(tensor.shape),
        "dtype": tensor.type,
        "scale": q.scale if q else None,
        "zero_point": q.zero_point if q else None,
    }


def layer_table(value: dict[str, Any]) -> str:
    """The layers, one a line."""
    rows = [
        (
            layer["index"], layer["opcode"], layer["kernel"], layer["macs"], layer["ops"],
            layer["input_shape"], layer["output_shape"], layer["weights_bytes"], layer["scratch_bytes"],
            layer["options"],
        )
        for layer in value["layers"]
    ]  # fmt: skip
    columns = ("#", "operator", "kernel", "MACs", "ops", "input", "output", "weights", "scratch", "options")
    return text_table(columns, rows)


def totals(value: dict[str, Any]) -> str:
    """Sizes and counts, in words."""
    arena, bound = value["arena_bytes"], value["arena_bound_bytes"]
    reached = "the lower bound" if arena == bound else f"lower bound {bound:,}"
    return "\n".join(
        [
            f"{'input':8} {_describe(value['input'])}",
            f"{'output':8} {_describe(value['output'])}",
            f"{'MACs':8} {value['macs']:,} of {value['ops']:,} operations in {len(value['layers'])} layers",
            f"{'RAM':8} {arena:,} bytes of arena ({reached})",
            f"{'flash':8} {value['flash_bytes']:,} bytes of weights and tables "
            f"(the .tflite has {value['model_bytes']:,})",
        ]
    )


def parameter_lines(value: dict[str, Any]) -> str:
    """The parameters that the model carries, one a line."""
    return "\n".join(f"{key:42} {text}" for key, text in value["parameters"].items())


def _describe(tensor: dict[str, Any]) -> str:
    shape = "x".join(map(str, tensor["shape"]))
    if tensor["scale"] is None:
        return f"{tensor['dtype']} {shape}"
    return f"{tensor['dtype']} {shape}, scale {tensor['scale']:g}, zero point {tensor['zero_point']}"
