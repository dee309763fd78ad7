"""`python -m demo`: run the demo."""

import sys

from demo.run import main

sys.exit(main())
