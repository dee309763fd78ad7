"""The demo: cameras to feed the node with, a watcher, and what they leave to look at."""
