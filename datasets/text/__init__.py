"""Documents as word indices: vocabulary, word vectors, data sets of documents."""
