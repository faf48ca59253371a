"""JSON Schemas of RayJob (ray.io/v1, KubeRay 1.7) and of Kubernetes' Pod, restricted to the fields that we write.

No other fields are accepted. Required fields are those of the original definitions.
"""

from typing import Any

TEXT, WHOLE, TRUTH = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
NAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
QUANTITY = {"type": "string", "pattern": r"^([0-9]+(\.[0-9]*)?)(m|[KMGT]i?)?$"}


def mapping(required: list[str], **fields: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": fields, "additionalProperties": False}


def each(schema: Any, least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": schema, "minItems": least}


def values(schema: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": schema}


SECRET_KEY = mapping(["key"], name=NAME, key=TEXT)
CONTAINER = mapping(
    ["name"],
    name=NAME,
    image=TEXT,
    command=each(TEXT),
    env=each(mapping(["name"], name=TEXT, value=TEXT, valueFrom=mapping([], secretKeyRef=SECRET_KEY))),
    envFrom=each(mapping([], secretRef=mapping([], name=NAME, optional=TRUTH))),
    ports=each(mapping(["containerPort"], containerPort=WHOLE)),
    resources=mapping([], requests=values(QUANTITY), limits=values(QUANTITY)),
    volumeMounts=each(mapping(["mountPath", "name"], name=NAME, mountPath=TEXT, readOnly=TRUTH)),
)
VOLUME = mapping(
    ["name"],
    name=NAME,
    persistentVolumeClaim=mapping(["claimName"], claimName=NAME),
    configMap=mapping([], name=NAME),
)
POD = mapping(
    ["containers"],
    containers=each(CONTAINER, least=1),
    volumes=each(VOLUME),
    restartPolicy={"enum": ["Always", "OnFailure", "Never"]},
    tolerations=each(mapping([], key=TEXT, operator={"enum": ["Exists", "Equal"]}, effect=TEXT)),
    securityContext=mapping([], runAsNonRoot=TRUTH, runAsUser=WHOLE, fsGroup=WHOLE),
)
TEMPLATE = mapping([], spec=POD)
CLUSTER = mapping(
    ["headGroupSpec", "rayVersion"],  # rayVersion: required by the operator where there is a token
    rayVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
    authOptions=mapping([], mode={"enum": ["disabled", "token"]}, secretName=TEXT),
    headGroupSpec=mapping(["template"], rayStartParams=values(TEXT), template=TEMPLATE),
    workerGroupSpecs=each(
        mapping(
            ["groupName", "maxReplicas", "minReplicas", "template"],
            groupName=NAME,
            replicas=WHOLE,
            minReplicas=WHOLE,
            maxReplicas=WHOLE,
            rayStartParams=values(TEXT),
            template=TEMPLATE,
        )
    ),
)
RAYJOB = mapping(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=mapping(
        ["name"], name=NAME | {"maxLength": 47, "pattern": r"^[a-z]([-a-z0-9]*[a-z0-9])?$"}, namespace=NAME
    ),
    spec=mapping(
        ["rayClusterSpec"],
        entrypoint=TEXT,
        backoffLimit=WHOLE,
        shutdownAfterJobFinishes=TRUTH,
        ttlSecondsAfterFinished=WHOLE,
        rayClusterSpec=CLUSTER,
    ),
)
