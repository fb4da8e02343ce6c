"""Do features tell whether two images show the same person, whom training has not seen?"""

from studies.definitions.simplex import common
from studies.study import Part, Study

_NETWORK = "--architecture iresnet-100 --optimizer adam --clipgrad 0"
_STEPS = "--lr_schedule Step --step_len 5 --step_factor 0.5 --epochs 100"


def _published(title: str, folder: str, rate: float, options: str, losses=("dsc",)) -> Part:
    options = f"{_NETWORK} {options}"
    more = {"folder": folder, "gpus": 1, "evaluation": "verification"}
    return Part(title, ("Faces",), losses, (rate,), options, **more)


STUDY = Study(
    "verification",
    "Verification: faces of people not seen in training",
    "Accuracy on pairs of images in ten folds. `--data_root Faces=DIR` has one folder per person "
    "and the pairs in `pairs.txt`; people who occur in a pair are left out of the training. The "
    "publication trains on 12,000 people of MS1MV3, in part from weights of its own, and tests on "
    "the pairs of LFW and other collections. `python -m "
    f"studies.orl_pairs DIR` writes the folder for the reduced scale. {common.NO_FIGURES}",
    paper=(
        _published(
            "DSC with dimension augmentation",
            "dam",
            1e-4,
            "--projection dam --projection_layers 1 --embedding_dim 12500 --batch_size 24 "
            f"{_STEPS}",
        ),
        _published(
            "DSC with dimension augmentation, shorter class embeddings",
            "dam256",
            1e-3,
            "--projection dam --projection_layers 1 --embedding_dim 12500 --embedding_scale 256 "
            f"--batch_size 8 {_STEPS}",
        ),
        _published(
            "DSC on the whole feature map",
            "linear",
            1e-4,
            "--projection linear --embedding_dim 12500 --embedding_scale 2000 --batch_size 12 "
            "--lr_schedule Cosine --epochs 5",
        ),
        _published(
            "Other objectives",
            "others",
            1e-4,
            f"--batch_size 24 {_STEPS}",
            common.BASELINES,
        ),
    ),
    reduced=(
        Part(
            "ORL, 20 people for training and 20 for pairs",
            ("Faces",),
            ("dsc", *common.BASELINES),
            {"dsc": (0.05,)} | dict.fromkeys(common.BASELINES, (0.1,)),
            "--architecture resnet-32 --target_size 48 --crop_size 44 --test_fraction 0.2 "
            "--batch_size 20 --epochs 24 --val_every 24 --lr_schedule Cosine --clipgrad 0",
            seeds=(0, 1),
            evaluation="verification --mirror",
        ),
    ),
    reduced_text="Scaled down (published setup in parentheses): 20 people with 8 images each "
    "(12,000 people), resnet-32 at 44 pixels (iresnet-100 at 112), 64 features without dimension "
    "augmentation (12,500 dimensions), SGD with a cosine schedule (Adam, in part with steps), "
    "batch size 20 (8 to 24), 24 epochs (5 or 100). The 1,800 pairs come from 20 other people, in "
    "ten folds of two people. The learning rates are not tuned.",
    draws=("roc",),
)
