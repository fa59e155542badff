"""An AWS in memory that checks signatures and permissions, for Cloakroom's tests.

Beside what `moto_server` does: requests are handled one at a time, since AWS creates a secret in
one step and moto in two; and users and a role are there before the first request, so that every
request can be held to a policy. A parameter's policies are described as the service model says; moto
gives objects where the model has texts, which no SDK can read. A secret that waits for its deletion
has its name, whatever token a request bears: AWS refuses to work on what is marked deleted, and moto
would call the repetition of a creation done. A session that is over is refused: moto keeps its end
and never looks at it. A name is looked up and a page of a listing described, where moto goes through
all secrets. moto holds every request to the resource "*" and knows few conditions, so of most policies
only their actions count here; one that is given as it is written is held to the ARN of the secret that
a request names, and to no condition. It looks at the one action that a request is called after: what a
request takes besides, as the service authorization reference has it, is added here. A refusal has AWS's
code and names the action, and of a batch of values what may not be read is refused by itself.
"""

import io
import json
import sys
from itertools import islice
from pathlib import Path
from threading import Lock
from uuid import uuid4

from moto import backends, settings
from moto.core.exceptions import JsonRESTError
from moto.core.utils import utcnow
from moto.iam.access_control import AssumedRoleAccessKey, IAMRequest
from moto.iam.models import iam_backends
from moto.secretsmanager.exceptions import InvalidRequestException
from moto.secretsmanager.models import (
    SecretsManagerBackend,
    SecretsStore,
    _matches,
    secretsmanager_backends,
)
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.ssm.models import Parameter
from moto.sts.models import sts_backends
from werkzeug.serving import run_simple

ACCOUNT = "123456789012"
EXTERNAL_ID = "cloakroom-tests"
WITHOUT = {
    "put": ["secretsmanager:CreateSecret", "ssm:PutParameter"],
    "read": ["secretsmanager:*GetSecretValue", "ssm:GetParameters"],
    "describe": ["secretsmanager:DescribeSecret"],
    "list": ["secretsmanager:ListSecrets"],
    "delete": ["secretsmanager:DeleteSecret", "ssm:DeleteParameter*"],
    "restore": ["secretsmanager:RestoreSecret"],
}
SERVICES = ("secretsmanager", "ssm")
TAGGING = {
    "secretsmanager:CreateSecret": ("secretsmanager:TagResource",),
    "ssm:PutParameter": ("ssm:AddTagsToResource",),
}
# What the request that is being answered may not read, of those that it asks for together.
REFUSED = {}
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


def main(port, policies, answer):
    iam = iam_backends[ACCOUNT]["aws"]
    read_write = actions(policies, "*-read-write.json")
    assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    users = {
        "admin": [EVERYTHING],
        "read_write": [*read_write, assume],
        "verify_only": actions(policies, "*-verify-only.json"),
        "report": actions(Path(policies).parent / "airbyte", "aws-report.json"),
        "clean": as_written(Path(policies).parent / "airbyte" / "aws-clean.json"),
        **{
            f"openmetadata_{what}": [
                statement
                for file in (f"aws-{what}.json", f"aws-ssm-{what}.json")
                for statement in as_written(Path(policies).parent / "openmetadata" / file)
            ]
            for what in ("report", "clean", "migrate")
        },
        "nobody": [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}],
    }
    for name, denied in WITHOUT.items():
        deny = {"Effect": "Deny", "Action": denied, "Resource": "*"}
        users[f"without_{name}"] = [EVERYTHING, deny]
    told = {}
    for name, statements in users.items():
        iam.create_user("us-east-1", name)
        iam.put_user_policy(name, "tests", document(statements))
        key = iam.create_access_key(name)
        told[name] = f"{key.access_key_id}:{key.secret_access_key}"
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}},
    }
    role = iam.create_role("cloakroom", document([trust]), "/", None, "", [], "3600")
    iam.put_role_policy("cloakroom", "tests", document(read_write))
    over = sts_backends[ACCOUNT]["aws"].assume_role(
        "us-east-1", "over", role.arn, None, -1, EXTERNAL_ID
    )
    told["expired"] = f"{over.access_key_id}:{over.secret_access_key}:{over.session_token}"
    told["role"] = f"{role.arn} {EXTERNAL_ID}"
    Path(answer).write_text(json.dumps(told))

    IAMRequest.check_action_permitted = of_its_secret(IAMRequest.check_action_permitted)
    IAMRequest._raise_access_denied = by_its_code(IAMRequest._raise_access_denied)
    SecretsManagerBackend.batch_get_secret_value = one_by_one(
        SecretsManagerBackend.batch_get_secret_value
    )
    AssumedRoleAccessKey.__init__ = refused_when_over(AssumedRoleAccessKey.__init__)
    SecretsManagerBackend.create_secret = refused_while_waiting(
        SecretsManagerBackend.create_secret
    )
    SecretsManagerBackend.list_secrets = paged
    for ask in ("__contains__", "__getitem__", "get"):
        setattr(SecretsStore, ask, by_name(getattr(SecretsStore, ask), getattr(dict, ask)))
    Parameter.describe_response_object = described(Parameter.describe_response_object)
    # moto reads its own folder at every request.
    modules = frozenset(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    run_simple(
        "127.0.0.1",
        port,
        one_at_a_time(beside(DomainDispatcherApplication(create_backend_app))),
        threaded=True,
        request_handler=Handler,
    )


class Handler(MotoRequestHandler):
    """Sends an answer in one piece, and says nothing of each of the tens of thousands."""

    wbufsize = -1

    def log_request(self, *_):
        pass


def actions(policies, pattern):
    """The statements of the policies that are published, with what moto understands of them."""
    return [
        {"Effect": it["Effect"], "Action": it["Action"], "Resource": "*"}
        for file in sorted(Path(policies).glob(pattern))
        for it in json.loads(file.read_text())["Statement"]
    ]


def as_written(policy):
    """A published policy as an operator writes it for the platforms of the tests."""
    text = policy.read_text().replace("REGION", "*").replace("ACCOUNT", ACCOUNT)
    return json.loads(text.replace("PREFIX", "report-*/"))["Statement"]


def of_its_secret(check):
    """Holds a request to the secrets that it names, and to every action that it takes."""

    def checked(request, resource):
        is_ours = request._service in SERVICES
        asked = json.loads(request._body or "{}") if is_ours else {}
        held = [resource]
        if request._service == "secretsmanager" and (
            name := asked.get("SecretId") or asked.get("Name")
        ):
            held = [secret(request, name)]
        if request._service == "ssm":
            # Each has to be permitted for itself.
            names = [asked.get("Name") or asked.get("ResourceId"), *(asked.get("Names") or [])]
            held = [parameter(request, name) for name in names if name] or held
        called = request._action
        for action in (called, *besides(called, asked)):
            for place in held:
                permit(check, request, action, place)
        if called == "secretsmanager:BatchGetSecretValue":
            REFUSED.clear()
            for name in asked.get("SecretIdList") or []:
                try:
                    permit(check, request, "secretsmanager:GetSecretValue", secret(request, name))
                except JsonRESTError as refusal:
                    REFUSED[name] = refusal
        request._action = called

    return checked


def permit(check, request, action, place):
    request._action, request.place = action, place
    check(request, place)


def besides(action, asked):
    """What a request takes beside the action that it is called after."""
    if asked.get("Tags"):
        return TAGGING.get(action, ())
    return ()


def by_its_code(refuse):
    """As AWS refuses: with a code, and with words that name the action."""

    def refused(request):
        if request._service not in SERVICES:
            refuse(request)
        user, action = request._access_key.arn, request._action
        words = f"User: {user} is not authorized to perform: {action} on resource: {request.place}"
        raise JsonRESTError("AccessDeniedException", words)

    return refused


def one_by_one(read):
    """Of a batch AWS leaves out what may not be read, and says so of each."""

    def answered(backend, secret_id_list=None, *arguments, **options):
        asked = secret_id_list or []
        allowed = [it for it in asked if it not in REFUSED]
        page, errors, token = [], [], None
        if allowed or not asked:
            page, errors, token = read(backend, allowed, *arguments, **options)
        for name in asked:
            if refusal := REFUSED.get(name):
                told = {"ErrorCode": refusal.error_type, "Message": refusal.message}
                errors.append({"SecretId": name, **told})
        return page, errors, token

    return answered


def secret(request, name):
    place = f"arn:aws:secretsmanager:{request._region}:{ACCOUNT}:secret:"
    return name if name.startswith("arn:") else f"{place}{name}-AbCdEf"


def parameter(request, name):
    place = f"arn:aws:ssm:{request._region}:{ACCOUNT}:parameter"
    return place + (name if name.startswith("/") else f"/{name}")


def refused_when_over(login):
    def checked(key, account_id, partition, access_key_id, headers):
        login(key, account_id, partition, access_key_id, headers)
        for session in sts_backends[account_id][partition].assumed_roles:
            if session.access_key_id == access_key_id and session.expiration < utcnow():
                raise JsonRESTError("ExpiredTokenException", "the session is over")

    return checked


def refused_while_waiting(create):
    def checked(backend, name, *arguments, **options):
        secret = backend.secrets.get(name)
        if secret is not None and secret.is_deleted():
            raise InvalidRequestException("the secret is scheduled for deletion")
        return create(backend, name, *arguments, **options)

    return checked


def described(describe):
    def corrected(parameter, *arguments, **options):
        response = describe(parameter, *arguments, **options)
        policies = json.loads(parameter.policies or "[]")
        response["Policies"] = [
            {"PolicyText": json.dumps(it), "PolicyType": it["Type"], "PolicyStatus": "Pending"}
            for it in policies
            if it
        ]
        return response

    return corrected


def document(statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def by_name(compare_with_all, look_up):
    """What is no ARN is a name; moto compares either with every secret there is."""

    def asked(store, key):
        return compare_with_all(store, key) if key.startswith("arn:") else look_up(store, key)

    return asked


def paged(backend, filters, max_results=100, next_token=None, include_planned_deletion=False):
    """Describes what is on the page; moto describes every secret there is for each page."""
    start, most = int(next_token or 0), int(max_results or 100)
    found = (
        it
        for it in backend.secrets.values()
        if (include_planned_deletion or not getattr(it, "deleted_date", None))
        and _matches(it, filters)
    )
    page = list(islice(found, start, start + most + 1))
    after = str(start + most) if len(page) > most else None
    return [it.to_dict() for it in page[:most]], after


def beside(application):
    """Beside what AWS does: `POST /fill/REGION` makes a secret of each line, all with one value, and
    `POST /allow` a user who may do what each line says and nothing else, whose key it answers.
    """

    def handle(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/allow":
            answer = allow(lines(environ))
        elif path.startswith("/fill/"):
            answer = fill(path.removeprefix("/fill/"), lines(environ))
        else:
            return application(environ, start_response)
        start_response("200 OK", [("Content-Length", str(len(answer)))])
        return [answer]

    return handle


def lines(environ):
    return environ["wsgi.input"].read().decode().splitlines()


def fill(region, names):
    backend = secretsmanager_backends[ACCOUNT][region]
    for name in names:
        backend.create_secret(name, "filled", None, None, None, None, None, [], False)
    return b""


def allow(actions):
    iam = iam_backends[ACCOUNT]["aws"]
    name = f"allowed-{uuid4()}"
    iam.create_user("us-east-1", name)
    allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    iam.put_user_policy(name, "tests", document([allowed]))
    key = iam.create_access_key(name)
    return f"{key.access_key_id}:{key.secret_access_key}".encode()


def one_at_a_time(application):
    lock = Lock()

    def handle(environ, start_response):
        # Read before the lock is taken: a client that stops in the middle holds up nobody else.
        length = int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        with lock:
            return [b"".join(application(environ, start_response))]

    return handle


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
