import duckdb
import pytest

from benchmarks.prepare import make_interactions, prepared, table


@pytest.mark.parametrize("csv", [False, True])
def test_made_interactions_are_prepared(tmp_path, csv):
    file = make_interactions(tmp_path, 20_000, csv=csv)
    query = f"SELECT count(DISTINCT user_id), count(DISTINCT item_id) FROM '{file}'"
    ((users, items),) = duckdb.execute(query).fetchall()
    assert 500 < users <= 1000 and 100 < items <= 200
    found = prepared({"file": str(file), "out": str(tmp_path), "k_core": 5})
    assert found["kept"]["users"] <= users and found["kept"]["interactions"] > 15_000
    assert "20,000" in table([{"rows": 20_000, "rows_per_second": 1.0, **found}])
