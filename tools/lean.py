"""Imported before nbformat: the import of that takes 0.2 s of the processor then, not 1.6.

nbformat imports jsonschema, and that one, where it is installed, a grammar of addresses
(rfc3987_syntax), which nothing here checks. jsonschema does without it.
"""

import sys

sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
