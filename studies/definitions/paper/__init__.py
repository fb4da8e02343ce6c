"""The paper's tables and figures, and the figures that it reports."""
