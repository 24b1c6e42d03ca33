"""What host.evaluate judges, on which clips, and how it is told."""
