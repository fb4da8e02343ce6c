"""Two features that can be drawn: the three losses of the Deep Simplex Classifier side by side."""

from studies.study import Part, Study

_LOSSES = ("dsc", "dsc_hinge", "dsc_softmax")
_RATE = 1e-3  # of all three, as published
_OPTIONS = "--architecture lenet-2d --embedding_scale 5 --lr_schedule Cosine --weight_decay 5e-4"
_CLASSES = ("first:3",)
_DRAWN = "features --part train --known_only --images"

STUDY = Study(
    "dsc-synthetic",
    "Simplex targets: two features, three losses of DSC, three classes of CIFAR-10",
    "A network with two features learns the first three classes of CIFAR-10, whose class "
    "embeddings are the corners of a triangle. The pictures show training images after the last "
    "epoch, the mean of each class (white) and its class embedding (cross). The published pictures "
    "have neither and show the augmented images as the network saw them during each epoch. No "
    "accuracies were published with them.",
    paper=(
        Part(
            "Three classes",
            ("CIFAR-10",),
            _LOSSES,
            (_RATE,),
            f"{_OPTIONS} --clipgrad 0 --batch_size 64 --epochs 100",
            gpus=1,
            splits=_CLASSES,
            evaluation=f"{_DRAWN} 1000",
        ),
    ),
    reduced=(
        Part(
            "Three classes, 300 images each",
            ("CIFAR-10-sub300",),
            _LOSSES,
            (_RATE,),
            f"{_OPTIONS} --batch_size 16 --repeats 1 --epochs 8 --val_every 8",
            splits=_CLASSES,
            evaluation=f"{_DRAWN} 100",
        ),
    ),
    reduced_text="Scaled down (published setup in parentheses): 300 images per class (5,000), "
    "from JPEG copies (quality 75), batch size 16 (64), 8 epochs (100), and therefore 456 steps at "
    "the published learning rate (23,500). Gradients are clipped to norm 10 because the features "
    "of all images collapsed to one point without clipping at this batch size.",
    draws=("features",),
)
