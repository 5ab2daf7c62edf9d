"""`python -m s2m2` and the console script `s2m2`."""

import sys

from s2m2.cli import main

if __name__ == "__main__":
    sys.exit(main())
