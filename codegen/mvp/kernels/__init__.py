"""One module a kernel: each turns a quantized layer and addresses into programs and constants."""
