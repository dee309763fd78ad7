"""Known depths: sensors simulated from a frame's own depth, the table of what they bring, and the prior's making."""
