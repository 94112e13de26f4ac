"""Finds photos, deals them to workers, keeps the results.

May import common; never worker or faceswarm.
"""
