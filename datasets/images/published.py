"""Sizes and normalization of the published data sets, for models used without the data set, too."""

from dataclasses import replace
from typing import NamedTuple

from datasets.images.augmentation.preprocessing import Preprocessing
from datasets.images.normalization import BY_SUFFIX, Normalization


class PublishedInput(NamedTuple):
    """Sizes and normalization of the input of a network."""

    preprocessing: Preprocessing  # sizes and augmentation
    normalization: Normalization  # mean and standard deviation


# Mean, then standard deviation, of the red, green and blue channels.
_MEASURED = """
CUB                 123.82988033 127.35116805 110.25606303  59.2230949  58.0736071 67.80251684
NAB                 125.30513277 129.66606421 118.45121113  57.0045467 56.70059436 68.44430446
MIT67Scenes         124.62788179 110.01028625  94.95780545 68.56923599 66.86607736 67.35944349
Cars                120.03730636 117.33780928  116.0130335 75.40415763 75.15394251 77.28286728
Flowers              110.7799141  97.65648664  75.32889973 74.90387818 62.70218863  69.7656359
iNat                119.99310088 122.86333725 102.38318464 60.83471124 59.33123704 65.92057842
iNat2019            115.77492586 120.84414891  93.51744386 60.46127213 58.63136496  63.5872299
iNat_actinopterygii  95.60659929 109.21340134  99.53273934 62.64981594 56.77583425 57.79043402
iNat_amphibia       120.38820316 112.09448704  93.57291079 64.38971069 60.88945117   60.689195
iNat_animalia       117.86148813 112.27558493 100.76823038 65.10786879  60.9941875  61.3212783
iNat_arachnida      123.05328454 123.11786486  99.49669769 62.10607939 59.69295922 64.12102046
iNat_aves           125.68554284 131.58931007 123.51576605 56.91926625 57.04151665 67.97284604
iNat_bacteria       130.44253929 118.58949652 100.64353881 63.52655078  61.3866035 62.52496727
iNat_chromista      126.63609004 120.30744082 103.69842308  61.3142875 60.35121831 64.33445667
iNat_fungi           105.4904181  98.20844854  81.95195412 66.43803547 63.26916273 61.75505097
iNat_insecta        126.79141945 126.55725101   94.4626541 62.46710552 59.70656548 64.38703598
iNat_mammalia       119.32537707 119.28610021 105.22655576 60.25561291 58.86410094 60.85549787
iNat_mollusca       119.15865454 107.82338741  93.65438902 65.54171188 62.00986655 62.64830566
iNat_plantae         109.4558912 115.78290918  84.83970548 60.36177593 59.17162815 60.81183456
iNat_protozoa         99.4855571  90.12976005  71.67906874 69.23439903 63.83415135  59.1059619
iNat_reptilia       126.42469824 119.44987437 103.84680809  63.4749642 60.19704406 60.20556052
"""

_SMALL = Preprocessing((256, 480), 256, 224)
_LARGE = Preprocessing(512, 512, 448, erasing=0.5)
_PREPROCESSING = {
    "NAB": replace(_SMALL, erasing=0.5),
    "MIT67Scenes": replace(_SMALL, train_size=256, erasing=0.5),
    **dict.fromkeys(("CUB", "Cars", "Flowers"), _LARGE),
}


def _published(name: str, *values: str) -> PublishedInput:
    numbers = tuple(map(float, values))
    return PublishedInput(_PREPROCESSING.get(name, _SMALL), Normalization(numbers[:3], numbers[3:]))


PUBLISHED = {line.split()[0]: _published(*line.split()) for line in _MEASURED.split("\n")[1:-1]}
"""By name; the normalization of other data sets is measured on the training images."""

PUBLISHED["iNat2018"] = PUBLISHED["iNat"]
PUBLISHED["ILSVRC"] = PublishedInput(_SMALL, BY_SUFFIX["ilsvrcmean"])

INAT_2018_PARTS = [name.removeprefix("iNat_") for name in PUBLISHED if name.startswith("iNat_")]
"""Supercategories of 2018, in lower case."""
