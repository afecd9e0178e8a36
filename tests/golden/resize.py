"""Makes resize.txt: parts of a drawn image, resized by the Python imaging library (Pillow), bilinear. A line a case:
H W of the image, top left h w of the part, H W that it gets, then the result's bytes in hexadecimal, row by row, RGB.
The image's pixel (h, w, c) is (h * h * 31 + w * w * 17 + h * w * 7 + c * 85 + (h ^ w) * 3) % 256."""
import numpy as np
from PIL import Image

CASES = [
    (13, 17, (0, 0, 13, 17), (5, 9)),  # smaller
    (9, 7, (0, 0, 9, 7), (20, 15)),    # larger
    (9, 7, (0, 0, 9, 7), (9, 4)),      # one side alone
    (6, 6, (0, 0, 6, 6), (6, 6)),      # as it is
    (40, 30, (7, 11, 21, 16), (8, 8)), # a part
    (50, 3, (0, 0, 50, 3), (4, 4)),    # a dozen to one, and larger
    (1, 1, (0, 0, 1, 1), (2, 3)),
    (30, 40, (29, 39, 1, 1), (2, 2)),
]


def drawn(H, W):
    h, w, c = np.meshgrid(np.arange(H), np.arange(W), np.arange(3), indexing="ij")
    return ((h * h * 31 + w * w * 17 + h * w * 7 + c * 85 + (h ^ w) * 3) % 256).astype(np.uint8)


with open("resize.txt", "w") as f:
    for H, W, (top, left, h, w), (oh, ow) in CASES:
        part = Image.fromarray(drawn(H, W)).crop((left, top, left + w, top + h))
        out = np.asarray(part.resize((ow, oh), Image.BILINEAR))
        print(H, W, top, left, h, w, oh, ow, out.tobytes().hex(), file=f)
