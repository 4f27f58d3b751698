"""What the tests of the review share: its table as a person changes it, and the data of its page."""

import csv
import json
import re
from pathlib import Path

from src.library.decisions import COLUMNS

TABLE = Path("tags.review.csv")


def rows_of(path=TABLE):
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


def change(photo_name, path=TABLE, **cells):
    """Change cells of the row of a photo, as a spreadsheet does; a photo without a row gets one."""
    rows = rows_of(path)
    [row] = [row for row in rows if row["path"].endswith(photo_name)]
    row.update(cells)
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def data_of(page="tags.review.html"):
    text = Path(page).read_text("utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])
