"""Furnished rooms, made and rendered by this code alone: images through any lens, with exact depth, for tests."""
