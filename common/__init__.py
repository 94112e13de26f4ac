"""What master and workers agree on: values, messages, identity of a photo, decoding, configuration, the bus.

Starts nothing. May be imported by everyone; imports neither master, worker nor faceswarm.
"""
