"""Every finding of `membership doctor`: how grave, in words, and what to do. docs/doctor.md is made from it."""

from collections.abc import Mapping

from membership.doctor.findings import Finding, Kind, Severity

E, W, I, OK = Severity.ERROR, Severity.WARNING, Severity.INFORMATION, Severity.OK

_NETWORK = "the pod's NetworkPolicy must allow egress to the API server"
_ROLE = "kubectl apply -f - of this, which `membership check` prints as well:"

COMMON: Mapping[str, Kind] = {
    "skipped": Kind(I, "not examined"),
    "denied": Kind(
        W, "we may not look there", "run it as a user who may; the sidecar itself needs no more than its own files"
    ),
    "late": Kind(W, "the examination did not end in time", "give it longer with --timeout, and see what hangs"),
    "bug": Kind(E, "the examination failed by a mistake of ours", "report it with this evidence"),
}
"""Of every area."""

CATALOGUE: Mapping[str, Kind] = {
    "settings.ok": Kind(OK, "the settings can be read"),
    "settings.wrong": Kind(
        E, "a setting is wrong; what follows was examined without it", "correct it: with it the sidecar ends with 2"
    ),
    "settings.ignored": Kind(
        I, "variables of the old membership scheme that mean nothing here", "leave them out of the pod's manifest"
    ),
    "dns.ok": Kind(OK, "the API server's host is known"),
    "dns.unresolved": Kind(
        E,
        "the host name of the API server cannot be resolved",
        "look at the pod's dnsPolicy and at CoreDNS, and let the NetworkPolicy allow port 53 to kube-dns; or name the "
        "server by its address, as the variable KUBERNETES_SERVICE_HOST does",
    ),
    "tcp.ok": Kind(OK, "the API server's port takes connections"),
    "tcp.refused": Kind(
        E, "nothing listens at the API server's address", "correct --server, or its port; else the API server is down"
    ),
    "tcp.silent": Kind(
        E, "no answer to a connection: packets are dropped on the way", f"{_NETWORK}; look at firewalls"
    ),
    "tcp.unreachable": Kind(E, "there is no way to the API server", "look at the pod's network: routes and interfaces"),
    "tls.ok": Kind(OK, "the API server's certificate is verified"),
    "tls.unencrypted": Kind(W, "the connection is not encrypted", "use an https:// URL for --server"),
    "tls.unverified": Kind(
        W,
        "the API server's certificate is not verified: whoever sits in between can read the token",
        "give --ca-file in place of --insecure-skip-tls-verify",
    ),
    "tls.untrusted": Kind(
        E,
        "the certificate is signed by nobody we trust",
        "give the cluster's authority with --ca-file; in a pod mount kube-root-ca.crt as ca.crt beside the token",
    ),
    "tls.name": Kind(
        E,
        "the certificate is valid for other names than the one we connect to",
        "name the server in --server as its certificate does",
    ),
    "tls.expired": Kind(
        E, "the certificate is outside its time", "renew the API server's certificate, or set the node's clock right"
    ),
    "tls.ends-soon": Kind(W, "the certificate ends within a week", "renew the API server's certificate"),
    "tls.ca-file": Kind(
        E,
        "the file with the authorities cannot be used",
        "mount the ConfigMap kube-root-ca.crt of the namespace, and name its ca.crt",
    ),
    "tls.broken": Kind(
        E, "what answers there speaks no TLS that we speak", "correct --server: https or http, and its port"
    ),
    "server.ok": Kind(OK, "the API server answers"),
    "server.strange": Kind(
        E, "what answers is no Kubernetes API server", "correct --server; a proxy or a login page may be in between"
    ),
    "server.fault": Kind(E, "the API server has a problem of its own", "look at its log, and at etcd"),
    "server.silent": Kind(
        E, "connected, and no answer came", "the API server hangs, or something in between holds its answers back"
    ),
    "token.ok": Kind(OK, "the API server accepts who we are"),
    "token.claims": Kind(I, "what the token says of itself"),
    "token.opaque": Kind(I, "the token is no JWT, so it does not say until when it counts"),
    "token.none": Kind(
        E,
        "there is no token: requests are anonymous",
        "mount a projected serviceAccountToken at /var/run/secrets/kubernetes.io/serviceaccount of this container, or "
        "name a file with --token-file",
    ),
    "token.unreadable": Kind(
        E, "the token cannot be read", "mount it into this container, and readable for its uid (defaultMode, fsGroup)"
    ),
    "token.expired": Kind(
        E,
        "the token has expired",
        "mount the projected volume as a folder: a token that was copied, or mounted by subPath, is never renewed",
    ),
    "token.early": Kind(E, "the token counts only later", "set the node's clock right"),
    "token.ends-soon": Kind(
        W,
        "the token ends soon and was not renewed, as the kubelet does at 80 % of its time",
        "mount the projected volume as a folder: a token that was copied, or mounted by subPath, is never renewed",
    ),
    "token.refused": Kind(
        E,
        "the API server does not accept who we are (401)",
        "a token counts for the cluster that issued it, and while its pod and ServiceAccount exist: delete the pod to "
        "have a new one mounted",
    ),
    "token.audience": Kind(
        E,
        "the API server does not accept the token (401), which was issued for somebody else",
        "leave `audience` out of the projected serviceAccountToken: then it is the API server's own",
    ),
    "rbac.ok": Kind(OK, "we may do what we have to"),
    "rbac.list": Kind(E, "we may not list what the members are in", _ROLE),
    "rbac.fallback": Kind(W, "we may not list EndpointSlices; v1 Endpoints serve, which are deprecated", _ROLE),
    "rbac.watch": Kind(W, "we may not watch: the list is polled, and changes are seen late", _ROLE),
    "rbac.services": Kind(E, "we may not follow Services, which the format haproxy is made of", _ROLE),
    "service.ok": Kind(OK, "the Service is there"),
    "service.unreadable": Kind(
        I, "we may not read Services, which following them does not need; the slices tell what there is"
    ),
    "service.missing": Kind(
        E, "there is no such Service", "correct --services or --namespace, or create it with the servers' labels"
    ),
    "service.no-selector": Kind(
        W, "the Service has no selector: nobody fills its slices", "give it the labels of the servers' pods as selector"
    ),
    "service.external": Kind(
        E, "the Service is of type ExternalName, and has no members", "make it ClusterIP, with a selector"
    ),
    "service.port": Kind(
        E, "the Service has no port of the name that --port gives", "name the port in the Service, or give a number"
    ),
    "service.other-port": Kind(I, "the Service does not name the member port, which following it does not need"),
    "service.not-headless": Kind(I, "the Service is not headless, which following it does not need"),
    "service.hides-not-ready": Kind(
        I,
        "publishNotReadyAddresses is off: its DNS name leaves out members that start. Our list does not, but whoever "
        "finds members by that name waits for the first to be ready",
    ),
    "slices.ok": Kind(OK, "the Services have members"),
    "slices.none": Kind(
        E,
        "the API server has no slices of this Service: it does not exist, or has no selector",
        "correct --services or --namespace",
    ),
    "slices.empty": Kind(
        E,
        "the Service is there and has no members",
        "compare its selector with the labels of the servers' pods, and see that those run and have addresses",
    ),
    "slices.left-out": Kind(I, "addresses of slices that are not in the list"),
    "slices.family": Kind(
        E, "the members have addresses of another family only", "give --family, or dual-stack Services (ipFamilies)"
    ),
    "slices.no-port": Kind(
        E,
        "members without the named member port: no address can be made of them",
        "name the port in the Service and its pods, or give --port as a number",
    ),
    "slices.not-serving": Kind(I, "members that do not serve yet; they are in the list, for they must find each other"),
    "slices.endpoints": Kind(
        W,
        "the list comes from v1 Endpoints, which are deprecated, of one family, and end at 1000",
        "apply what `membership check` prints",
    ),
    "slices.upstream": Kind(
        W,
        "the sidecar that --upstream names does not give the list; the API server does",
        "see that it runs, follows the same Services, and that the NetworkPolicy lets this pod reach it",
    ),
    "slices.few": Kind(
        W,
        "there are fewer members than --expect: the formation gate waits for the others until --gate-timeout",
        "see why the other pods have no address, or lower --expect to the number of pods that start together",
    ),
    "own.ok": Kind(OK, "the own address is in the list"),
    "own.unknown": Kind(
        W,
        "the own address is not known, so the local host in Carbon's file stays as it is",
        "set NODE_IP from the field status.podIP",
    ),
    "own.loopback": Kind(
        E, "the own address is a loopback address, which no other member can reach", "set NODE_IP from status.podIP"
    ),
    "own.foreign": Kind(
        E,
        "no interface of this pod has the own address",
        "set NODE_IP from the field status.podIP: status.hostIP is the node's",
    ),
    "own.absent": Kind(
        E,
        "the own address is not in the list: the others do not learn of this member",
        "see that the selector of the Service matches the labels of this pod",
    ),
    "files.ok": Kind(OK, "the file is what the list gives"),
    "files.none": Kind(I, "no files are named: give --out as to the sidecar"),
    "files.absent": Kind(
        E,
        "the file is not there",
        "see the sidecar's log: it writes once the list has members and, where it makes the folder, may write there",
    ),
    "files.not-a-file": Kind(
        E, "at the target is no plain file, so the sidecar refuses it", "remove it, or name another target"
    ),
    "files.mode": Kind(
        E,
        "others cannot read the file, and the server runs under another uid",
        "chmod 0644 the file and 0755 its folders; the sidecar does so for what it makes",
    ),
    "files.unwritable": Kind(
        E, "we cannot write where the file has to be", "mount the volume writable for this container's uid (fsGroup)"
    ),
    "files.unrendered": Kind(E, "the file cannot be made of its source", "correct the source, as the evidence says"),
    "files.outdated": Kind(
        W,
        "the file is not what the list gives now",
        "see that the sidecar runs and follows this API server: its log, /readyz?verbose",
    ),
    "files.staging": Kind(
        E,
        "the folder for temporary files is not fit for these targets",
        "name a folder beside the tree that is copied, on the same volume",
    ),
    "files.temporary": Kind(
        W,
        "temporary files lie in the tree that is copied: cp ends with 1 where one vanishes, and so does the server",
        "give --staging, a folder beside the tree, and remove them",
    ),
    "files.dots": Kind(
        E,
        "the tree has nothing but names that begin with a dot: cp fails on tree/*, and so does the server's start",
        "remove them",
    ),
    "files.dangling": Kind(
        E, "links in the tree lead nowhere: cp -RL fails on them, and so does the server's start", "remove them"
    ),
    "files.copies": Kind(I, "what the server's entrypoint copies over its home at the next start"),
    "hazelcast.ok": Kind(OK, "Hazelcast sees the members that Kubernetes has"),
    "hazelcast.closed": Kind(
        E,
        "a member serves, and its member port is closed",
        "see that clustering is on in its configuration, that --port is its port, and that a NetworkPolicy lets "
        "members reach each other; a cluster that could not start leaves the server running without (its log)",
    ),
    "hazelcast.starting": Kind(I, "members that do not serve yet, and whose member port is closed"),
    "hazelcast.strange": Kind(
        E, "what answers on the member port is no Hazelcast", "correct --port: the member port, not the HTTP port"
    ),
    "hazelcast.rest-off": Kind(
        I,
        "REST is off on the member port, so a member cannot be asked whom it sees",
        "to have it asked: --hazelcast-rest read, or the extra `hazelcast` and --cluster-name",
    ),
    "hazelcast.forming": Kind(I, "members are joining, or do not serve yet"),
    "hazelcast.split": Kind(
        E,
        "the members form several clusters",
        "see that all have the same cluster name and each other in their lists; lists that know each other merge at "
        "the next merge run, others when one half is restarted",
    ),
    "hazelcast.missing": Kind(
        E,
        "members serve and are not in the cluster",
        "compare their cluster name, list and own address with those of the others; then restart their pods",
    ),
    "hazelcast.unexpected": Kind(
        W,
        "the cluster has members that Kubernetes does not have",
        "a lost node's member stays until the heartbeat time is over (600 s in Carbon): wait, or lower "
        "hazelcast.max.no.heartbeat.seconds",
    ),
    "hazelcast.unknown": Kind(W, "what members see could not be found out", "see the evidence; ask again later"),
    "hazelcast.versions": Kind(
        E,
        "members of different major versions of Hazelcast, which never form one cluster",
        "give the new version a Service of its own until the old one is gone",
    ),
    "hazelcast.other-version": Kind(
        W,
        "the members run another Hazelcast than the settings say",
        "set --hazelcast-version (or --product): it decides the dialect of hazelcast.xml",
    ),
    "hazelcast.name": Kind(
        E,
        "a member does not belong to the cluster of this name",
        "give every member the same name: [clustering] domain, or <cluster-name> in hazelcast.xml; and here "
        "--cluster-name",
    ),
    "carbon.ok": Kind(OK, "Carbon's file sets clustering as it has to be"),
    "carbon.none": Kind(I, "no configuration of Carbon was found: give --out as to the sidecar, or --carbon-home"),
    "carbon.unreadable": Kind(E, "Carbon's file cannot be read", "correct it, as the evidence says"),
    "carbon.off": Kind(
        E,
        "clustering is not switched on in Carbon's file",
        'set [clustering] membership_scheme = "wka" in deployment.toml, or <clustering ... enable="true"> in axis2.xml',
    ),
    "carbon.scheme": Kind(
        E,
        "Carbon's membership scheme is not wka, so it does not read this list",
        'set membership_scheme to "wka"; multicast does not work between pods',
    ),
    "carbon.host-empty": Kind(
        E,
        "Carbon's local member host is empty",
        "set NODE_IP from status.podIP in the server's container too: entrypoints write it here",
    ),
    "carbon.host-absent": Kind(
        W,
        "Carbon's local member host is not set: its default is 127.0.0.1, which no other member can reach",
        "set local_member_host, or give --self-ip (NODE_IP) to the sidecar, which then does",
    ),
    "carbon.host-loopback": Kind(
        E,
        "Carbon's local member host is a loopback address, which no other member can reach",
        "set it to the pod's address: --self-ip (NODE_IP) in the sidecar, NODE_IP in the server's container",
    ),
    "carbon.host-variable": Kind(
        I, "Carbon takes its local member host from a variable", "see that the server's container has it"
    ),
    "carbon.host-other": Kind(
        E,
        "Carbon's local member host is another one than the own address",
        "set it to the pod's address; a file that was copied from another pod has that one's",
    ),
    "carbon.no-members": Kind(
        E, "Carbon's list of members is empty: this server forms a cluster alone", "have the sidecar write the file"
    ),
    "carbon.members-old": Kind(
        W,
        "Carbon's list of members is not the list of now",
        "it is read at start only: one live member in it is enough to join; else restart the pod",
    ),
    "carbon.port": Kind(
        E, "Carbon listens on another member port than --port says", "make --port and local_member_port the same"
    ),
    "carbon.domain": Kind(
        E,
        "Carbon's domain is another cluster's name",
        "make the domain the same everywhere: it is the name of the Hazelcast cluster",
    ),
    "carbon.overridden": Kind(
        W,
        "there is an etc/hazelcast.xml, which wins: members, domain and timings of Carbon's own file do not count",
        "remove it, or have the sidecar keep it current with --out hazelcast-xml",
    ),
    "carbon.regenerated": Kind(
        W,
        "this axis2.xml is made anew from deployment.toml at each start, so what is written here is lost",
        "patch deployment.toml in place of it (--product knows which)",
    ),
}
"""By code."""


def find(code: str, evidence: str = "", more: str = "") -> Finding:
    """The finding of this code; `more` goes below its fix."""
    kind = CATALOGUE[code]
    return Finding(code, kind.severity, kind.says, evidence, f"{kind.fix}\n{more.rstrip()}" if more else kind.fix)


def common(area: str, word: str, evidence: str) -> Finding:
    """A finding of `COMMON` about this area."""
    kind = COMMON[word]
    return Finding(f"{area}.{word}", kind.severity, kind.says, evidence, kind.fix)
