"""What a linear classifier makes of each backbone's features, at 96 pixels.

For the built-in backbone, ImageNet's of the same width, and random weights: a logistic
regression on the pooled features, fitted on the training pictures, scored on others.
Run it from the repository's root: ``python -m benchmarks.backbone_quality``. Test data are
read from $FEDBELL_TEST_DATA. Prints a table; writes benchmarks/results/backbone_quality.json.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import keras
import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.report import TEST_DATA, begin
from shared.federated.weights import read_weights
from shared.learning.architectures.mobilenet import mobilenet
from shared.learning.backbone import BUILTIN, assign, imagenet_file, read_keras_h5

SIZE = 96
ALPHA = 0.25
RANDOM_SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Pictures:
    """uint8 (n, 96, 96, 3) and labels, to fit on and to score on."""

    train: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]


def digits() -> Pictures:
    """scikit-learn's 8x8 digits, half of them to fit on, half to score on."""
    loaded: Any = load_digits()
    pictures = np.stack(
        [
            cv2.cvtColor(cv2.resize(grey, (SIZE, SIZE)), cv2.COLOR_GRAY2RGB)
            for grey in (loaded.images * (255 / 16)).astype(np.uint8)
        ]
    ).astype(np.uint8)
    train, test, train_labels, test_labels = train_test_split(
        pictures, loaded.target, test_size=0.5, random_state=1, stratify=loaded.target
    )
    return Pictures(train, train_labels, test, test_labels)


def doorbell() -> Pictures:
    """Photos of persons, parcels, animals and empty doorsteps, split as they are on disk."""
    root = TEST_DATA / "doorbell" / "class_folders"
    splits: list[Any] = []
    for split in ("train", "test"):
        paths = sorted((root / split).glob("*/*.jpg"))
        classes = sorted({path.parent.name for path in paths})
        read = [cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) for path in paths]
        pictures = [cv2.resize(p, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for p in read]  # type: ignore[arg-type]
        splits.append(np.stack(pictures).astype(np.uint8))
        splits.append(np.array([classes.index(path.parent.name) for path in paths]))
    return Pictures(*splits)


def linear_probe(network: keras.Model, pictures: Pictures) -> float:
    """Accuracy on the test pictures; the regularisation is chosen on the training pictures."""
    fit, score = (
        network.predict(part / np.float32(127.5) - 1, batch_size=64, verbose=0)
        for part in (pictures.train, pictures.test)
    )
    classifier = make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(
            Cs=np.logspace(-4, 1, 6),
            l1_ratios=(0,),
            cv=4,
            max_iter=2000,
            scoring="accuracy",
            use_legacy_attributes=False,
        ),
    )
    classifier.fit(fit, pictures.train_labels)
    return float(classifier.score(score, pictures.test_labels))


def main() -> None:
    run = begin("backbone_quality", __doc__)
    if not (TEST_DATA / "weights" / imagenet_file(ALPHA)).exists():
        print(f"Left out: no photos and weights in {TEST_DATA} (set FEDBELL_TEST_DATA).")
        return
    collections = {"digits": digits(), "doorbell": doorbell()}
    network = mobilenet(ALPHA, SIZE)

    def score() -> dict[str, float]:
        return {name: linear_probe(network, p) for name, p in collections.items()}

    assign(network, read_weights(BUILTIN))
    scores = {"builtin": score()}
    assign(network, read_keras_h5(TEST_DATA / "weights" / imagenet_file(ALPHA), network))
    scores["imagenet"] = score()
    randoms = []
    for seed in RANDOM_SEEDS:
        keras.utils.set_random_seed(seed)
        assign(network, {v.path: v.numpy() for v in mobilenet(ALPHA, SIZE).weights})
        randoms.append(score())
    scores["random"] = {n: float(np.mean([r[n] for r in randoms])) for n in collections}
    print(f"{'linear probe, 96 px':<20}" + "".join(f"{name:>10}" for name in collections))
    for backbone, values in scores.items():
        print(f"{backbone:<20}" + "".join(f"{value:>10.3f}" for value in values.values()))
    counts = {n: [len(p.train), len(p.test)] for n, p in collections.items()}
    run.save({"image_size": SIZE, "alpha": ALPHA, "pictures": counts, "accuracy": scores})


if __name__ == "__main__":
    main()
