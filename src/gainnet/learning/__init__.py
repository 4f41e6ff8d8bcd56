"""Learning across cloud, edges and devices: split models, federated algorithms, and the loop of knowledge."""
