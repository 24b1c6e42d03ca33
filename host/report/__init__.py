"""Evaluations as pages to look at: plots in SVG, without any library."""
