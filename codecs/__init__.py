"""Message formats, sans-IO: bytes in, values out. Imports nothing else of ours."""
