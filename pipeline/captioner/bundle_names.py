"""Names in a bundle that both know: who reads and writes the folder, and who packs it as a zip.

On its own, so that a change of the packing trains and evaluates nothing anew.
"""

DESCRIPTION = "bundle.json"  # at the top; has the hash of every other file
