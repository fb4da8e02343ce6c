"""A recurrent network for documents, as in Section 5.1 of the paper.

Gated recurrent units: Cho et al., https://arxiv.org/abs/1409.1259. The paper says "a GRU layer with
300 units and a dropout ratio of 0.5 for both input and output, followed by batch-normalization and
a fully-connected layer"; everything else is the default of Keras 3, whose
reset gate acts on the product with the recurrent weights.
"""

from keras import KerasTensor, layers

from models.layers.batch_normalization import batch_normalization
from models.layers.outputs import output_layer
from models.registry import BACKBONES

UNITS = 300
DROPOUT = 0.5


@BACKBONES.register("gru")
def gru(x: KerasTensor, num_outputs: int | None, classifier: bool) -> KerasTensor:
    """Build element-wise dropout, a GRU that outputs its last state, and dropout again."""
    x = layers.Dropout(DROPOUT, name="word_dropout")(x)
    x = layers.GRU(UNITS, name="gru")(x)
    x = layers.Dropout(DROPOUT, name="gru_dropout")(x)
    return output_layer(batch_normalization("gru_bn")(x), num_outputs, classifier)
