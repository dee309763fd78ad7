"""Readers of RGB-D data."""
