"""``python -m pygas``: the same as the ``pygas`` command."""

import sys

from pygas.cli import main

if __name__ == "__main__":
    sys.exit(main())
