"""The schemas in schemas/ are those of the records, and the examples in the docs fit them."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from tidegauge import records, schema
from tidegauge.errors import TidegaugeError

ROOT = Path(__file__).parents[1]
EVENTS = "".join((ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in ("events", "baselines"))
EXAMPLES = re.findall(r"^```json (\w+)\n(.*?)^```", EVENTS, re.DOTALL | re.MULTILINE)


def test_schemas_directory_holds_the_schema_of_each_record_and_nothing_else() -> None:
    found = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "schemas").iterdir()}
    wanted = {schema.file_name(name): schema.schema_text(name) for name in schema.RECORDS}
    assert found == wanted, "run `tidegauge schema --write schemas`"


@pytest.mark.parametrize("name", schema.RECORDS)
def test_a_schema_says_draft_2020_12_and_every_field(name: str) -> None:
    found = schema.schema(name)
    record = schema.RECORDS[name]
    fields = found["$defs"][record.__name__]
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert list(fields["properties"]) == list(record.__struct_encode_fields__)
    assert fields["required"] == [f.name for f in msgspec.structs.fields(record) if f.required]


def test_an_unknown_schema_is_named_with_those_there_are() -> None:
    with pytest.raises(TidegaugeError, match=r"no schema 'x'; expected one of prediction, label"):
        schema.schema("x")


def test_write_makes_the_directory_and_returns_the_files(tmp_path: Path) -> None:
    paths = schema.write(tmp_path / "a/b")
    assert sorted(paths) == sorted((tmp_path / "a/b").iterdir())
    assert [path.name for path in paths][:2] == ["prediction.schema.json", "label.schema.json"]


def test_the_docs_have_an_example_of_every_record() -> None:
    assert {name for name, _ in EXAMPLES} == set(schema.RECORDS)


@pytest.mark.parametrize(("name", "text"), EXAMPLES)
def test_an_example_in_the_docs_fits_its_record_and_uses_no_other_field(name: str, text: str) -> None:
    record = schema.RECORDS[name]
    msgspec.json.decode(text, type=record)
    assert set(msgspec.json.decode(text)) <= set(record.__struct_encode_fields__)


@pytest.mark.parametrize("name", schema.RECORDS)
def test_the_docs_name_every_field_of_a_record(name: str) -> None:
    record = schema.RECORDS[name]
    missing = [field for field in record.__struct_encode_fields__ if f"`{field}`" not in EVENTS]
    assert not missing


def test_the_docs_name_every_field_of_evidence_and_every_reason() -> None:
    names = [*records.Evidence.__struct_encode_fields__, *records.REASONS]
    assert [name for name in names if f"`{name}`" not in EVENTS] == []
