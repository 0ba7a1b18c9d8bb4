"""Every method and ablation in one table: the same data, labels, trunk, decoder, steps and seeds for all.

    python -m benchmarks.methods_table --train windows --data bench --held-out held-out --out docs/methods

It is `usthand evaluate --table methods`, with all its options; docs/evaluation.md says what each of them means.
"""

from __future__ import annotations

import sys

from server.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["evaluate", "--table", "methods"]
    main()
