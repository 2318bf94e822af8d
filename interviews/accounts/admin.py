from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase

from interviews.accounts.actions import LastAdmin, keep_an_admin, leave_old_addresses
from interviews.accounts.forms import NewPersonForm, PersonForm
from interviews.accounts.models import User


@admin.register(User)
class UserAdmin(BaseUserAdmin):
    """The stock user admin, by e-mail address and role."""

    form, add_form = PersonForm, NewPersonForm
    ordering = ["email"]
    list_display = ["email", "name", "role", "is_active", "date_joined"]
    list_filter = ["role", "is_active"]
    search_fields = ["email", "name"]
    fieldsets = [
        (None, {"fields": ["email", "password"]}),
        ("Person", {"fields": ["name", "role"]}),
        ("Access", {"fields": ["is_active", "is_superuser", "groups", "user_permissions"]}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "name", "role", "password1", "password2"]})]

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        before = User.objects.filter(pk=obj.pk).values_list("email", flat=True).first()
        super().save_model(request, obj, form, change)
        if before not in (None, obj.email):
            leave_old_addresses(user=obj, keep_session=request.session.session_key if obj == request.user else None)
            self.message_user(request, f"{obj} signs in as {obj.email} from now on, and with no other address. Open sessions have ended.")

    def get_deleted_objects(self, objs: Iterable[User], request: HttpRequest) -> tuple[Any, Any, Any, list[Any]]:
        """What would go along, to be confirmed. What is protected refuses it, and so does it to delete the last admin."""
        deleted, counts, lacking, protected = super().get_deleted_objects(objs, request)
        try:
            keep_an_admin(without=[user.pk for user in objs])
        except LastAdmin as error:
            protected = [*protected, "the last admin"]
            self.message_user(request, str(error), messages.ERROR)
        return deleted, counts, lacking, protected

    @transaction.atomic  # what was asked before deleting several holds until it is done; Django does this for one
    def response_action(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponseBase | None:
        return super().response_action(request, queryset)
