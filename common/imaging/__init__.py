"""The only importer of image libraries: decode untrusted files in children with limits, warp and encode pixels.

May be imported by common, worker, master and faceswarm. Nothing here imports an inference runtime.
"""
