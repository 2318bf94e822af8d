"""Rows that are written once. Python refuses a change here; a trigger made by `protect` refuses it in the database."""

from typing import Any, NoReturn

from django.db import models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import RunPython


class Immutable(TypeError):
    """Somebody tried to change or delete a row that is a record."""


class InsertOnlyQuerySet(models.QuerySet[Any]):
    """Refuses bulk changes, which would pass `save` by."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise Immutable(f"{self.model.__name__} rows are written once; make a new one.")

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise Immutable(f"{self.model.__name__} rows are written once; make a new one.")


class InsertOnly(models.Model):
    """A record. Deleting is left to the cascade of what it belongs to."""

    objects = InsertOnlyQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise Immutable(f"{type(self).__name__} rows are written once; make a new one.")
        kwargs["force_insert"] = True
        super().save(*args, **kwargs)


def protect(app_label: str, model_name: str) -> RunPython:
    """A migration operation: the database itself refuses UPDATE on the model's table (PostgreSQL and SQLite).

    SQLite loses this where a later migration makes the table anew, as it does for a column that may not be null: let a new one be null.
    """

    def forwards(apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
        table = apps.get_model(app_label, model_name)._meta.db_table
        if editor.connection.vendor == "postgresql":
            editor.execute(
                """CREATE OR REPLACE FUNCTION roofline_refuse_update() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION '% rows are written once', TG_TABLE_NAME; END $$""",
                params=None,
            )
            editor.execute(
                f"CREATE TRIGGER {table}_written_once BEFORE UPDATE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION roofline_refuse_update()"
            )
        else:
            editor.execute(
                f"CREATE TRIGGER {table}_written_once BEFORE UPDATE ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} rows are written once'); END"
            )

    def backwards(apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
        table = apps.get_model(app_label, model_name)._meta.db_table
        suffix = f" ON {table}" if editor.connection.vendor == "postgresql" else ""
        editor.execute(f"DROP TRIGGER {table}_written_once{suffix}")

    return RunPython(forwards, backwards)
