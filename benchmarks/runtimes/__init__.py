"""Other runtimes of a backbone, in an environment of their own."""
