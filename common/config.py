"""The only reader of config.ini, the environment and ``*_FILE`` secrets.

The keys of the predecessor keep their names and sections, so that its config.ini works unchanged; ours are in
sections of their own. Every key can also come from the environment, as FACESWARM_SECTION_KEY, which wins, or
from a file named by FACESWARM_SECTION_KEY_FILE.
"""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class ConfigError(Exception):
    """The configuration can't be used; the message names the key and says what is wrong with it."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Kafka(_Section):
    """[kafka]: the broker and the names of the topics."""

    host: str = Field("localhost:9092", alias="Host")
    image_recognise_topic: str = Field("image_recognise", alias="ImageRecogniseTopic")
    image_recognise_result_topic: str = Field("image_recognise_result", alias="ImageRecogniseResultTopic")
    image_face_recognise_topic: str = Field("image_face_recognise", alias="ImageFaceRecogniseTopic")
    image_face_recognise_result_topic: str = Field("image_face_recognise_result", alias="ImageFaceRecogniseResultTopic")


class Mongo(_Section):
    """[mongo]: the database of a swarm."""

    uri: str | None = Field(None, alias="Uri")
    image_db: str = Field("image-recognition_test", alias="ImageDb")


class Main(_Section):
    """[main]: folders."""

    root_path_for_scanning: Path | None = Field(None, alias="RootPathForScanning")
    cropped_faces_path: Path | None = Field(None, alias="CroppedFacesPath")
    root_path_etalon_faces: Path | None = Field(None, alias="RootPathEtalonFaces")
    ignore_path_for_scanning: tuple[str, ...] = Field((), alias="IgnorePathForScanning")


class Decode(_Section):
    """[decode]: what one file may cost before it is given up."""

    seconds: float = Field(60.0, alias="Seconds", gt=0)
    megabytes: int = Field(1024, alias="Megabytes", ge=128)
    megapixels: float = Field(400.0, alias="Megapixels", gt=0)


class StoreSection(_Section):
    """[store]: the database of embedded mode."""

    database: Path | None = Field(None, alias="Database")


class Config(BaseModel):
    """Everything that can be configured; a field for each section of config.ini."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    main: Main = Main()
    kafka: Kafka = Kafka()
    mongo: Mongo = Mongo()
    decode: Decode = Decode()
    store: StoreSection = StoreSection()


def keys() -> list[tuple[str, str, str]]:
    """Every (section, key, environment variable)."""
    found = []
    for section, field in Config.model_fields.items():
        assert isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for key in field.annotation.model_fields.values():
            assert key.alias
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key.alias).upper()
            found.append((section, key.alias, f"FACESWARM_{section.upper()}_{words}"))
    return found


def load(file: Path | None, environment: Mapping[str, str] = os.environ) -> Config:
    """Reads config.ini, if one is given, then the environment over it. Raises ConfigError, always one line."""
    values: dict[str, dict[str, object]] = {}
    if file is not None:
        parser = configparser.ConfigParser(interpolation=None, default_section="")
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        try:
            parser.read_string(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file} can't be read: {error}") from error
        except configparser.Error as error:
            raise ConfigError(f"{file}: {str(error).splitlines()[0]}") from error
        values = {section: dict(parser[section]) for section in parser.sections()}
    for section, key, variable in keys():
        if secret := environment.get(variable + "_FILE"):
            try:
                values.setdefault(section, {})[key] = Path(secret).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(f"{variable}_FILE: {secret} can't be read: {error.strerror}") from error
        if variable in environment:
            values.setdefault(section, {})[key] = environment[variable]
    main = values.get("main", {})
    if isinstance(ignored := main.get("IgnorePathForScanning"), str):
        main["IgnorePathForScanning"] = tuple(line.strip() for line in ignored.splitlines() if line.strip())
    for given in values.values():
        for key in [key for key, value in given.items() if value == ""]:
            del given[key]  # a key left empty means its default
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        what = "is not a known key" if first["type"] == "extra_forbidden" else first["msg"].lower()
        source = f"{file}: " if file else ""
        raise ConfigError(f"{source}{place} {what}; docs/configuration.md lists every key") from error


def masked(text: str) -> str:
    """The same text without the password of a URI in it."""
    return re.sub(r"(://[^:/@]+:)[^@]*@", r"\1***@", text)
