"""``python -m gradwire``: the command line."""

import sys

from gradwire.cli import main

sys.exit(main())
