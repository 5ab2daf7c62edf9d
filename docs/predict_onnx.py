"""Names photos with a file of `export_onnx`, without torch or s2m2: `python predict_onnx.py birds.onnx photo.jpg another.jpg`."""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

file, *photos = sys.argv[1:]
session = onnxruntime.InferenceSession(file)
about = session.get_modelmeta().custom_metadata_map
classes, resized = json.loads(about["classes"]), int(about["resized"])
for photo in photos:
    with Image.open(photo, formats=("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF")) as image:
        if image.format == "JPEG":
            image.draft(None, (2 * resized, 2 * resized))  # as s2m2 does: a large JPEG is decoded at a fraction of its size
        upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright.convert("RGBA"))
    pixels = np.asarray(upright.convert("RGB"))
    probabilities, familiarity = session.run(["probabilities", "familiarity"], {"image": pixels})
    known, best = familiarity >= float(about["unknown_threshold"]), int(probabilities.argmax())
    print(f"{photo}: {classes[best] if known else 'none of these'} ({probabilities[best]:.1%})")  # noqa: T201
