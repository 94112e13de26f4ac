"""The topics' names, for master and worker alike."""

from __future__ import annotations

from common.config import Config
from common.topics import TopicNames


def topics_of(config: Config) -> TopicNames:
    """The names as configured; the two that the predecessor did not have are named after its first."""
    jobs = config.kafka.image_recognise_topic
    return TopicNames(
        jobs=jobs,
        results=config.kafka.image_recognise_result_topic,
        face_jobs=config.kafka.image_face_recognise_topic,
        face_results=config.kafka.image_face_recognise_result_topic,
        workers=f"{jobs}_workers",
        control=f"{jobs}_control",
    )
