"""Writes a table of flats and their rents, as an agency might keep it: `python .ci/flats.py FILE`."""

import sys

import numpy as np
import pandas as pd

ROWS = 1500

rng = np.random.default_rng(7)
area = np.clip(rng.gamma(9, 7.5, ROWS), 18, 220).round(1)
district = rng.choice(["Altstadt", "Hafen", "Nordend", "Westend", "Vorort"], ROWS, p=[0.15, 0.2, 0.25, 0.25, 0.15])
level = pd.Series({"Altstadt": 14.5, "Hafen": 11.0, "Nordend": 12.5, "Westend": 15.5, "Vorort": 9.0})
built = rng.integers(1890, 2024, ROWS)
listed = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 900, ROWS), unit="D")
balcony = rng.random(ROWS) < 0.6
rent = area * level[district].to_numpy() * (1 + 0.0012 * (built - 1950)) * (1 + 0.06 * balcony)
flats = pd.DataFrame(
    {
        "flat": [f"F{number:05d}" for number in range(ROWS)],
        "area": area,
        "rooms": np.clip((area / 25).round(), 1, 8).astype(int),
        "district": district,
        "built": pd.array(np.where(rng.random(ROWS) < 0.05, np.nan, built), "Int64"),
        "balcony": np.where(balcony, "yes", "no"),
        "listed": listed.strftime("%Y-%m-%d"),
        "rent": (rent * rng.normal(1, 0.09, ROWS)).round(2),
    }
)
flats.to_csv(sys.argv[1], index=False)
