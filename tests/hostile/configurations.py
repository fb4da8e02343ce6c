"""Configurations of networks that ask for what no network here has, or for far too much."""

import base64
import marshal
from collections.abc import Callable


def _layer(plain: dict, kind: str) -> dict:
    return next(layer for layer in plain["config"]["layers"] if layer["class_name"] == kind)


def _replaced(**entries) -> Callable[[dict], None]:
    """Another layer in the place of the activation."""

    def change(plain: dict) -> None:
        _layer(plain, "ReLU").update(entries)

    return change


def _set(kind: str, **entries) -> Callable[[dict], None]:
    return lambda plain: _layer(plain, kind)["config"].update(entries)


def _code() -> str:
    code = compile("lambda x: __import__('os').system('touch executed') and x", "evil", "eval")
    return base64.b64encode(marshal.dumps(code)).decode()


_LAMBDA = {
    "class_name": "__lambda__",
    "config": {"value": [_code(), None, None], "code": _code(), "defaults": None, "closure": None},
}


def _function(module: str, name: str) -> dict:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def _many_layers(plain: dict) -> None:
    layer = _layer(plain, "ReLU")
    layers = plain["config"]["layers"]
    layers[3:3] = [{**layer, "name": f"x{i}"} for i in range(20_000)]


def _backwards(plain: dict) -> None:
    plain["config"]["layers"].reverse()


def _itself(plain: dict) -> None:
    nodes = _layer(plain, "ReLU")["inbound_nodes"]
    nodes[0]["args"][0]["config"]["keras_history"] = ["relu", 0, 0]


def _unsafe(plain: dict) -> None:
    call = {**_function("keras.config", "enable_unsafe_deserialization")}
    _layer(plain, "ReLU").update(class_name="Activation", config={"activation": call})


CONFIGS: dict[str, Callable[[dict], None]] = {
    "a lambda": _replaced(class_name="Lambda", config={"name": "relu", "function": _LAMBDA}),
    "a lambda as activation": _set("Dense", activation=_LAMBDA),
    "a lambda as initializer": _set("Conv2D", kernel_initializer=_LAMBDA),
    "any module": _replaced(module="os", class_name="system", config={"command": "touch executed"}),
    "subprocess": _replaced(
        module="subprocess", class_name="Popen", config={"args": ["touch", "executed"]}
    ),
    "a registered name": _replaced(registered_name="evil>ReLU"),
    "builtins": _set("Dense", activation=_function("builtins", "eval")),
    "a download": _set("Dense", activation=_function("keras.utils", "get_file")),
    "NumPy's loader": _set("Dense", activation=_function("numpy", "load")),
    "the safe mode is switched off": _unsafe,
    "a SavedModel": _replaced(class_name="TFSMLayer", config={"filepath": "/etc", "name": "relu"}),
    "PyTorch's pickle": _replaced(
        class_name="TorchModuleWrapper", config={"module": "x", "name": "relu"}
    ),
    "JAX": _replaced(class_name="JaxLayer", config={"call_fn": _LAMBDA, "name": "relu"}),
    "a vocabulary in a file": _replaced(
        class_name="StringLookup", config={"vocabulary": "/etc/passwd", "name": "relu"}
    ),
    "a vectorizer": _replaced(
        class_name="TextVectorization", config={"vocabulary": "/etc/passwd", "name": "relu"}
    ),
    "a wrapped layer": _replaced(
        class_name="TimeDistributed", config={"layer": {"class_name": "Lambda", "config": {}}}
    ),
    "a model within": _replaced(class_name="Sequential", config={"layers": []}),
    "a type": _set(
        "Dense",
        units={
            "class_name": "__typespec__",
            "spec_name": "x",
            "module": "os",
            "registered_name": None,
            "config": [],
        },
    ),
    "a tensor": _set(
        "Dense", units={"class_name": "__numpy__", "config": {"value": [1], "dtype": "O"}}
    ),
    "another kind of network": lambda plain: plain.update(class_name="Sequential"),
    "a network of another module": lambda plain: plain.update(
        class_name="Popen", module="subprocess"
    ),
    "10**12 units": _set("Dense", units=10**12),
    "10**5 units": _set("Dense", units=10**5),
    "10**400 units": _set("Dense", units=10**400),
    "-1 units": _set("Dense", units=-1),
    "10**9 filters": _set("Conv2D", filters=10**9),
    "kernels of 10**5": _set("Conv2D", kernel_size=[10**5, 10**5]),
    "other channels": _set("InputLayer", batch_shape=[None, None, None, 10**9]),
    "pixels without end": _set("InputLayer", batch_shape=[None, 10**6, 10**6, 3]),
    "a million images at a time": _set("InputLayer", batch_shape=[10**9, 14, 14]),
    "padding of 10**6": _replaced(
        module="keras.layers",
        class_name="ZeroPadding2D",
        config={"name": "relu", "padding": [[10**6, 10**6], [10**6, 10**6]]},
    ),
    "images made larger": _replaced(
        module="keras.layers",
        class_name="UpSampling2D",
        config={"name": "relu", "size": [10**5, 10**5]},
    ),
    "20,000 layers": _many_layers,
    "layers from last to first": _backwards,
    "a layer of itself": _itself,
    "no layers": lambda plain: plain["config"].update(layers=[]),
    "two layers of a name": lambda plain: plain["config"]["layers"].append(_layer(plain, "ReLU")),
    "fewer outputs": lambda plain: plain["config"].update(output_layers=[["prob", 0, 0]]),
}
