"""Who does what: deals jobs to workers."""
