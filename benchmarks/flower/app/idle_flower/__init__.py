"""Flower's side of the comparison: a ServerApp and a ClientApp that train nothing."""
