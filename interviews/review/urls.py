from django.urls import path

from interviews.review import api, views

urlpatterns = [
    path("marking/", views.marking, name="marking"),
    path("interviews/<uuid:pk>/report/", views.report, name="report"),
    path("review/", views.queue, name="review_queue"),
    path("review/<uuid:pk>/", views.desk, name="review_desk"),
    path("review/rejudges/", views.rejudges, name="rejudges"),
    path("review/rejudges/new/", views.new_rejudge, name="new_rejudge"),
    path("review/rejudges/<uuid:pk>/", views.rejudge, name="rejudge"),
    path("api/interviews/<uuid:pk>/report/", api.ReportDetail.as_view()),
    path("api/interviews/<uuid:pk>/overrides/", api.Overrides.as_view()),
    path("api/interviews/<uuid:pk>/marks/", api.Marks.as_view()),
    path("api/interviews/<uuid:pk>/notes/", api.Notes.as_view()),
    path("api/interviews/<uuid:pk>/publish/", api.Publish.as_view()),
    path("api/interviews/<uuid:pk>/rescore/", api.Rescore.as_view()),
    path("api/rejudges/", api.Rejudges.as_view()),
    path("api/rejudges/<uuid:pk>/", api.RejudgeDetail.as_view()),
    path("api/rejudges/<uuid:pk>/apply/", api.ApplyRejudge.as_view()),
    path("api/rejudges/<uuid:pk>/discard/", api.DiscardRejudge.as_view()),
]
