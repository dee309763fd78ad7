"""Benchmark: our network on each backend of this machine, beside other networks, and in the node; and the report."""
