"""Benchmark: the network on each engine here, beside other networks, in the node, against goals and limits."""
