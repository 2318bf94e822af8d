"""Records are written once, and the database itself sees to it."""

import pytest
from django.db import connection

from grading.insert_only import InsertOnly

RECORDS = InsertOnly.__subclasses__()
TRIGGERS = {
    "postgresql": "SELECT count(*) FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname = %s AND tgenabled = 'O'",
    "sqlite": "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s AND name = %s",
}


def test_there_are_records() -> None:
    assert len(RECORDS) >= 9


@pytest.mark.django_db
@pytest.mark.parametrize("model", RECORDS, ids=lambda model: model.__name__)
def test_after_all_migrations_each_table_of_records_still_refuses_a_change(model: type[InsertOnly]) -> None:
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(TRIGGERS[connection.vendor], [table, f"{table}_written_once"])
        assert cursor.fetchone() == (1,)
