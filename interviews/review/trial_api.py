"""The HTTP interface of what is done again to be looked at before it counts."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from interviews.accounts.models import User
from interviews.review import trials
from interviews.review.api import given
from interviews.review.kinds import Kind
from interviews.review.models import Trial


class NewTrial(serializers.Serializer[Any]):
    scope = serializers.CharField(max_length=10)
    target = serializers.CharField(max_length=80)


class OfKind(APIView):
    kind: Kind | None = None  # given where its address is

    def find(self, user: User, pk: UUID) -> Trial:
        return trials.find(self.kind.model, user, pk)

    def decided(self, request: Request, pk: UUID, decide: Callable[..., Trial]) -> Response:
        return Response(self.kind.json(decide(trial=self.find(request.user, pk), actor=request.user)))


class Begin(OfKind):
    @extend_schema(request=NewTrial, responses=dict)
    def post(self, request: Request) -> Response:
        target = given(NewTrial, request)
        trials.check_reviews(self.kind.model, request.user)
        return Response(self.kind.json(self.kind.law.start(**target, actor=request.user)), status=201)


class Detail(OfKind):
    @extend_schema(responses=dict)
    def get(self, request: Request, pk: UUID) -> Response:
        return Response(self.kind.json(self.find(request.user, pk)))


class Apply(OfKind):
    @extend_schema(request=None, responses=dict)
    def post(self, request: Request, pk: UUID) -> Response:
        return self.decided(request, pk, self.kind.law.apply)


class Discard(OfKind):
    @extend_schema(request=None, responses=dict)
    def post(self, request: Request, pk: UUID) -> Response:
        return self.decided(request, pk, self.kind.law.discard)
