"""Files: written whole or not at all, locked, recorded; read without executing anything.

What cannot be written is a ``UserError`` of ``utils``, in all rooms.
"""
