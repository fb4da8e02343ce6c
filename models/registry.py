"""Registry of the backbones in ``models/backbones``.

A backbone is a function ``(x, num_outputs, classifier) -> output`` of symbolic tensors: from
normalized images to class probabilities or embeddings, or to the features before the last dense
layer where ``num_outputs`` is None. Residual ones take a ``models.layers.convolver.Convolver`` as
fourth argument, and build all of their convolutions by it. Every layer with weights has an explicit
name: weights are loaded, and drawn, by name.
"""

from utils import Registry

BACKBONES = Registry("architecture")
