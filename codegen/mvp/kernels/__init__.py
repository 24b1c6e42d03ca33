"""One module a kernel: each turns a quantized layer and addresses into programs and constants. What they
share is in ``layer``, ``tables``, ``loops``, ``prescale`` and ``epilogue``."""
