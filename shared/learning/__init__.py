"""Networks, and how one device trains them. Knows Keras; knows nothing of servers.

``build_network(task, backbone_directory)`` (network.py) gives a network with the task's first
weights; ``load`` and ``weights`` set and copy them. A one-process client goes on with direct.py:
``train_on(network, samples, …)`` and ``evaluate_on(network, samples)``. A device server's trainer
keeps features on disk (features.py) and calls ``train`` and ``evaluate`` itself. Call
``make_deterministic`` once, before the first network.
"""
