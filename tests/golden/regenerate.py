"""Compute the golden values again: `OMP_NUM_THREADS=1 python -m tests.golden.regenerate`, from the root of the repository.

The first values are those of s2m2 0.1.0, of 2026-11-27, computed on Linux x86-64 (AMD EPYC) with torch 2.15.0 and NumPy 2.4.6; the
file states what the present ones were computed with. Names follow the package: `tim_fast` and `alpha_tim_fast` are the `tim` and
`alpha_tim` of 0.1.0, and `tim` and `alpha_tim` are those with its setting `adam: elementwise`.

Of 2026-11-28 are the values of `cosine` and `calibrated`, with the same versions: since then every task has a random stream of its own;
and of `laplacian_shot` at five shots, whose weight depends on the number of shots since then.

Values are golden because nobody changes them in passing: a commit that changes a number states which, by how much and why. Values
are computed again only where a change of results is meant, never to make a test pass.
"""

import json
import platform

import numpy as np
import torch

from tests.golden import values


def main() -> None:
    """Write the file."""
    torch.set_num_threads(1)
    content = {
        "origin": {
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
        },
        "classifiers": {name: values.accuracies_of(case) for name, case in values.classifier_cases().items()},
        "tasks": {f"{protocol}, seed {seed}": values.digest_of(protocol, seed) for protocol in values.PROTOCOLS for seed in values.SEEDS},
        "training": {objective: values.weights_of(objective) for objective in values.OBJECTIVES},
    }
    lines = []
    for part, entries in content.items():
        inner = ",\n".join(f"    {json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items())
        lines.append(f"  {json.dumps(part)}: {{\n{inner}\n  }}")
    values.FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
