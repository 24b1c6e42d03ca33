"""From a ``.tflite`` to C: one pass a module; :mod:`codegen.pipeline` reads as the list of passes."""
