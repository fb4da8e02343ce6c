"""The length u of class embeddings behind the dimension augmentation module (DAM)."""

from studies.definitions.simplex import common
from studies.study import Part, Study

_LENGTHS = (24, 1000)


def _part(scale: int, dataset: str, options: str, **more) -> Part:
    return Part(
        f"u = {scale}",
        (dataset,),
        ("dsc",),
        (1e-4,),
        f"--architecture lenet-2d --projection dam --projection_layers 2 --embedding_scale {scale} "
        f"--lr_schedule Cosine --weight_decay 5e-4 --clipgrad 0 {options}",
        f"u{scale}",
        splits=common.CLASSES,
        **more,
    )


STUDY = Study(
    "dsc-dam",
    "Simplex targets: length of the class embeddings behind the DAM, 20 classes of CIFAR-100",
    "A network with two features, which the dimension augmentation module (DAM) expands to 20, as "
    "in the published demonstration. Class embeddings of different lengths u are trained at the "
    f"same learning rate. {common.NO_FIGURES}",
    paper=tuple(_part(u, "CIFAR-100", "--batch_size 64 --epochs 250", gpus=1) for u in _LENGTHS),
    reduced=tuple(
        _part(
            u,
            "CIFAR-100-sub100",
            "--batch_size 20 --repeats 1 --epochs 12 --val_every 12",
            seeds=(0, 1),
        )
        for u in _LENGTHS
    ),
    reduced_text="Scaled down (published setup in parentheses): 100 images per class (500), batch "
    "size 20 (64), 12 epochs (250), and therefore 1,200 steps at the published learning rate "
    "(39,250).",
)
