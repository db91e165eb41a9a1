"""Tasks, weights and how they are combined. Knows numpy; no Flask, no TensorFlow."""
