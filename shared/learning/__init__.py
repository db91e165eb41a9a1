"""Networks, and how one device trains them. Knows Keras; knows nothing of servers."""
