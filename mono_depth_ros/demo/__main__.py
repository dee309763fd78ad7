"""`python -m mono_depth_ros.demo`: run the demo."""

import sys

from mono_depth_ros.demo.run import main

sys.exit(main())
