"""The demo: a camera that plays a source, a watcher, a recorder, and what they leave to look at."""
