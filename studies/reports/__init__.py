"""Study reports: tables, claims and advice, figures, and the pages that show them."""
