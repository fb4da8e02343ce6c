"""Backend specifics, devices, replicas on one machine, and training on several machines."""
