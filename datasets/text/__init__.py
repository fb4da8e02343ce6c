"""Documents as word numbers: words, their vectors, data sets of documents."""
