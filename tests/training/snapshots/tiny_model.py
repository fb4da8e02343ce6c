"""A compiled network of one layer."""

import keras

from training.optimizer import build_optimizer


def compiled(learning_rate=0.1):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="dense")])
    model.compile(optimizer=build_optimizer(learning_rate), loss="mse")
    model.optimizer.build(model.trainable_variables)
    return model
