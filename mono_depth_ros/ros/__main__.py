"""`python -m mono_depth_ros.ros` is depth_node."""

import sys

from mono_depth_ros.ros.main import main

sys.exit(main())
