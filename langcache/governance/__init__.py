"""Governance of plugins: which are asked for, which are there, in which order they stand, and what is told of them."""
