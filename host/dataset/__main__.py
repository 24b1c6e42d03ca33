"""``python -m host.dataset``."""

import sys

from host.cli import run
from host.dataset import main

if __name__ == "__main__":
    sys.exit(run(main))
