"""RapidOCR as a reader: PP-OCRv6 by ONNX Runtime, English and Chinese; its wheel brings the models.

It opens these models by their paths and nothing else, so that it never looks for them on the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrieval.errors import ImageError, MissingExtra
from retrieval.extras import require
from retrieval.ocr.reader import ReadLine
from retrieval.texts import normalise_text
from retrieval.types import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODELS = "PP-OCRv6 small"
DETECTION, RECOGNITION = "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"
SIDE = 1600  # pixels that lines are cut out of
DETECTION_SIDE = (
    960  # longer side of what lines are found in: enlarging 640 pixels costs twice the time and reads less
)
LOOK_SHARE = 0.5  # of that side, for a first look, which takes a quarter of the time of finding lines
LOOK_PIXELS = 20  # of its map that must be as likely as this to be text, or there is none
LOOK_PROBABILITY = 0.3
LEAST_SIDE = (
    16  # pixels: in a narrower strip nothing can be read, and RapidOCR would enlarge it beyond all bounds
)
LEAST_CONFIDENCE = 0.6
LEAST_CONFIDENCE_OF_ONE = 0.9  # of a line of one character, as which lamps and handles pass
MOST_LINES = 400


class RapidReader:
    """Reads lines of English and Chinese text, up to some 30 degrees askew; not those that stand upside down.

    RapidOCR's classifier of lines that stand upside down is left out: it turns slanted ones that do not.

    Args:
        threads: that compute; None lets ONNX Runtime decide.
        first_look: pass over images in which nothing looks like text at half the resolution. It takes a quarter
            less time, and loses the small text in 6 of 27 photographs that hold some (benchmarks/indexing/ocr.md).

    Raises:
        MissingExtra: the extra ``ocr`` is not installed, or its models are missing.
    """

    side = SIDE

    def __init__(self, threads: int | None = None, *, first_look: bool = False) -> None:
        require("ocr", "reading text in pictures")
        self._models = _models_folder()
        self.maker = f"RapidOCR {version('rapidocr')} ({MODELS}{', first look' if first_look else ''})"
        self._first_look, self._threads = first_look, -1 if threads is None else threads

    @cached_property
    def _engine(self) -> Any:
        """RapidOCR, loaded with the first image: a run often finds none to read."""
        import rapidocr  # late: brings OpenCV and ONNX Runtime

        return rapidocr.RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_cls": False,
                "Global.text_score": LEAST_CONFIDENCE,
                "Det.limit_side_len": DETECTION_SIDE,
                "Det.limit_type": "max",
                "Det.max_candidates": MOST_LINES,
                "Rec.rec_batch_num": 1,  # of a page, six lines at a time take 600 MB more and no less time
                "EngineConfig.onnxruntime.intra_op_num_threads": self._threads,
                "Det.model_path": str(self._models / DETECTION),
                "Rec.model_path": str(self._models / RECOGNITION),
            }
        )

    @cached_property
    def _faults(self) -> tuple[type[Exception], ...]:
        return _faults_of_rapidocr()

    def read(self, image: NDArray[np.uint8]) -> list[ReadLine]:
        """Read the lines of an image; see :meth:`retrieval.ocr.TextReader.read`."""
        height, width = image.shape[:2]
        if min(height, width) < LEAST_SIDE:
            return []
        colours_reversed = image[:, :, ::-1].copy()
        engine = self._engine
        try:
            if self._first_look and not self._may_hold_text(colours_reversed):
                return []
            found = engine(colours_reversed)
        except self._faults as error:
            raise ImageError(f"text cannot be read in it ({type(error).__name__})") from error
        if not found.txts or found.boxes is None:
            return []
        return list(_lines(found.txts, found.scores, found.boxes, width, height))

    def _may_hold_text(self, image: NDArray[np.uint8]) -> bool:
        """Look for text at a low resolution."""
        import numpy as np
        from rapidocr.ch_ppocr_det.utils import DetPreProcess

        detector = self._engine._load_det_model()
        side = round(min(DETECTION_SIDE, max(image.shape)) * LOOK_SHARE)
        small = DetPreProcess(side, "max", detector.mean, detector.std)(image)
        if small is None:  # a strip that vanishes at this size
            return True
        probabilities = detector.session(small)
        return int(np.count_nonzero(probabilities >= LOOK_PROBABILITY)) >= LOOK_PIXELS


def _models_folder() -> Path:
    """Give the folder of the models that RapidOCR's wheel brings; without them, RapidOCR would download some.

    Raises:
        MissingExtra: they are missing.
    """
    found = find_spec("rapidocr")
    for folder in (found and found.submodule_search_locations) or ():
        models = Path(folder) / "models"
        if all((models / name).is_file() for name in (DETECTION, RECOGNITION)):
            return models
    raise MissingExtra("reading text in pictures", "ocr")


def _lines(
    texts: Sequence[str], confidences: Sequence[float], boxes: NDArray[Any], width: int, height: int
) -> Iterator[ReadLine]:
    for found, confidence, corners in zip(texts, confidences, boxes, strict=True):
        text = normalise_text(" ".join(found.split()))
        if len(text) > 1 or (text and confidence >= LEAST_CONFIDENCE_OF_ONE):
            yield ReadLine(text, _box(corners, width, height))


def _box(corners: NDArray[Any], width: int, height: int) -> Box:
    """Give four corners in pixels as shares of width and height, within the image."""
    flat = [
        round(min(max(float(value) / side, 0.0), 1.0), 4)
        for corner in corners
        for value, side in zip(corner, (width, height), strict=True)
    ]
    return (flat[0], flat[1], flat[2], flat[3], flat[4], flat[5], flat[6], flat[7])


def _faults_of_rapidocr() -> tuple[type[Exception], ...]:
    """Give the exceptions by which RapidOCR and what it stands on say that an image is too odd for them."""
    import cv2
    from rapidocr.ch_ppocr_det.utils import ResizeImgError as DetectionResizeError
    from rapidocr.inference_engine.onnxruntime.main import ONNXRuntimeError
    from rapidocr.utils.process_img import ResizeImgError

    return (
        cv2.error,
        ONNXRuntimeError,
        ResizeImgError,
        DetectionResizeError,
        ArithmeticError,
        ValueError,
        IndexError,
    )
