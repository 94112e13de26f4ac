"""Engines: what each promises, equality with dlib, and the pure parts."""
