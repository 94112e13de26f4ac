"""Turns one job into one result: decode, detect, align, embed, crop.

May import common; never master or faceswarm. Needs no database and no writable mount.
"""
