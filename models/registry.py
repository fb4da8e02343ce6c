"""Registry of the backbones in ``models/backbones``.

A backbone is a function ``(x, num_outputs, classifier) -> output`` on symbolic tensors. It maps
normalized images or word vectors to class probabilities or embeddings, or to the features before
the last dense layer if ``num_outputs`` is None. Residual networks take a
``models.layers.convolver.Convolver`` as fourth argument and use it for all convolutions. Every
layer with weights has an explicit name, since weights are initialized and loaded by name.
"""

from utils import Registry

BACKBONES = Registry("architecture")
