"""Puts images into a chip's flash: our pyOCD target and flash algorithm, and a probe that is the simulator.

Modules that need pyOCD import it when they are imported themselves; ``host.flash`` does so late, so that
everything else works without it.
"""
