"""`python -m mono_depth_ros.demo`: run the demo."""

import signal
import sys

from mono_depth_ros.demo.run import main

signal.signal(signal.SIGTERM, signal.default_int_handler)
sys.exit(main())
