"""Class embeddings: one target vector per class (one-hot, simplex, from files or taxonomies)."""

from embeddings.class_embeddings import (
    ClassEmbeddings,
    load_class_embeddings,
    onehot,
)
from embeddings.taxonomy.files import read_taxonomy
from embeddings.taxonomy.tree import Taxonomy

__all__ = [
    "ClassEmbeddings",
    "Taxonomy",
    "load_class_embeddings",
    "onehot",
    "read_taxonomy",
]
