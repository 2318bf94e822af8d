from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin

from interviews.accounts.models import User


@admin.register(User)
class UserAdmin(BaseUserAdmin):
    """The stock user admin, by e-mail address and role."""

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
