"""An explanation drawn over its picture: relevance as warm colour, a frame around the region, a ring at the point."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from retrieval.query.explanation import PictureShare, Region

SIDE = 960
"""Longest side of a drawn picture, in pixels."""
_STRONGEST = 0.72  # opacity of the colour: what lies below stays visible
_FAINT = 0.1  # relevance that is not drawn
_STEEP = 0.7  # of opacity over relevance; at 1 only summits show, at 0.5 all is veiled
_GREY = 0.55  # of the colours that the picture loses, so that the warm colour is the only one that calls
_UNSEEN = 0.35  # brightness of what the model does not see
_COLOURS = np.array([(255, 214, 0), (255, 120, 0), (214, 0, 40)], np.float32)
_RING = 11  # radius, in pixels


def draw_overlay(
    picture: NDArray[np.uint8], share: PictureShare, file_format: Literal["PNG", "JPEG"] = "PNG"
) -> bytes:
    """Draw where the score comes from over a picture, and encode it.

    Args:
        picture: (height, width, 3) uint8, the whole of it.
        share: what to draw.
        file_format: of the file that is given.
    """
    height, width = picture.shape[:2]
    heat, is_seen = _over_picture(share, width, height)
    grey = picture.astype(np.float32).mean(axis=2, keepdims=True)
    base = picture + (grey - picture) * _GREY
    base *= np.where(is_seen, 1.0, _UNSEEN)[..., None]
    opacity = (_STRONGEST * np.clip((heat - _FAINT) / (1 - _FAINT), 0, 1) ** _STEEP)[..., None]
    mixed = base + (_colours(heat) - base) * opacity
    image = Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))
    _draw_marks(ImageDraw.Draw(image), share, width, height)
    file = io.BytesIO()
    # Level 1 of 9: half the time of 6, for 7 % more bytes.
    image.save(file, file_format, **({"quality": 85} if file_format == "JPEG" else {"compress_level": 1}))
    return file.getvalue()


def _over_picture(
    share: PictureShare, width: int, height: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Give the relevance of each pixel, in [0, 1], and whether the model sees it."""
    left, top, right, bottom = _pixels(share.relevance.seen, width, height)
    cells = Image.fromarray(np.array(share.relevance.values, np.float32))
    stretched = np.asarray(cells.resize((right - left, bottom - top), Image.Resampling.BICUBIC))
    heat, is_seen = np.zeros((height, width), np.float32), np.zeros((height, width), np.bool_)
    heat[top:bottom, left:right] = np.clip(stretched, 0, 1)
    is_seen[top:bottom, left:right] = True
    return heat, is_seen


def _colours(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the colour of each relevance, (height, width, 3), from yellow to red."""
    stops = np.linspace(0, 1, len(_COLOURS))
    return np.stack([np.interp(heat, stops, _COLOURS[:, channel]) for channel in range(3)], axis=-1)


def _draw_marks(draw: ImageDraw.ImageDraw, share: PictureShare, width: int, height: int) -> None:
    """Draw frame and ring, white upon black, so that they show on any picture."""
    for colour, thickness in (("black", 4), ("white", 2)):
        if share.region is not None:
            left, top, right, bottom = _pixels(share.region, width, height)
            draw.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=thickness)
        if share.point is not None:
            x, y = share.point[0] * width, share.point[1] * height
            box = (x - _RING, y - _RING, x + _RING, y + _RING)
            draw.ellipse(box, outline=colour, width=thickness)


def _pixels(region: Region, width: int, height: int) -> tuple[int, int, int, int]:
    """Give left, top, right and bottom, at least a pixel each way and within the picture."""
    left, top = min(round(region.left * width), width - 1), min(round(region.top * height), height - 1)
    right = max(left + 1, min(width, round((region.left + region.width) * width)))
    bottom = max(top + 1, min(height, round((region.top + region.height) * height)))
    return left, top, right, bottom
