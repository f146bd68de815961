"""Reads YAML documents and checks them: inspect.py kubernetes|compose|plain < FILE.

Prints JSON: {"documents": [...], "problems": ["...", ...]}. For `kubernetes` every object of Kubernetes' own kinds is held against the schemas of
the oldest and the newest release that the manifests are for, unknown fields included; other kinds are passed on as they are. For `compose` the
whole is held against the Compose Specification."""

import functools
import json
import re
import sys

import yaml

RELEASES = ("1.30", "1.37")


def kubernetes(documents):
    from kubernetes_validate import utils

    # Each schema is read once, not once for every object.
    utils.schema_contents = functools.lru_cache(utils.schema_contents)
    problems = []
    for document in documents:
        name = "%s/%s" % (document.get("kind"), document.get("metadata", {}).get("name"))
        for release in RELEASES:
            try:
                utils.validate(document, release, strict=True)
            except utils.SchemaNotFoundError:
                if "." not in document["apiVersion"].split("/")[0] or document["apiVersion"].split("/")[0].endswith(".k8s.io"):
                    problems.append("%s: Kubernetes %s has no such kind in %s" % (name, release, document["apiVersion"]))
            except utils.ValidationError as error:
                path = ".".join(str(part) for part in error.path)
                problems.append("%s: %s: %s (Kubernetes %s)" % (name, path, error.message, release))
    return problems


def compose(documents):
    import compose_spec

    problems = []
    for document in documents:
        try:
            compose_spec.PyCompose.from_json(json.dumps(document)).validate()
        except Exception as error:  # Every kind of refusal is a problem of the file.
            problems.append(str(error))
    return problems


CHECKS = {"kubernetes": kubernetes, "compose": compose, "plain": lambda documents: []}

text = sys.stdin.read()
if sys.argv[1] == "compose":
    # As Compose does before it looks at types: ${VARIABLE:-default} with nothing set.
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
documents = [document for document in yaml.safe_load_all(text) if document]
json.dump({"documents": documents, "problems": CHECKS[sys.argv[1]](documents)}, sys.stdout, default=str)
