from django.urls import URLPattern, path

from interviews.review import api, trial_api, trial_views, try_views, views
from interviews.review.kinds import REJUDGES, RESCORINGS, Kind


def _trials(kind: Kind) -> list[URLPattern]:
    """The pages and the interface of one kind of trials."""
    pages, name = {"kind": kind}, kind.name
    return [
        path(f"review/{name}s/", trial_views.listed, pages, name=f"{name}s"),
        path(f"review/{name}s/new/", trial_views.new, pages, name=f"new_{name}"),
        path(f"review/{name}s/<uuid:pk>/", trial_views.trial, pages, name=name),
        path(f"api/{name}s/", trial_api.Begin.as_view(kind=kind)),
        path(f"api/{name}s/<uuid:pk>/", trial_api.Detail.as_view(kind=kind)),
        path(f"api/{name}s/<uuid:pk>/apply/", trial_api.Apply.as_view(kind=kind)),
        path(f"api/{name}s/<uuid:pk>/discard/", trial_api.Discard.as_view(kind=kind)),
    ]


urlpatterns = [
    path("marking/", views.marking, name="marking"),
    path("interviews/<uuid:pk>/report/", views.report, name="report"),
    path("review/", views.queue, name="review_queue"),
    path("review/<uuid:pk>/", views.desk, name="review_desk"),
    path("api/interviews/<uuid:pk>/report/", api.ReportDetail.as_view()),
    path("api/interviews/<uuid:pk>/overrides/", api.Overrides.as_view()),
    path("api/interviews/<uuid:pk>/marks/", api.Marks.as_view()),
    path("api/interviews/<uuid:pk>/notes/", api.Notes.as_view()),
    path("api/interviews/<uuid:pk>/publish/", api.Publish.as_view()),
    path("api/interviews/<uuid:pk>/rescore/", api.Rescore.as_view()),
    path("bank/<slug:pack>/<slug:slug>/try/", try_views.tryout, name="try"),
    path("bank/<slug:pack>/<slug:slug>/try/<uuid:pk>/", try_views.tryout, name="tryout"),
    *_trials(REJUDGES),
    *_trials(RESCORINGS),
]
