"""The backend, devices, replicas and hosts."""
