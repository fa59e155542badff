"""A double of Google Secret Manager, written from its published documentation: tests only.

    python3 secret_manager.py PORT

It speaks REST under /v1/projects/P/secrets and /v1/projects/P/locations/L/secrets, keeps everything
in memory, and does what the reference says of names, labels, annotations, sizes, checksums, etags,
expiry, delayed destruction, filters, pages and status codes. Its token endpoint, /token, exchanges a
refresh token or a subject token for an access token of the same text. What a token may do is its
text: `all`; `only:` or `not:` and permissions, by commas; anything else is unknown, and no token at
all may do everything. A token that was revoked is unknown too.

Tests drive it through /double: POST /double/P/advance?seconds=N moves one project's time,
GET /double/P/calls gives the requests by method, POST /double/revoke?token=T revokes a token.
"""

import base64
import binascii
import json
import re
import sys
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

DAY = 86_400
MOST_BYTES = 65_536
MOST_PAGE = 25_000
PAGE = 100
ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
ANNOTATION = re.compile(r"[a-z0-9A-Z]([a-z0-9A-Z_.-]{0,61}[a-z0-9A-Z])?")
KEY = re.compile(r"projects/[^/]+/locations/([^/]+)/keyRings/[^/]+/cryptoKeys/[^/]+")
ROUTE = re.compile(
    r"/v1/(?P<parent>projects/(?P<project>[^/]+)(/locations/(?P<location>[^/]+))?)/secrets"
    r"(/(?P<secret>[^/:]+)(?P<versions>/versions(/(?P<version>[^/:]+))?)?(:(?P<verb>\w+))?)?"
)
STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
}

LOCK = threading.Lock()
PROJECTS = {}
REVOKED = set()
TABLE = [n for n in range(256)]
for n in range(256):
    for _ in range(8):
        TABLE[n] = (TABLE[n] >> 1) ^ (0x82F63B78 if TABLE[n] & 1 else 0)


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Project:
    def __init__(self):
        self.ahead = timedelta()
        self.calls = {}
        self.secrets = {}
        self.etags = 0

    def now(self):
        return datetime.now(timezone.utc) + self.ahead

    def etag(self):
        self.etags += 1
        return f'"16{self.etags:010x}"'

    def pass_time(self):
        """Deletes and destroys what is due."""
        now = self.now()
        gone = [n for n, it in self.secrets.items() if it["expire"] and it["expire"] <= now]
        for name in gone:
            del self.secrets[name]
        for secret in self.secrets.values():
            for version in secret["versions"]:
                if version["due"] and version["due"] <= now:
                    version.update(state="DESTROYED", due=None, destroyed=now, data=b"")


def written(time):
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def seconds(text, least, most, field):
    match = re.fullmatch(r"(\d+)(\.\d+)?s", str(text))
    if not match or not least <= float(match[0][:-1]) <= most:
        raise Refused("INVALID_ARGUMENT", f"{field} must be {least} to {most} seconds")
    return timedelta(seconds=float(match[0][:-1]))


def check_texts(secret):
    labels, annotations = secret.get("labels", {}), secret.get("annotations", {})
    fits = len(labels) <= 64 and all(
        LABEL_KEY.fullmatch(key) and LABEL_VALUE.fullmatch(value) for key, value in labels.items()
    )
    size = sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items())
    if not fits or size >= 16_384 or not all(map(ANNOTATION.fullmatch, annotations)):
        raise Refused("INVALID_ARGUMENT", "labels or annotations are not valid")


def check_place(secret, location):
    """Where it is kept, and the keys there."""
    keys = lambda it: (it.get("customerManagedEncryption") or {}).get("kmsKeyName")
    if location:
        if "replication" in secret:
            raise Refused("INVALID_ARGUMENT", "a regional secret has no replication")
        places = [(location, keys(secret))]
    else:
        replication = secret.get("replication") or {}
        if "automatic" in replication:
            places = [("global", keys(replication["automatic"]))]
        else:
            replicas = (replication.get("userManaged") or {}).get("replicas") or []
            places = [(it.get("location"), keys(it)) for it in replicas]
        if not places:
            raise Refused("INVALID_ARGUMENT", "replication is required")
    for place, key in places:
        match = KEY.fullmatch(key or "")
        if key and (not match or match[1] != place):
            raise Refused("INVALID_ARGUMENT", f"{key} is no key in {place}")


def shown(secret):
    it = {
        "name": secret["name"],
        "createTime": written(secret["created"]),
        "etag": secret["etag"],
        **{key: secret["body"][key] for key in secret["body"]},
    }
    if secret["expire"]:
        it["expireTime"] = written(secret["expire"])
    return it


def shown_version(secret, version):
    it = {
        "name": f"{secret['name']}/versions/{version['number']}",
        "createTime": written(version["created"]),
        "state": version["state"],
        "etag": version["etag"],
    }
    if version["checked"]:
        it["clientSpecifiedPayloadChecksum"] = True
    if version["due"]:
        it["scheduledDestroyTime"] = written(version["due"])
    if version["state"] == "DESTROYED":
        it["destroyTime"] = written(version["destroyed"])
    return it


class Request:
    def __init__(self, project, match, query, body):
        self.project, self.query, self.body = project, query, body
        self.parent, self.location = match["parent"], match["location"]
        self.id, self.which = match["secret"], match["version"]

    def asked(self, name, default=""):
        return self.query.get(name, [default])[0]

    def secret(self):
        secret = self.project.secrets.get(f"{self.parent}/secrets/{self.id}")
        if secret is None:
            raise Refused("NOT_FOUND", f"Secret [{self.parent}/secrets/{self.id}] not found.")
        return secret

    def version(self):
        versions = self.secret()["versions"]
        number = len(versions) if self.which == "latest" else int(self.which)
        if not 1 <= number <= len(versions):
            raise Refused("NOT_FOUND", f"Secret Version [{self.id}/{self.which}] not found.")
        return versions[number - 1]

    def check_etag(self, thing, etag):
        if etag and etag != thing["etag"]:
            raise Refused("FAILED_PRECONDITION", "The etag is not the current one.")

    def create_secret(self):
        secret_id, secret = self.asked("secretId"), self.body
        if not ID.fullmatch(secret_id):
            raise Refused("INVALID_ARGUMENT", "secretId is not valid")
        check_texts(secret)
        check_place(secret, self.location)
        name = f"{self.parent}/secrets/{secret_id}"
        if name in self.project.secrets:
            raise Refused("ALREADY_EXISTS", f"Secret [{name}] already exists.")
        now, kept = self.project.now(), {}
        for field in ("labels", "annotations", "replication", "customerManagedEncryption"):
            if field in secret:
                kept[field] = secret[field]
        new = {"name": name, "created": now, "expire": None, "versions": [], "body": kept}
        if "versionDestroyTtl" in secret:
            self.set_delay(new, secret["versionDestroyTtl"])
        if "ttl" in secret:
            self.set_expiry(new, secret["ttl"])
        new["etag"] = self.project.etag()
        self.project.secrets[name] = new
        return shown(new)

    def set_delay(self, secret, text):
        seconds(text, DAY, 1_000 * DAY, "version_destroy_ttl")
        secret["body"]["versionDestroyTtl"] = text

    def set_expiry(self, secret, text):
        secret["expire"] = self.project.now() + seconds(text, 60, 36_525 * DAY, "ttl")

    def get_secret(self):
        return shown(self.secret())

    def update_secret(self):
        secret, new = self.secret(), self.body
        self.check_etag(secret, new.get("etag"))
        check_texts(new)
        paths = [re.sub(r"_(\w)", lambda it: it[1].upper(), path) for path in self.asked("updateMask").split(",")]
        if not set(paths) <= {"labels", "annotations", "ttl", "expireTime", "versionDestroyTtl"}:
            raise Refused("INVALID_ARGUMENT", "update_mask is not valid")
        for path in paths:
            if path == "ttl":
                self.set_expiry(secret, new.get("ttl"))
            elif path == "expireTime":
                secret["expire"] = None
            elif path == "versionDestroyTtl" and path in new:
                self.set_delay(secret, new[path])
            elif path == "versionDestroyTtl":
                secret["body"].pop(path, None)
            else:
                secret["body"][path] = new.get(path, {})
        secret["etag"] = self.project.etag()
        return shown(secret)

    def delete_secret(self):
        secret = self.secret()
        self.check_etag(secret, self.asked("etag"))
        del self.project.secrets[secret["name"]]
        return {}

    def list_secrets(self):
        wanted = [part.strip() for part in self.asked("filter").split(" AND ") if part.strip()]
        secrets = [it for it in self.project.secrets.values() if it["name"].rsplit("/secrets/", 1)[0] == self.parent]
        for part in wanted:
            match = re.fullmatch(r"labels\.([a-z0-9_-]+)=([a-z0-9_-]*)", part)
            if not match:
                raise Refused("INVALID_ARGUMENT", f"filter {part!r} is not valid")
            secrets = [it for it in secrets if it["body"].get("labels", {}).get(match[1]) == match[2]]
        page, token = self.page(sorted(secrets, key=lambda it: it["name"]), lambda it: it["name"])
        return {"secrets": [shown(it) for it in page], "totalSize": len(secrets)} | token

    def page(self, things, key):
        """A page after the key in the token: whoever comes or goes meanwhile moves nothing."""
        size, token = int(self.asked("pageSize", "0") or 0), self.asked("pageToken")
        size = min(size or PAGE, MOST_PAGE)
        if token:
            try:
                after = base64.urlsafe_b64decode(token.encode()).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise Refused("INVALID_ARGUMENT", "page_token is not valid") from None
            things = [it for it in things if key(it) > after]
        if len(things) <= size:
            return things, {}
        last = base64.urlsafe_b64encode(key(things[size - 1]).encode()).decode()
        return things[:size], {"nextPageToken": last}

    def add_version(self):
        secret, payload = self.secret(), self.body.get("payload") or {}
        try:
            text = payload.get("data", "").replace("-", "+").replace("_", "/")
            data = base64.b64decode(text, validate=True)
        except binascii.Error:
            raise Refused("INVALID_ARGUMENT", "payload.data is not base64") from None
        if not 1 <= len(data) <= MOST_BYTES:
            raise Refused("INVALID_ARGUMENT", "payload must have 1 to 65536 bytes")
        theirs = payload.get("dataCrc32c")
        if theirs is not None and int(theirs) != crc32c(data):
            raise Refused("INVALID_ARGUMENT", "the payload does not have this checksum")
        version = {
            "number": len(secret["versions"]) + 1,
            "created": self.project.now(),
            "state": "ENABLED",
            "etag": self.project.etag(),
            "checked": theirs is not None,
            "due": None,
            "data": data,
        }
        secret["versions"].append(version)
        return shown_version(secret, version)

    def get_version(self):
        return shown_version(self.secret(), self.version())

    def list_versions(self):
        secret = self.secret()
        newest = sorted(secret["versions"], key=lambda it: -it["number"])
        page, token = self.page(newest, lambda it: f"{10**9 - it['number']}")
        return {"versions": [shown_version(secret, it) for it in page]} | token

    def access_version(self):
        version = self.version()
        if version["state"] != "ENABLED":
            raise Refused("FAILED_PRECONDITION", f"Secret Version is in {version['state']} state.")
        data = base64.b64encode(version["data"]).decode()
        name = f"{self.secret()['name']}/versions/{version['number']}"
        return {"name": name, "payload": {"data": data, "dataCrc32c": str(crc32c(version["data"]))}}

    def change_version(self, change):
        version = self.version()
        self.check_etag(version, self.body.get("etag"))
        if version["state"] == "DESTROYED":
            raise Refused("FAILED_PRECONDITION", "Secret Version is destroyed.")
        change(version)
        version["etag"] = self.project.etag()
        return shown_version(self.secret(), version)

    def enable_version(self):
        return self.change_version(lambda it: it.update(state="ENABLED", due=None))

    def disable_version(self):
        return self.change_version(lambda it: it.update(state="DISABLED", due=None))

    def destroy_version(self):
        delay, now = self.secret()["body"].get("versionDestroyTtl"), self.project.now()
        if not delay:
            gone = {"state": "DESTROYED", "due": None, "destroyed": now, "data": b""}
            return self.change_version(lambda it: it.update(gone))
        due = now + seconds(delay, 0, 1_000 * DAY, "version_destroy_ttl")
        return self.change_version(lambda it: it.update(state="DISABLED", due=it["due"] or due))


# What each method needs, by verb, depth of the path and custom verb.
METHODS = {
    ("POST", 0, None): ("secrets.create", Request.create_secret),
    ("GET", 0, None): ("secrets.list", Request.list_secrets),
    ("GET", 1, None): ("secrets.get", Request.get_secret),
    ("PATCH", 1, None): ("secrets.update", Request.update_secret),
    ("DELETE", 1, None): ("secrets.delete", Request.delete_secret),
    ("POST", 1, "addVersion"): ("versions.add", Request.add_version),
    ("GET", 2, None): ("versions.list", Request.list_versions),
    ("GET", 3, None): ("versions.get", Request.get_version),
    ("GET", 3, "access"): ("versions.access", Request.access_version),
    ("POST", 3, "enable"): ("versions.enable", Request.enable_version),
    ("POST", 3, "disable"): ("versions.disable", Request.disable_version),
    ("POST", 3, "destroy"): ("versions.destroy", Request.destroy_version),
}


def check_rights(authorization, permission):
    if authorization is None:
        return
    token = authorization.removeprefix("Bearer ")
    rule, _, names = token.partition(":")
    if token in REVOKED or rule not in ("all", "only", "not"):
        raise Refused("UNAUTHENTICATED", "The token is not known.")
    named = f"secretmanager.{permission}" in names.split(",")
    if rule == "only" and not named or rule == "not" and named:
        raise Refused("PERMISSION_DENIED", f"Permission 'secretmanager.{permission}' denied.")


def serve(verb, target, headers, body):
    path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
    if path == "/token":
        text = body.decode()
        form = json.loads(text) if text.startswith("{") else dict(parse_qsl(text))
        token = form.get("refresh_token") or form.get("subject_token")
        if token in REVOKED:
            return 400, {"error": "invalid_grant"}
        kind = "urn:ietf:params:oauth:token-type:access_token"
        return 200, {"access_token": token, "expires_in": 3600, "token_type": "Bearer", "issued_token_type": kind}
    if path.startswith("/double/"):
        return 200, control(path.split("/")[2:], query)
    match = ROUTE.fullmatch(path)
    if not match:
        return 404, None
    depth = 0 if not match["secret"] else 3 if match["version"] else 2 if match["versions"] else 1
    method = METHODS.get((verb, depth, match["verb"]))
    if method is None:
        return 404, None
    project = PROJECTS.setdefault(unquote(match["project"]), Project())
    permission, answer = method
    project.calls[permission] = project.calls.get(permission, 0) + 1
    try:
        check_rights(headers.get("Authorization"), permission)
        project.pass_time()
        return 200, answer(Request(project, match, query, json.loads(body) if body else {}))
    except Refused as refused:
        status = STATUS[refused.code]
        return status, {"error": {"code": status, "message": str(refused), "status": refused.code}}


def control(path, query):
    asked = lambda name: query[name][0]
    if path == ["revoke"]:
        REVOKED.add(asked("token"))
        return {}
    project = PROJECTS.setdefault(path[0], Project())
    if path[1] == "advance":
        project.ahead += timedelta(seconds=float(asked("seconds")))
    return project.calls


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with LOCK:
            status, answer = serve(self.command, self.path, self.headers, body)
        # A path that is none of the service's is answered by the web server before it, in HTML.
        html = "text/html; charset=UTF-8"
        text = b"<html>Error 404 (Not Found)</html>" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", html if answer is None else "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = do_DELETE = answer

    def log_message(self, *_):
        """Says nothing: requests hold payloads."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
