"""Tables of rows: the types of their columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tidegauge.baseline import tables
from tidegauge.errors import ConfigError

ROWS = """id,age,plan,member,code,mixed
a,1.5,free,true,01,1
b,,paid,False,02,2
c,3,,TRUE,01,x
d,nan,free,,02,4
"""


def written(tmp_path: Path, text: str, name: str = "rows.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_column_is_numbers_or_texts_with_nulls_and_strays(tmp_path):
    table = tables.read(written(tmp_path, ROWS), as_text=["code"])
    assert table.rows == 4
    np.testing.assert_array_equal(table.columns["age"].numbers, [1.5, np.nan, 3.0, np.nan])
    assert table.columns["plan"].texts == ["free", "paid", "free"]
    np.testing.assert_array_equal(table.columns["member"].numbers, [1.0, 0.0, 1.0, np.nan])
    assert table.columns["code"].texts == ["01", "02", "01", "02"]
    assert table.columns["mixed"].texts == ["x"]  # where numbers are in the majority, a text is a stray
    np.testing.assert_array_equal(table.columns["mixed"].present, [True] * 4)


def test_parquet_says_the_types_itself(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    columns = {
        "age": [1.5, None, 3.0],
        "count": pyarrow.array([1, 2, None], pyarrow.int64()),
        "member": [True, False, None],
        "plan": pyarrow.array(["free", None, "paid"]).dictionary_encode(),
        "code": [1, 2, 3],
        "at": pyarrow.array([0, 1, 2], pyarrow.timestamp("ms")),
    }
    parquet.write_table(pyarrow.table(columns), path)
    table = tables.read(path, as_text=["code"])
    np.testing.assert_array_equal(table.columns["age"].numbers, [1.5, np.nan, 3.0])
    np.testing.assert_array_equal(table.columns["count"].numbers, [1.0, 2.0, np.nan])
    np.testing.assert_array_equal(table.columns["member"].numbers, [1.0, 0.0, np.nan])
    assert table.columns["plan"].texts == ["free", "paid"]
    assert table.columns["code"].texts == ["1", "2", "3"]
    assert "at" not in table.columns


@pytest.mark.parametrize("text", ["", "a,b\n", "a,b\n1,2\n3\n"])
def test_what_is_no_table_says_where_it_is_wrong(tmp_path, text):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=r"rows\.csv: not a table: "):
        tables.read(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.csv: cannot be read"):
        tables.read(tmp_path / "none.csv")
