"""Run the network: one small protocol, one file an engine."""
