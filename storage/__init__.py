"""Files: written whole or not at all, locked, recorded; read without executing anything."""
