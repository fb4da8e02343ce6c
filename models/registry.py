"""Where the files of this folder register their backbones.

A backbone is a function ``(x, num_outputs, classifier) -> output`` from the symbolic tensor of the
normalized images to that of the class probabilities or embeddings. Every layer with weights gets
an explicit name: weights are loaded, and drawn, by name.
"""

from utils import Registry

BACKBONES = Registry("architecture")
