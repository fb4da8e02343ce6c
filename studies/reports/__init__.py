"""What came out of studies: tables, claims and advice, figures, and the pages that show them."""
