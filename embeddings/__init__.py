"""The class targets: one vector per class, one-hot or read from a file of class embeddings."""

from embeddings.class_embeddings import ClassEmbeddings, load_class_embeddings, onehot

__all__ = ["ClassEmbeddings", "load_class_embeddings", "onehot"]
