"""Advice on whether and how to compress, from a model of a training step."""
