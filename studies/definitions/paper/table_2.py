"""Table 2: seven losses on six data sets, and three of them from pre-trained weights."""

from studies.definitions.paper import published as p
from studies.study import Part, Study
from sweeping.grid import LEARNING_RATES


def _part(title: str, folder: str, datasets: str, losses: tuple[str, ...], **more) -> Part:
    more = {"options": p.FINE_GRAINED, "gpus": 4, "published_accuracies": p.TABLE_2} | more
    return Part(title, tuple(datasets.split()), losses, LEARNING_RATES, folder=folder, **more)


_PRETRAINED = {"weights": True, "published_accuracies": p.TABLE_2_FINE_TUNED}

STUDY = Study(
    "table-2",
    "Table 2: losses on six data sets",
    "Test accuracy of networks trained from scratch, in the best epoch at the best of eight rates.",
    paper=(
        _part("Fine-grained", "fine-grained", "CUB NAB-large Cars Flowers", p.ONE_HOT),
        _part("Fine-grained, semantic embeddings", "semantic", "CUB NAB-large", p.SEMANTIC),
        _part("MIT Indoor Scenes", "mit", "MIT67Scenes", p.ONE_HOT, options=p.MIT_INDOOR),
        _part(
            "CIFAR-100", "cifar-100", "CIFAR-100", p.ONE_HOT + p.SEMANTIC,
            options=p.CIFAR_100, gpus=1,
        ),
        _part(
            "Fine-grained, fine-tuned from ILSVRC", "fine-tuned",
            "CUB-caffe NAB-large-caffe Cars-caffe Flowers-caffe", p.FINE_TUNED, **_PRETRAINED,
        ),
        _part(
            "MIT Indoor Scenes, fine-tuned from ILSVRC", "fine-tuned-mit", "MIT67Scenes-caffe",
            p.FINE_TUNED, options=p.MIT_INDOOR, **_PRETRAINED,
        ),
    ),
    reduced_in=("cub50",),
)  # fmt: skip
