"""Flower, doing what a round of idle devices does (https://flower.ai)."""
