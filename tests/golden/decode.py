"""Makes decode.txt: small files and what the Python imaging library (Pillow) reads in them, as RGB. A line a file:
its name, H, W, the file's bytes and the pixels, row by row, in hexadecimal. Of 16-bit PNG files, which Pillow reads in
its own way, the pixels are the upper bytes."""
import io
import numpy as np
from PIL import Image

H, W = 11, 19
h, w = np.meshgrid(np.arange(H), np.arange(W), indexing="ij")
rgb = np.stack([(h * 23 + w * 3) % 256, (w * 13) % 256, 255 - (h * w) % 256], 2).astype(np.uint8)
grey = ((h * 19 + w * 7) % 256).astype(np.uint8)
deep = (grey.astype(np.uint16) << 8) | 0xc3

lines = []


def add(name, image, pixels=None, **how):
    b = io.BytesIO()
    image.save(b, **how)
    if pixels is None:
        pixels = np.asarray(Image.open(io.BytesIO(b.getvalue())).convert("RGB"))
    lines.append(f"{name} {H} {W} {b.getvalue().hex()} {pixels.astype(np.uint8).tobytes().hex()}\n")


colour, gray = Image.fromarray(rgb), Image.fromarray(grey)
add("jpeg", colour, format="JPEG", quality=80)
add("jpeg-444", colour, format="JPEG", quality=95, subsampling=0)
add("jpeg-422", colour, format="JPEG", quality=60, subsampling=1)
add("jpeg-progressive", colour, format="JPEG", quality=70, progressive=True)
add("jpeg-grey", gray, format="JPEG", quality=80)
add("jpeg-cmyk", colour.convert("CMYK"), format="JPEG", quality=90)
add("png", colour, format="PNG")
add("png-grey", gray, format="PNG")
add("png-one-bit", gray.point(lambda v: 255 * (v > 128)).convert("1"), format="PNG")
add("png-palette", colour.quantize(7), format="PNG", transparency=3)
add("png-alpha", Image.fromarray(np.dstack([rgb, grey])), pixels=rgb, format="PNG")
add("png-grey-alpha", Image.fromarray(np.dstack([grey, 255 - grey]), "LA"), pixels=np.dstack([grey] * 3), format="PNG")
add("png-16", Image.fromarray(deep), pixels=np.dstack([grey] * 3), format="PNG")
open("decode.txt", "w").writelines(lines)
