"""From a model specification to a trained, quantized ``.tflite``."""
