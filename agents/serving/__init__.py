"""Serving: a trained agent goes in, what answers requests with its actions comes out."""
