"""The model on another machine: what a laptop needs, without a network library and without networks."""
