"""A camera that plays a recording, for demonstrations and tests, and the clip that it plays."""
