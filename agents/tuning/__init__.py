"""Tuning: a configuration and a search space go in; the best configuration comes out."""
