"""Reads secrets by their ids as OpenMetadata's published client does, and prints a digest of each.

Takes ids from standard input, one a line, and the provider as its argument. Of the client's package
only what reads secrets is loaded: its own beginning wants a hundred dependencies that nothing here
needs."""

import hashlib
import importlib.util
import logging
import sys
import types

PROVIDER = sys.argv[1]


def stub(name, **attributes):
    module = types.ModuleType(name)
    module.__dict__.update(attributes)
    sys.modules[name] = module
    return module


def package(name):
    """The package without what its `__init__` does."""
    spec = importlib.util.find_spec(name)
    module = types.ModuleType(name)
    module.__path__ = list(spec.submodule_search_locations)
    module.__spec__ = spec
    sys.modules[name] = module


package("metadata")
logger = logging.getLogger("client")
logger.addHandler(logging.NullHandler())
logger.propagate = False
stub("metadata.utils.logger", utils_logger=lambda: logger, ingestion_logger=lambda: logger)

# The clients of other managers, which are not asked for here.
for manager, name in [
    ("azure_kv", "AzureKVSecretsManager"),
    ("gcp", "GCPSecretsManager"),
    ("kubernetes", "KubernetesSecretsManager"),
]:
    stub(f"metadata.utils.secrets.{manager}_secrets_manager", **{name: None})

from metadata.generated.schema.security.secrets.secretsManagerClientLoader import (
    SecretsManagerClientLoader,
)
from metadata.generated.schema.security.secrets.secretsManagerProvider import SecretsManagerProvider
from metadata.ingestion.models.custom_pydantic import CustomSecretStr
from metadata.utils.secrets.secrets_manager_factory import SecretsManagerFactory

SecretsManagerFactory(SecretsManagerProvider(PROVIDER), SecretsManagerClientLoader.noop)
for line in sys.stdin:
    value = CustomSecretStr(f"secret:{line.strip()}").get_secret_value()
    print("nothing" if value is None else hashlib.sha256(value.encode()).hexdigest())
