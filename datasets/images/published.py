"""Sizes and normalization of the published data sets, which their models need without them too."""

from typing import NamedTuple

from datasets.images.normalization import BY_SUFFIX, Normalization
from datasets.images.preprocessing import Preprocessing


class PublishedInput(NamedTuple):
    """How images become the input of a network.

    Attributes:
        preprocessing: sizes and augmentation.
        normalization: mean and standard deviation.
    """

    preprocessing: Preprocessing
    normalization: Normalization


_INAT_2018 = Normalization(
    (119.99310088, 122.86333725, 102.38318464), (60.83471124, 59.33123704, 65.92057842)
)
_INAT_2019 = Normalization(
    (115.77492586, 120.84414891, 93.51744386), (60.46127213, 58.63136496, 63.5872299)
)
INAT_2018_PARTS = {
    "actinopterygii": Normalization(
        (95.60659929, 109.21340134, 99.53273934), (62.64981594, 56.77583425, 57.79043402)
    ),
    "amphibia": Normalization(
        (120.38820316, 112.09448704, 93.57291079), (64.38971069, 60.88945117, 60.689195)
    ),
    "animalia": Normalization(
        (117.86148813, 112.27558493, 100.76823038), (65.10786879, 60.9941875, 61.3212783)
    ),
    "arachnida": Normalization(
        (123.05328454, 123.11786486, 99.49669769), (62.10607939, 59.69295922, 64.12102046)
    ),
    "aves": Normalization(
        (125.68554284, 131.58931007, 123.51576605), (56.91926625, 57.04151665, 67.97284604)
    ),
    "bacteria": Normalization(
        (130.44253929, 118.58949652, 100.64353881), (63.52655078, 61.3866035, 62.52496727)
    ),
    "chromista": Normalization(
        (126.63609004, 120.30744082, 103.69842308), (61.3142875, 60.35121831, 64.33445667)
    ),
    "fungi": Normalization(
        (105.4904181, 98.20844854, 81.95195412), (66.43803547, 63.26916273, 61.75505097)
    ),
    "insecta": Normalization(
        (126.79141945, 126.55725101, 94.4626541), (62.46710552, 59.70656548, 64.38703598)
    ),
    "mammalia": Normalization(
        (119.32537707, 119.28610021, 105.22655576), (60.25561291, 58.86410094, 60.85549787)
    ),
    "mollusca": Normalization(
        (119.15865454, 107.82338741, 93.65438902), (65.54171188, 62.00986655, 62.64830566)
    ),
    "plantae": Normalization(
        (109.4558912, 115.78290918, 84.83970548), (60.36177593, 59.17162815, 60.81183456)
    ),
    "protozoa": Normalization(
        (99.4855571, 90.12976005, 71.67906874), (69.23439903, 63.83415135, 59.1059619)
    ),
    "reptilia": Normalization(
        (126.42469824, 119.44987437, 103.84680809), (63.4749642, 60.19704406, 60.20556052)
    ),
}
"""Mean and standard deviation of the supercategories of 2018 by name, in lower case."""

_UNERASED = Preprocessing((256, 480), 256, 224)

PUBLISHED = {
    "CUB": PublishedInput(
        Preprocessing(512, 512, 448, erasing=0.5),
        Normalization(
            (123.82988033, 127.35116805, 110.25606303), (59.2230949, 58.0736071, 67.80251684)
        ),
    ),
    "NAB": PublishedInput(
        Preprocessing((256, 480), 256, 224, erasing=0.5),
        Normalization(
            (125.30513277, 129.66606421, 118.45121113), (57.0045467, 56.70059436, 68.44430446)
        ),
    ),
    "MIT67Scenes": PublishedInput(
        Preprocessing(256, 256, 224, erasing=0.5),
        Normalization(
            (124.62788179, 110.01028625, 94.95780545), (68.56923599, 66.86607736, 67.35944349)
        ),
    ),
    "Cars": PublishedInput(
        Preprocessing(512, 512, 448, erasing=0.5),
        Normalization(
            (120.03730636, 117.33780928, 116.0130335), (75.40415763, 75.15394251, 77.28286728)
        ),
    ),
    "Flowers": PublishedInput(
        Preprocessing(512, 512, 448, erasing=0.5),
        Normalization(
            (110.7799141, 97.65648664, 75.32889973), (74.90387818, 62.70218863, 69.7656359)
        ),
    ),
    "ILSVRC": PublishedInput(_UNERASED, BY_SUFFIX["ilsvrcmean"]),
    "iNat": PublishedInput(_UNERASED, _INAT_2018),
    "iNat2018": PublishedInput(_UNERASED, _INAT_2018),
    "iNat2019": PublishedInput(_UNERASED, _INAT_2019),
    **{
        f"iNat_{part}": PublishedInput(_UNERASED, normalization)
        for part, normalization in INAT_2018_PARTS.items()
    },
}
"""By name; the others have their normalization measured on the training images."""
