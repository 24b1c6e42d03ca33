"""Talking to a device: one protocol and one interface, whatever carries the bytes."""
