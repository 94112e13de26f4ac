"""The command line and the composition root: the only place that sees master and worker together."""
