"""ORL faces: 40 people, few images of each."""

from studies.study import Part, Search, Study
from sweeping.grid import VALIDATION

STUDY = Study(
    "orl",
    "ORL faces, 2, 3 and 5 images per person",
    "A data set outside the paper, with very few images per class.",
    reduced=(
        Part(
            "By images per person",
            ("ORL-sub2", "ORL-sub3", "ORL"),
            ("xent", "cosine", "cosine+xent"),
            (1.0, 0.5, 0.1, 0.05, 0.01),
            # 80 to 200 training images: batches of 50 would be 336 steps, too few for small rates.
            "--architecture resnet-32 --target_size 48 --crop_size 44 --batch_size 20 --epochs 84 "
            "--val_every 4",
            seeds=(0, 1, 2, 3, 4),
            new_subsets=True,
            search=Search((VALIDATION,), dataset="ORL", val_fraction=0.2),
            full_size=5,
            compared=("xent", "cosine", "cosine+xent"),
        ),
    ),
    reduced_text="The paper does not use this data set. 84 epochs in three SGDR cycles, with an "
    "evaluation on the test images after every fourth epoch. The learning rate of each loss is "
    "chosen on held-out images.",
    draws=("sizes",),
)
