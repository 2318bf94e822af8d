from django.db import migrations


def tell_loads_from_edits(apps, schema_editor):
    """A version without an author came with its pack: the current one, or the newest before it was edited."""
    for question in apps.get_model("bank", "Question").objects.exclude(current=None).select_related("current"):
        current = question.current
        loaded = question.versions.filter(created_by=None).order_by("-created_at", "-id").first()
        question.loaded = question.based_on = current if current.created_by_id is None else loaded or current
        question.current_by_id, question.current_at = current.created_by_id, current.created_at
        question.save()


class Migration(migrations.Migration):

    dependencies = [("bank", "0003_question_loaded")]

    operations = [migrations.RunPython(tell_loads_from_edits, migrations.RunPython.noop)]
