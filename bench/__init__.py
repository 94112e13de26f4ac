"""Measurements: each figure of the README has a file here, run by `make bench-NAME DATA=folder of real photos`.

Never imported by the product or its tests. Speeds are ratios to something run in the same minute.
"""
