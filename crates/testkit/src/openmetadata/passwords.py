"""Tells every property that OpenMetadata's published client takes for a password, a JSON list a line: whose it is
(a type of services, `pipeline` and `workflow` of its own, or `bot`), then the way to it, with `[]` where that leads
through a list and `{}` where through a map."""

import importlib
import importlib.util
import json
import logging
import pkgutil
import sys
import types
import typing


def stub(name, **attributes):
    module = types.ModuleType(name)
    module.__dict__.update(attributes)
    sys.modules[name] = module


def package(name):
    """The package without what its `__init__` does."""
    spec = importlib.util.find_spec(name)
    module = types.ModuleType(name)
    module.__path__ = list(spec.submodule_search_locations)
    module.__spec__ = spec
    sys.modules[name] = module


package("metadata")
stub("metadata.utils.logger", utils_logger=logging.getLogger, ingestion_logger=logging.getLogger)

import pydantic.networks

# It would ask for one more package.
pydantic.networks.import_email_validator = lambda: None

from metadata.ingestion.models.custom_pydantic import CustomSecretStr

SCHEMA = "metadata.generated.schema."
CONNECTIONS = SCHEMA + "entity.services.connections"
SECRET = {CustomSecretStr, *getattr(CustomSecretStr, "__args__", ())}


def kinds(annotation, through=()):
    """The types that an annotation is made of, each with the lists and maps around it."""
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if annotation in SECRET or "SecretStr" in getattr(annotation, "__name__", ""):
        yield through, None
    elif origin is typing.Annotated:
        if any("secret" in repr(it).lower() for it in arguments[1:]):
            yield through, None
        else:
            yield from kinds(arguments[0], through)
    elif origin in (list, set, tuple):
        for it in arguments:
            yield from kinds(it, (*through, "[]"))
    elif origin is dict:
        yield from kinds(arguments[1], (*through, "{}"))
    elif origin is not None:
        for it in arguments:
            yield from kinds(it, through)
    elif isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        yield through, annotation


def passwords(model, way=(), above=()):
    """The ways from a model to its passwords."""
    if model in above:
        return
    for name, field in model.model_fields.items():
        step = () if name == "root" else (field.alias or name,)
        for through, kind in kinds(field.annotation):
            further = (*way, *step, *through)
            if kind is None:
                yield further
            else:
                yield from passwords(kind, further, (*above, model))


def tell(whose, model):
    for way in sorted(set(passwords(model))):
        print(json.dumps([whose, *way]))


def load(module, model):
    """A model by its name, in any case of its letters."""
    members = vars(importlib.import_module(module)).items()
    return next(it for name, it in members if name.lower() == model.lower())


connections = importlib.import_module(CONNECTIONS)
for kind in pkgutil.iter_modules(connections.__path__):
    if kind.ispkg:
        package = importlib.import_module(f"{CONNECTIONS}.{kind.name}")
        for module in pkgutil.iter_modules(package.__path__):
            if module.name.endswith("Connection"):
                tell(kind.name, load(f"{CONNECTIONS}.{kind.name}.{module.name}", module.name))
pipelines = SCHEMA + "entity.services.ingestionPipelines.ingestionPipeline"
tell("pipeline of its own", load(pipelines, "IngestionPipeline"))
tell("workflow of its own", load(SCHEMA + "entity.automations.workflow", "Workflow"))
tell("bot", load(SCHEMA + "entity.teams.user", "AuthenticationMechanism"))
