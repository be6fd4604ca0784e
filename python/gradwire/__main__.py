"""``python -m gradwire``: the command line."""

import sys

from gradwire.tools.cli import main

sys.exit(main())
