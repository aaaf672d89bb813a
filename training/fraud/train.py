"""Trains the fraud model on features that the service's own code computed, and writes model.onnx with its card.

node scripts/run.mjs fraud:export --out features.csv
python training/fraud/train.py --data features.csv --out models/fraud-gbdt/v1

Time split: days 30..(last - 21) train, 7 days of delay (labels are not known yet), the last 14 days test. LightGBM's
raw score is turned into a probability by Platt scaling on the last training week, folded into the ONNX graph. The graph
takes float32 [N, F] `features` and gives `probabilities` [N, 2].
"""

import argparse
import hashlib
import json
import pathlib

import lightgbm as lgb
import numpy as np
import onnx
import onnxruntime
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score


def calibrated_graph(booster, count, slope, intercept):
    """The tree ensemble's raw score, then sigmoid(slope * raw + intercept), as columns [genuine, fraud]."""
    model = convert_lightgbm(booster, initial_types=[("features", FloatTensorType([None, count]))], target_opset=15, zipmap=False)
    tree = next(node for node in model.graph.node if node.op_type == "TreeEnsembleClassifier")
    attributes = {a.name: helper.get_attribute_value(a) for a in tree.attribute}
    kept = {name: value for name, value in attributes.items() if name.startswith("nodes_")}
    regressor = helper.make_node(
        "TreeEnsembleRegressor", ["features"], ["raw"], domain="ai.onnx.ml", n_targets=1, post_transform="NONE",
        target_ids=[0] * len(attributes["class_ids"]), target_nodeids=attributes["class_nodeids"],
        target_treeids=attributes["class_treeids"], target_weights=attributes["class_weights"], **kept,
    )
    constant = lambda name, value: numpy_helper.from_array(np.array(value, dtype=np.float32), name)
    nodes = [
        regressor,
        helper.make_node("Mul", ["raw", "slope"], ["scaled"]),
        helper.make_node("Add", ["scaled", "intercept"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["fraud"]),
        helper.make_node("Sub", ["one", "fraud"], ["genuine"]),
        helper.make_node("Concat", ["genuine", "fraud"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes, "fraud-gbdt",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", count])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])],
        [constant("slope", [slope]), constant("intercept", [intercept]), constant("one", [1.0])],
    )
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 1)], ir_version=8)
    onnx.checker.check_model(result)
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    data = pd.read_csv(arguments.data)
    features = [name for name in data.columns if name not in ("day", "scenario", "fraud")]
    last = int(data.day.max())
    train = data[(data.day >= 30) & (data.day < last - 28)]
    calibration = data[(data.day >= last - 28) & (data.day <= last - 21)]
    test = data[data.day > last - 14]
    booster = lgb.LGBMClassifier(
        n_estimators=250, learning_rate=0.05, num_leaves=15, min_child_samples=50, subsample=0.8, subsample_freq=1,
        colsample_bytree=0.8, reg_lambda=5, random_state=7, n_jobs=2, deterministic=True, force_row_wise=True, verbose=-1,
    ).fit(train[features].astype(np.float32), train.fraud)
    raw = lambda part: booster.predict(part[features].astype(np.float32), raw_score=True)
    platt = LogisticRegression(C=1e6).fit(raw(calibration)[:, None], calibration.fraud)
    slope, intercept = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "model.onnx"
    path.write_bytes(calibrated_graph(booster.booster_, len(features), slope, intercept).SerializeToString())
    expected = 1 / (1 + np.exp(-(slope * raw(test) + intercept)))
    session = onnxruntime.InferenceSession(str(path))
    served = session.run(["probabilities"], {"features": test[features].to_numpy(np.float32)})[0][:, 1]
    # ONNX keeps thresholds as float32: a value that lies on one may fall to the other side.
    difference = np.abs(served - expected)
    assert np.quantile(difference, 0.99) < 1e-5 and difference.max() < 0.01, difference.max()
    genuine = data[(data.fraud == 0) & (data.day >= 30)]
    called = served >= 0.2
    by_scenario = {
        f"recall_at_review_{name}": round(float(called[(test.scenario == name).to_numpy()].mean()), 4)
        for name in sorted(test.scenario.unique()) if name != "genuine"
    }
    card = {
        "name": "fraud-gbdt",
        "version": "v1",
        "task": "binary-classification",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "pure": True,
        "inputs": [{"name": "features", "dtype": "float32", "shape": [None, len(features)]}],
        "outputs": [{"name": "probabilities", "dtype": "float32", "shape": [None, 2]}],
        "features": features,
        "reference": {name: float(np.float32(genuine[name].median())) for name in features},
        "labels": ["genuine", "fraud"],
        "metrics": {
            "protocol": f"simulated payments; train days 30-{last - 29}, calibration {last - 28}-{last - 21}, labels 7 days late, test {last - 13}-{last}",
            "auc": round(float(roc_auc_score(test.fraud, served)), 4),
            "average_precision": round(float(average_precision_score(test.fraud, served)), 4),
            "precision_at_review": round(float(test.fraud[called].mean()), 4),
            "recall_at_review": round(float(called[(test.fraud == 1).to_numpy()].mean()), 4),
            **by_scenario,
        },
        "data": {"name": "Vigil's payment simulator (scripts/simulate/payments.ts)", "licence": "Apache-2.0", "train": len(train), "test": len(test)},
        "intended_use": "Demonstration of the decision path on simulated payments",
        "limits": "Never trained on real payments: not fit to decide about any. Train on your own history before use.",
    }
    (arguments.out / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    rows = test[features].to_numpy(np.float32)
    chosen = np.concatenate([np.flatnonzero(test.fraud.to_numpy() == 1)[:20], np.flatnonzero(test.fraud.to_numpy() == 0)[:20]])
    golden = {"rows": rows[chosen].tolist(), "probabilities": served[chosen].tolist()}
    (arguments.out / "golden.json").write_text(json.dumps(golden) + "\n")
    print(json.dumps(card["metrics"], indent=2))


main()
