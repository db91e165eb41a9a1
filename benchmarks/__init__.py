"""Each claim of speed, memory or accuracy: one script, its result, how to repeat it."""
