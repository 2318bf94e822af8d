"""People. An address signs in; a role says which doors open."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone


class Role(models.TextChoices):
    """What a person may do: sit interviews, review them, or keep the banks as well."""

    CANDIDATE = "candidate"
    INTERVIEWER = "interviewer"
    ADMIN = "admin"


class UserManager(BaseUserManager["User"]):
    """Creates users by e-mail address."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        return self.create_user(email, password, **{"role": Role.ADMIN, "is_superuser": True} | fields)


class User(AbstractBaseUser, PermissionsMixin):
    """A person with an address and a role. Sign-up makes candidates; an admin raises the others."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120, blank=True)
    role = models.CharField(max_length=16, choices=Role, default=Role.CANDIDATE)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now, editable=False)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="one_user_per_address")]

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Addresses are looked up in small letters, so an admin's capitals would lock their owner out."""
        self.email = self.email.lower()
        super().save(*args, **kwargs)

    def __str__(self) -> str:
        return self.display_name

    @property
    def display_name(self) -> str:
        """The name, else what stands before the @."""
        return self.name or self.email.partition("@")[0]

    @property
    def is_staff(self) -> bool:
        """Django's admin site is for admins."""
        return self.role == Role.ADMIN

    def has_perm(self, perm: str, obj: object | None = None) -> bool:
        """Admins keep everything; nobody else has a Django permission by role."""
        return self.is_active and (self.role == Role.ADMIN or super().has_perm(perm, obj))

    def has_module_perms(self, app_label: str) -> bool:
        return self.is_active and (self.role == Role.ADMIN or super().has_module_perms(app_label))

    @property
    def reviews(self) -> bool:
        """May open the review desk."""
        return self.role in (Role.INTERVIEWER, Role.ADMIN)
