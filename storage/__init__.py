"""Files: atomic writes, locks, records, and readers that execute nothing.

All failures to read or write are reported as ``utils.UserError``.
"""
