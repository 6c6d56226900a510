"""The arguments that the recipe and its ablation share."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from recipes.mini.output_folder import SettingsError, claim
from recipes.mini.settings import Settings
from recipes.mini.training import Folders, Training


def opened(program: str, description: str | None) -> Training:
    """The training that the command line names, whose output folder belongs to these settings."""
    parser = argparse.ArgumentParser(prog=program, description=description)
    parser.add_argument(
        "--data", type=Path, required=True, help="holds flickr8k, coco_labels, classes, coco_mini"
    )
    parser.add_argument("--models", type=Path, required=True, help="holds efficientnet_lite2.safetensors")
    parser.add_argument("--start", type=Path, required=True, help="the model folder to start from")
    parser.add_argument("--out", type=Path, required=True, help="what the stages make; may be gone on with")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--openvino", action="store_true", help="compute the frozen features in bfloat16")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    settings = Settings()
    try:
        claim(args.out, settings.facts(args.start))
    except SettingsError as error:
        sys.exit(f"error: {error}")
    folders = Folders(args.data, args.models / "efficientnet_lite2.safetensors", args.start, args.out)
    return Training(folders, settings, args.openvino)
