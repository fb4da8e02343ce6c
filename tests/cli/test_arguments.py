"""Arguments that are paths."""

import argparse
import importlib
from pathlib import Path

import pytest

from cli.arguments import user_path
from cli.data_options import add_cache_option, add_data_options

COMMANDS = (
    *("compute_class_embedding", "evaluate_classification_accuracy", "evaluate_retrieval"),
    *("export_model", "learn_classifier", "learn_image_embeddings", "plot_hierarchy", "predict"),
    *("evaluate_open_set", "evaluate_verification", "study", "sweep", "write_cub_splits"),
)


def test_the_home_folder_is_known_where_no_shell_expands_it(monkeypatch):
    monkeypatch.setenv("HOME", "/home/jay")
    parser = argparse.ArgumentParser()
    add_data_options(parser)
    add_cache_option(parser)
    args = parser.parse_args(["--dataset=Folder", "--data_root=~/photos", "--cache=~/kept"])
    assert args.data_root == Path("/home/jay/photos")
    assert args.cache == Path("/home/jay/kept")
    assert parser.parse_args(["--dataset=Folder", "--cache=off"]).cache == "off"


@pytest.mark.parametrize("text", ["~nobody knows/x", "a~", "x/~/y", ""])
def test_other_paths_are_unchanged(text):
    assert user_path(text) == Path(text)


@pytest.mark.parametrize("name", COMMANDS)
def test_all_paths_of_a_command_expand_the_home_folder(name):
    parser = importlib.import_module(name).build_parser()
    types = [action.type for action in parser._actions]
    assert user_path in types
    assert Path not in types
