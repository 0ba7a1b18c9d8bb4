"""Solving lenses and places of cameras from sights of a board."""
