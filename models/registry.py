"""Registry of the backbones in ``models/backbones``.

A backbone is a function ``(x, num_outputs, classifier) -> output`` of symbolic tensors: from
normalized images to class probabilities or embeddings, or to the features before the last dense
layer where ``num_outputs`` is None. Every layer with weights has an explicit name: weights are
loaded, and drawn, by name.
"""

from utils import Registry

BACKBONES = Registry("architecture")
