"""Tokay's tools on the PC: one module a command, run as ``python -m host.NAME`` or ``tokay NAME``."""
