"""``python -m candlebus``."""

import sys

from candlebus.cli import main

sys.exit(main())
