"""`make demo`: node and camera side by side, watched, recorded, measured, and shown in pictures."""
