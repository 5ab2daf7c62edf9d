"""The side of AdaptShot in `own_classes.py`: runs in an environment of its own, with AdaptShot and without s2m2."""

import json
import sys
from pathlib import Path

from adaptshot import FewShotLearner  # type: ignore[import-not-found]
from PIL import Image


def in_color(path: str) -> str:
    """The path of an image, or of a copy in RGB: AdaptShot takes no other mode."""
    with Image.open(path) as image:
        if image.mode == "RGB":
            return path
        copy = Path(path.replace("/", "_")).with_suffix(".png")  # in the temporary working directory
        if not copy.is_file():
            image.convert("RGB").save(copy)
        return str(copy)


def main() -> None:
    tasks = json.loads(Path(sys.argv[1]).read_text())
    said = []
    for task in tasks:
        learner = FewShotLearner(n_way=len(set(task["labels"])))
        learner.load_support_images([in_color(path) for path in task["support"]], task["labels"])
        answers = []
        for path in task["query"]:
            result = learner.predict(in_color(path))
            answers.append(
                {
                    "best": int(result.prediction),
                    "confidence": float(result.calibrated_confidence),
                    "unknown": bool(result.ood_flag),
                    "ask": bool(result.uncertainty_flag),
                    "set": [int(label) for label in result.conformal_set or [result.prediction]],
                    "distance": float(result.distance_to_prototype),
                }
            )
        said.append(answers)
    Path(sys.argv[2]).write_text(json.dumps(said))


if __name__ == "__main__":
    main()
