"""A working directory that is hostile in every way that we know of, and the traces that its code would leave."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from PIL import Image

PACKAGES = (
    "PIL", "_virtualenv", "certifi", "charset_normalizer", "click", "conftest", "faiss", "filelock", "greenlet",
    "httpcore", "httpx", "huggingface_hub", "jinja2", "kiwisolver", "markdown_it", "markupsafe", "matplotlib", "numpy",
    "packaging", "peft", "pillow_heif", "platformdirs", "pyarrow", "pygments", "regex", "rich", "safetensors", "scipy",
    "sentencepiece", "sitecustomize", "sqlalchemy", "swigfaiss", "tokenizers", "torch", "torchvision",
    "tqdm", "transformers", "typing_extensions", "usercustomize", "yaml",
)  # fmt: skip
PROGRAMS = (
    "fc-list",
    "ffmpeg",
    "gcc",
    "git",
    "gs",
    "latex",
    "ldconfig",
    "ld",
    "nvidia-smi",
    "python",
    "sh",
    "uname",
)
SETTINGS = {
    ".env": "PYTHONSTARTUP=evil.py\nVLSEARCH_COLLECTION=/nowhere\n",
    ".netrc": "default login a password b\n",
    "evil.pth": "import evil\n",
    "matplotlibrc": "text.usetex: True\nbackend: module://evil\nfigure.figsize: 1, 1\n",
    "pip.conf": "[global]\nindex-url = http://127.0.0.1:9/\n",
    "pyproject.toml": "[tool.vlsearch]\nmodel = 'evil'\n[tool.pytest.ini_options]\naddopts = '-p evil'\n",
    "setup.cfg": "[options.entry_points]\nvlsearch = evil\n",
    "sqlalchemy.cfg": "x",
    "tox.ini": "[pytest]\naddopts = -p evil\n",
    "evil-1.0.dist-info/METADATA": "Name: evil\nVersion: 1.0\n",
    "evil-1.0.dist-info/entry_points.txt": "[torch.backends]\ne = evil:x\n[sqlalchemy.dialects]\nsqlite = evil:x\n",
    "vlsearch-9.9.dist-info/METADATA": "Name: vlsearch\nVersion: 9.9\n",
    "config.json": '{"auto_map": {"AutoModel": "evil.Model", "AutoTokenizer": "evil.Tokenizer"}}',
    "tokenizer_config.json": '{"auto_map": {"AutoTokenizer": ["evil.Tokenizer", null]}}',
}


def plant(folder: Path, trace: Path) -> Path:
    """Fill a folder with modules, programs and settings; whatever of them runs adds its name to the file ``trace``."""
    folder.mkdir(exist_ok=True)
    code = "import sys\nwith open({0!r}, 'a') as trace: trace.write('module {1}\\n')\n"
    names = {*sys.stdlib_module_names, *PACKAGES, "evil"} - set(sys.builtin_module_names)
    for name in sorted(names):
        (folder / f"{name}.py").write_text(code.format(str(trace), name), encoding="utf-8")
    for name in ("PIL", "matplotlib", "numpy", "torch", "indexer"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(code.format(str(trace), name), encoding="utf-8")
    for name in PROGRAMS:
        (folder / name).write_text(f"#!/bin/sh\necho program {name} >> '{trace}'\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    for name, text in SETTINGS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "sound").mkdir()
    for number, name in enumerate(("a", "b", "c", "d")):
        for place in (folder, folder / "sound"):
            Image.new("RGB", (40, 30), (60 * number, 10, 200)).save(place / f"{name}.png")
            (place / f"{name}.txt").write_text(f"picture {name}\n", encoding="utf-8")
    return folder


def link_outside(folder: Path, own: Path) -> None:
    """Links from a corpus to a user's own files and folders, to a device and to nowhere."""
    (folder / "link.png").symlink_to(own / "letter.txt")
    (folder / "folder").symlink_to(own, target_is_directory=True)
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "nowhere.png").symlink_to(own / "nowhere")
    os.mkfifo(folder / "pipe.png")
