"""Text in images: readers that find its lines and recognise them (OCR)."""

from retrieval.ocr.reader import ReadLine as ReadLine
from retrieval.ocr.reader import TextReader as TextReader
