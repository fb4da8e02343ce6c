"""The search of ``learn_folder.py``: its space, its trials on Ray Tune, and the winner."""
