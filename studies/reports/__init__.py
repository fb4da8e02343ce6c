"""Study reports: tables, claims, figures, and the pages that show them."""
