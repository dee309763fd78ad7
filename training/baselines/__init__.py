"""The networks that the paper compares itself with, and others of their kind: one file each, built after its paper."""
