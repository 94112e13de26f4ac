"""Finds what lies below the photo root: walk (the folders), plan (what changed, pure), scan (look and record)."""
