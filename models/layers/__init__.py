"""The layers of all backbones, and faster twins of Keras' own."""
