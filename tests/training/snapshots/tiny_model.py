"""A compiled network of one layer."""

import keras

from training.optimizer import build_optimizer


def compiled(learning_rate=0.1):
    keras.utils.set_random_seed(0)
    numbers = keras.Input((2,))
    model = keras.Model(numbers, keras.layers.Dense(1, name="dense")(numbers))
    model.compile(optimizer=build_optimizer(learning_rate), loss="mse")
    model.optimizer.build(model.trainable_variables)
    return model
